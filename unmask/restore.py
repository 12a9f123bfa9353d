"""The whole way from a photo with a masked face to the photo without: one line a step, in order."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from . import __version__, images, weights
from .errors import NoFaceError, NoMaskError, UnmaskError, UsageError
from .faces import align, blend
from .faces.blend import Fill
from .result import Restored, RestoredFace, give_back, target_of

if TYPE_CHECKING:
    from .faces.detect import Detector
    from .recognition import Recognizer

MIN_FACE = 16.0  # pixels, shorter side of the box; below this there is nothing to align
MIN_COVERAGE = 0.01  # of the crop; less than this is no face mask
MIN_GARMENT = 0.5
BATCH = 16  # crops at once
STATEMENT = (
    "The region under the face mask was synthesised by a generative model: it is a guess, "
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
        recogniser: Recognizer | None = None,
        device: torch.device | str = "cpu",
        made_by: Mapping[str, Any] | None = None,
    ):
        """Put given parts together.

        Args:
            fill: what fills the region of aligned crops; any callable, so that a baseline can stand in.
            size, template: of the crops that ``fill`` takes.
            recogniser: measures identity drift; None leaves it out.
            made_by: what the note says of the weights.
        """
        self.fill, self.segmenter, self.detector, self.recogniser = fill, segmenter, detector, recogniser
        self.size, self.template, self.device = size, template, torch.device(device)
        self.made_by = dict(made_by or {"unmasker": {"name": getattr(fill, "__name__", type(fill).__name__)}})
        self._detecting = threading.Lock()

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path | None = None,
        device: str = "auto",
        detector: str | Path | Detector | None = None,
        segmenter: str | Path | SegmenterLike | None = None,
    ) -> Restorer:
        """Load the embedded pack, a weights folder, or one unmasker checkpoint beside the rest of the pack.

        Args:
            name_or_path: None, a folder with its table, a name in the table, or the path of an unmasker.
            device: "auto", "cpu", "cuda", "cuda:1", "mps".
            detector, segmenter: a name, a path or an object, instead of the pack's own.
        """
        from . import models
        from .faces.detect import load_detector
        from .faces.segment import Segmenter

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
        made_by = {"unmasker": {"file": checkpoint.path.name, "sha256": checkpoint.sha256}}
        if detector is None or isinstance(detector, str | Path):
            detector = load_detector(detector or weights.find("detector", "onnx", folder))
        if segmenter is None or isinstance(segmenter, str | Path):
            segmenter = Segmenter(segmenter or weights.find("segmenter", folder=folder), where)
        return cls(
            unmasker,
            segmenter,
            detector,
            size=unmasker.size,
            template=unmasker.template,
            recogniser=_recogniser(folder),
            device=where,
            made_by=made_by,
        )

    def restore(
        self,
        image: Any,
        face: str | int = "all",
        region: NDArray[Any] | None = None,
        seed: int = 0,
        out: str | Path | None = None,
        overwrite: bool = False,
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

        Returns:
            the photo in the type it came in (where a file is written, its path) and its faces.

        Raises:
            NoFaceError, NoMaskError: there is nothing to restore; no image is returned or written then.
            UsageError: a face or region that the photo does not have.
            UnmaskError: the image cannot be read or the result not written.
        """
        target, photo = target_of(image, out, overwrite), images.read(image)
        faces = self.find(photo.pixels, face, photo.name)
        chosen = [one for one in faces if one.status == "restored"]
        aligned = [align.crop_face(photo.pixels, one.kps, self.template, self.size) for one in chosen]
        crops, matrices = np.stack([crop for crop, _ in aligned]), [matrix for _, matrix in aligned]
        x = images.to_tensor(crops)
        hidden, scores = self.segment(x) if region is None else self._given(region, photo, matrices)
        worn = _worn(hidden, scores, region is not None, photo.name)
        painted = blend.paint(x[worn], hidden[worn], lambda crops, wide: self.unmask(crops, wide, seed))
        drifts = self._drift(x[worn], painted.seen)
        pixels = photo.pixels
        for row, i in enumerate(worn):
            pixels = painted.onto(pixels, row, matrices[i], seed, exact=region is not None)
        for i, one in enumerate(chosen):
            one.status, one.garment_score = "no mask", None if scores is None else float(scores[i])
            one.matrix, one.aligned, one.region = matrices[i], crops[i], hidden[i, 0].numpy()
        for i, crop, drift in zip(worn, images.to_uint8(painted.seen), drifts, strict=True):
            chosen[i].status, chosen[i].restored, chosen[i].drift = "restored", crop, drift
        note = self._note(faces)
        return Restored(give_back(image, target, photo, pixels, note), faces, note, photo.pixels, pixels)

    def find(self, pixels: NDArray[np.uint8], face: str | int = "all", called: str = "the photo") -> list[RestoredFace]:
        """All faces of a photo [H,W,3], largest first; those that ``face`` asks for are "restored" to be."""
        with self._detecting:
            found = self.detector.detect(pixels)
        if not found:
            raise NoFaceError(f"{called}: no face found; give a photo in which the eyes can be seen")
        faces = [RestoredFace(np.asarray(f.bbox), np.asarray(f.kps), float(f.det_score)) for f in found]
        for chosen in _choose(faces, face, pixels.shape[:2], called):
            left, top, right, bottom = chosen.bbox[:4]
            chosen.status = "restored" if min(right - left, bottom - top) >= MIN_FACE else "too small"
        if all(f.status != "restored" for f in faces):
            raise NoFaceError(f"{called}: the face is under {MIN_FACE:g} pixels; give a larger photo")
        return faces

    def segment(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Crops [N,3,S,S] in [-1,1] -> region [N,1,S,S] in [0,1] and garment score [N], on the CPU."""
        parts = [self.segmenter.predict(part.to(self.device)) for part in crops.split(BATCH)]
        regions, scores = zip(*parts, strict=True)
        return torch.cat(regions).cpu(), torch.cat(scores).cpu()

    @torch.no_grad()
    def unmask(self, crops: Tensor, region: Tensor, seed: int = 0) -> Tensor:
        """Crops [N,3,S,S] in [-1,1] and region [N,1,S,S] -> whole faces as the model sees them, on CPU."""
        fill, parts = self._seeded(seed), []
        for x, hidden in zip(crops.split(BATCH), region.split(BATCH), strict=True):
            x, hidden = x.to(self.device), hidden.to(self.device)
            parts.append(fill(x, hidden).clamp(-1, 1).float().cpu())
        return torch.cat(parts)

    def _seeded(self, seed: int) -> Fill:
        """The fill with its generator's noise drawn anew; seed 0 is the noise stored in the checkpoint."""
        if seed == 0 or not isinstance(self.fill, nn.Module):
            return self.fill
        shared = {id(parameter): parameter for parameter in self.fill.parameters()}
        twin = copy.deepcopy(self.fill, memo=shared)  # a copy, so that threads do not see each other's noise
        drawn = torch.Generator().manual_seed(seed)
        for name, buffer in twin.named_buffers():
            if name.rpartition(".")[2] == "noise_const":
                buffer.copy_(torch.randn(buffer.shape, generator=drawn))
        return twin

    def _given(
        self, region: NDArray[Any], photo: images.Photo, matrices: Sequence[NDArray[np.float64]]
    ) -> tuple[Tensor, None]:
        """A region of the whole photo as regions [N,1,S,S] of the crops."""
        size = photo.pixels.shape[:2]
        if region.shape != size:
            have, want = ("x".join(map(str, reversed(shape))) for shape in (region.shape, size))
            raise UsageError(
                f"{photo.name}: the region is {have}, the upright photo {want} pixels; give one of its size"
            )
        levels = region.astype(np.float32) / (255.0 if region.dtype == np.uint8 else 1.0)
        parts = [align.warp(levels, matrix, self.size, border="constant", filter="linear") for matrix in matrices]
        return torch.from_numpy(np.stack(parts)[:, None]).clamp(0, 1), None

    def _drift(self, before: Tensor, after: Tensor) -> list[float | None]:
        """One minus the cosine of the recogniser's embeddings, for each pair of crops [N,3,S,S]."""
        if self.recogniser is None:
            return [None] * len(before)
        to = align.between(self.template, self.size, self.recogniser.template, self.recogniser.size)
        both = align.warp_tensor(torch.cat([before, after]), to, self.recogniser.size)
        a, b = self.recogniser.embed(both).cpu().chunk(2)
        return list((1 - (a * b).sum(1)).tolist())

    def _note(self, faces: Sequence[RestoredFace]) -> dict[str, Any]:
        boxes = [[round(float(v)) for v in f.bbox[:4]] for f in faces if f.status == "restored"]
        return {
            "statement": STATEMENT,
            "software": f"unmask {__version__}",
            "weights": self.made_by,
            "faces": boxes,
        }


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


def _choose(
    faces: Sequence[RestoredFace], face: str | int, size: tuple[int, int], called: str
) -> Sequence[RestoredFace]:
    """The faces asked for, of all faces from largest to smallest."""
    if face == "all":
        return faces
    if face == "largest":
        return faces[:1]
    if face == "center":
        middle = np.array([size[1] - 1, size[0] - 1]) / 2
        return [min(faces, key=lambda f: float(np.hypot(*((f.bbox[:2] + f.bbox[2:4]) / 2 - middle))))]
    if isinstance(face, int) and 0 <= face < len(faces):
        return [faces[face]]
    if isinstance(face, int):
        raise UsageError(f"{called}: has no face {face}; its faces are 0 to {len(faces) - 1}, 0 the largest")
    raise UsageError(f"{face!r}: no choice of faces; use all, largest, center or a number")


def _worn(hidden: Tensor, scores: Tensor | None, given: bool, called: str) -> list[int]:
    """Which faces wear a face mask, by region [N,1,S,S] and garment score [N]; NoMaskError if none does."""
    worn = (hidden > 0.5).float().mean(dim=(1, 2, 3)) >= MIN_COVERAGE
    if scores is not None:
        worn &= scores >= MIN_GARMENT
    if not worn.any() and given:
        raise NoMaskError(f"{called}: the region given covers no face; draw it where the face mask is")
    if not worn.any():
        raise NoMaskError(f"{called}: no face mask found; if there is one, say where with a region")
    return [int(i) for i in worn.nonzero()[:, 0]]


def _recogniser(folder: Path | None) -> Recognizer | None:
    """The pack's recogniser, as ONNX where there is one (faster); None in a folder without."""
    from . import recognition

    row = next((row for row in weights.rows(folder) if row.name == "recogniser"), None)
    if row is None:
        return None
    return recognition.load(weights.find("recogniser", "onnx" if row.onnx else "safetensors", folder))
