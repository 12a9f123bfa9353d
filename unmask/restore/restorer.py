"""The whole way from a photo with a masked face to the photo without: one line a step, in order."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import __version__, images, weights
from ..errors import NoFaceError, UnmaskError, UsageError
from ..faces import align, blend
from ..faces.blend import Fill
from . import sampling
from .draft import Draft, choose, given_region
from .results import Restored, RestoredFace, give_back, share_out, target_of

if TYPE_CHECKING:
    from ..faces.detect import Detector
    from ..recognition import Recognizer

MIN_FACE = 16.0  # pixels, shorter side of the box; below this there is nothing to align
BATCH = 16  # crops at once
STATEMENT = (
    "The region under the face mask was synthesized by a generative model: it is a guess, "
    "not what the mask hid, and no evidence of identity."
)


class SegmenterLike(Protocol):
    """What finds the region of the face mask in aligned crops."""

    def predict(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Crops [N,3,S,S] in [-1,1] -> region [N,1,S,S] in [0,1], garment score [N] in [0,1]."""
        ...


class Restorer:
    """Detector, segmenter and unmasker put together; may be shared between threads."""

    def __init__(
        self,
        fill: Fill,
        segmenter: SegmenterLike,
        detector: Detector,
        *,
        size: int = 128,
        template: str = "ffhq",
        recognizer: Recognizer | None = None,
        device: torch.device | str = "cpu",
        made_by: Mapping[str, Any] | None = None,
        parts: Mapping[str, str] | None = None,
    ):
        """Put given parts together.

        Args:
            fill: what fills the region of aligned crops; any callable, so that a baseline can stand in.
            size, template: of the crops that ``fill`` takes.
            recognizer: measures identity drift; None leaves it out.
            made_by: what the note says of the weights.
            parts: the sha256 of each model's file, by which a later run knows whether a result is still good.
        """
        self.fill, self.segmenter, self.detector, self.recognizer = fill, segmenter, detector, recognizer
        self.size, self.template, self.device = size, template, torch.device(device)
        self.made_by = dict(made_by or {"unmasker": {"name": getattr(fill, "__name__", type(fill).__name__)}})
        self.parts = dict(parts or {"unmasker": str(self.made_by)})
        self._detecting = threading.Lock()

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path | None = None,
        device: str = "auto",
        detector: str | Path | Detector | None = None,
        segmenter: str | Path | SegmenterLike | None = None,
        refine: int = 0,
    ) -> Restorer:
        """Load the embedded pack, a weights folder, or one unmasker checkpoint beside the rest of the pack.

        Args:
            name_or_path: None, a folder with its table, a name in the table, or the path of an unmasker.
            device: "auto", "cpu", "cuda", "cuda:1", "mps".
            detector, segmenter: a name, a path or an object, instead of the pack's own.
            refine: steps of :class:`unmask.restore.refine.Refined` for every face.
        """
        from .. import models, recognition
        from ..faces.detect import load_detector
        from ..faces.segment import Segmenter
        from .refine import Refined

        where = pick_device(device)
        folder = Path(name_or_path) if name_or_path is not None and Path(name_or_path).is_dir() else None
        name = "unmasker" if folder is not None or name_or_path is None else name_or_path
        checkpoint = weights.read(name, kind="unmasker", folder=folder)
        try:
            unmasker: Any = models.build(checkpoint.kind, **checkpoint.arch)
        except (UnmaskError, TypeError, ValueError) as error:
            raise UnmaskError(f"{checkpoint.path}: {error}; use weights made for this version") from None
        weights.fill(unmasker, checkpoint)
        unmasker.eval().requires_grad_(False).to(where)
        if segmenter is None or isinstance(segmenter, str | Path):
            segmenter = weights.find(segmenter or "segmenter", folder=folder)
        if detector is None or isinstance(detector, str | Path):
            detector = load_detector(detector or weights.find("detector", "onnx", folder))
        parts = {"segmenter": weights.fingerprint(segmenter), "detector": weights.fingerprint(detector)}
        made_by: dict[str, Any] = {"file": checkpoint.path.name, "sha256": checkpoint.sha256}
        if refine:
            unmasker, made_by["refine"], parts["refine"] = Refined(unmasker, refine), refine, str(refine)
        return cls(
            unmasker,
            Segmenter(segmenter, where) if isinstance(segmenter, Path) else segmenter,
            detector,
            size=unmasker.size,
            template=unmasker.template,
            recognizer=recognition.of_pack(folder),
            device=where,
            made_by={"unmasker": made_by},
            parts={"unmasker": checkpoint.sha256, **parts},
        )

    def restore(
        self,
        image: Any,
        face: str | int = "all",
        region: NDArray[Any] | None = None,
        seed: int = 0,
        out: str | Path | None = None,
        overwrite: bool = False,
        samples: int = 1,
    ) -> Restored:
        """Restore the faces of a photo.

        Args:
            image: a path, bytes, a binary file, a PIL image, or an array uint8 [H,W,3] RGB.
            face: "all", "largest", "center", or the number of a face, 0 being the largest.
            region: where the face mask is, [H,W] of the upright photo (bool, uint8 or float in [0,1]),
                instead of what the segmenter finds.
            seed: of the generator's noise; the same seed gives the same picture.
            out: where to write the result; for an image given by path NAME.unmasked.EXT beside it by default.
            overwrite: replace that file if it exists.
            samples: how many guesses to make; from 2 on the faces carry them as ``samples``, with their ``spread``.

        Returns:
            the photo in the type it came in (where a file is written, its path) and its faces.

        Raises:
            NoFaceError, NoMaskError: there is nothing to restore; no image is returned or written then.
            UsageError: a face or region that the photo does not have.
            UnmaskError: the image cannot be read or the result not written.
        """
        draft = self.begin(image, face, region, out, overwrite)
        self.guess([draft], seed, samples)
        return self.finish(draft, seed)

    def restore_many(
        self,
        images: Sequence[Any],
        face: str | int = "all",
        regions: Sequence[NDArray[Any] | None] | None = None,
        seed: int = 0,
        outs: Sequence[str | Path | None] | None = None,
        overwrite: bool = False,
        samples: int = 1,
    ) -> list[Restored | UnmaskError]:
        """Restore several photos, the faces of all of them in common batches.

        All photos are in memory at once; ``unmask restore`` takes folders of any length.

        Args:
            images, regions, outs: as ``image``, ``region`` and ``out`` of :meth:`restore`, one each.
            face, seed, overwrite, samples: as there, for all.

        Returns:
            for each photo, in order, what :meth:`restore` would give back, or the error that it would raise.
        """
        given = [list(each) if each is not None else [None] * len(images) for each in (regions, outs)]
        begun: list[Draft | UnmaskError] = []
        for image, region, out in zip(images, *given, strict=True):
            try:
                begun.append(self.begin(image, face, region, out, overwrite))
            except UnmaskError as error:
                begun.append(error)
        self.guess([draft for draft in begun if isinstance(draft, Draft)], seed, samples)
        done: list[Restored | UnmaskError] = []
        for draft in begun:
            try:
                done.append(self.finish(draft, seed) if isinstance(draft, Draft) else draft)
            except UnmaskError as error:
                done.append(error)
        return done

    def begin(
        self,
        image: Any,
        face: str | int = "all",
        region: NDArray[Any] | None = None,
        out: str | Path | None = None,
        overwrite: bool = False,
    ) -> Draft:
        """The first step of :meth:`restore`, with its arguments: read, find and crop; no model of the region runs."""
        target, photo = target_of(image, out, overwrite), images.read(image)
        faces = self.find(photo.pixels, face, photo.name)
        chosen = [one for one in faces if one.status == "restored"]
        x, matrices = self.aligned(photo.pixels, chosen)
        hidden = None if region is None else given_region(region, photo, matrices, self.size)
        return Draft(image, target, photo, faces, chosen, x, matrices, hidden)

    def guess(self, drafts: Sequence[Draft], seed: int = 0, samples: int = 1, fill: Fill | None = None) -> None:
        """The second step: segment and unmask the crops of all ``drafts`` together; their errors stay in them.

        ``fill`` stands in for the restorer's own; its rows are the worn faces of the drafts, in order.
        """
        unseen = [draft for draft in drafts if draft.hidden is None]
        if unseen:
            counts = [len(draft.x) for draft in unseen]
            hidden, scores = self.segment(torch.cat([draft.x for draft in unseen]))
            for draft, region, score in zip(unseen, hidden.split(counts), scores.split(counts), strict=True):
                draft.hidden, draft.scores = region, score
        for draft in drafts:
            draft.settle()
        worn = [(draft, i) for draft in drafts for i in draft.worn]
        if not worn:
            return
        x = torch.stack([draft.x[i] for draft, i in worn])
        hidden = torch.stack([draft.hidden[i] for draft, i in worn if draft.hidden is not None])
        painted = blend.paint(x, hidden, lambda crops, wide: self.unmask(crops, wide, seed, fill))
        drifts, crops = self._drift(x, painted.seen), images.to_uint8(painted.seen)
        for k, (draft, i) in enumerate(worn):
            face = draft.chosen[i]
            face.status, face.restored, face.drift = "restored", crops[k], drifts[k]
        if samples > 1:
            a, b, c = (t.to(self.device) for t in (x, painted.region, painted.whole))
            parts = sampling.several(sampling.seeded(self.fill, seed), a, b, c, samples, seed)
            share_out([draft.chosen[i] for draft, i in worn], x, painted.region, parts.cpu())
        first = 0
        for draft in drafts:
            rows = slice(first, first + len(draft.worn))
            draft.painted = blend.Painted(painted.whole[rows], painted.seen[rows], painted.region[rows])
            first += len(draft.worn)

    def finish(self, draft: Draft, seed: int = 0) -> Restored:
        """The last step: paste what was guessed into the photo and write it where it goes; raises the draft's error."""
        if draft.error is not None:
            raise draft.error
        assert draft.painted is not None
        pixels = draft.photo.pixels
        for row, i in enumerate(draft.worn):
            pixels = draft.painted.onto(pixels, row, draft.matrices[i], seed, exact=draft.scores is None)
        note = self._note(draft.faces)
        image = give_back(draft.image, draft.target, draft.photo, pixels, note)
        return Restored(image, draft.faces, note, draft.photo.pixels, pixels)

    def find(self, pixels: NDArray[np.uint8], face: str | int = "all", called: str = "the photo") -> list[RestoredFace]:
        """All faces of a photo [H,W,3], largest first; those that ``face`` asks for are "restored" to be."""
        with self._detecting:
            found = self.detector.detect(pixels)
        if not found:
            raise NoFaceError(f"{called}: no face found; give a photo in which the eyes can be seen")
        faces = [RestoredFace(np.asarray(f.bbox), np.asarray(f.kps), float(f.det_score)) for f in found]
        for chosen in choose(faces, face, pixels.shape[:2], called):
            left, top, right, bottom = chosen.bbox[:4]
            chosen.status = "restored" if min(right - left, bottom - top) >= MIN_FACE else "too small"
        if all(f.status != "restored" for f in faces):
            raise NoFaceError(f"{called}: the face is under {MIN_FACE:g} pixels; give a larger photo")
        return faces

    def aligned(
        self, pixels: NDArray[np.uint8], faces: Sequence[RestoredFace]
    ) -> tuple[Tensor, list[NDArray[np.float64]]]:
        """The crops of faces [N,3,S,S] in [-1,1], and the matrix [2,3] from the photo [H,W,3] to each."""
        pairs = [align.crop_face(pixels, one.kps, self.template, self.size) for one in faces]
        return images.to_tensor([crop for crop, _ in pairs]), [matrix for _, matrix in pairs]

    def segment(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Crops [N,3,S,S] in [-1,1] -> region [N,1,S,S] in [0,1] and garment score [N], on the CPU."""
        parts = [self.segmenter.predict(part.to(self.device)) for part in crops.split(BATCH)]
        regions, scores = zip(*parts, strict=True)
        return torch.cat(regions).cpu(), torch.cat(scores).cpu()

    @torch.no_grad()
    def unmask(self, crops: Tensor, region: Tensor, seed: int = 0, fill: Fill | None = None) -> Tensor:
        """Crops [N,3,S,S] in [-1,1] and region [N,1,S,S] -> whole faces as the model sees them, on CPU."""
        fill, parts = fill or sampling.seeded(self.fill, seed), []
        for x, hidden in zip(crops.split(BATCH), region.split(BATCH), strict=True):
            x, hidden = x.to(self.device), hidden.to(self.device)
            parts.append(fill(x, hidden).clamp(-1, 1).float().cpu())
        return torch.cat(parts)

    def _drift(self, before: Tensor, after: Tensor) -> list[float | None]:
        """One minus the cosine of the recognizer's embeddings, for each pair of crops [N,3,S,S]."""
        if self.recognizer is None:
            return [None] * len(before)
        to = align.between(self.template, self.size, self.recognizer.template, self.recognizer.size)
        both = align.warp_tensor(torch.cat([before, after]), to, self.recognizer.size)
        a, b = self.recognizer.embed(both).cpu().chunk(2)
        return list((1 - (a * b).sum(1)).tolist())

    def _note(self, faces: Sequence[RestoredFace]) -> dict[str, Any]:
        boxes = [[round(float(v)) for v in f.bbox[:4]] for f in faces if f.status == "restored"]
        made = {"software": f"unmask {__version__}", "weights": self.made_by}
        return {"statement": STATEMENT, **made, "faces": boxes}


def pick_device(name: str = "auto") -> torch.device:
    """The torch device of a name, "auto" being the GPU where there is one; UsageError if it is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UsageError(f"{name}: no such device here; use auto, cpu or cuda") from None
    return device
