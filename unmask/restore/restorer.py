"""The whole way from a photo with a masked face to the photo without: one line a step, in order."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import images, weights
from ..engines import Choice
from ..errors import UnmaskError
from ..faces import align, blend
from ..faces.blend import Fill, Floats
from . import finding, identity, sampling
from .finding import MIN_SCORE
from .located import Located, SegmenterLike, given_region
from .parts import of
from .results import Restored, RestoredFace, compare, give_back, provenance, share_out, target_of

if TYPE_CHECKING:
    from ..faces.detect import Detector
    from ..faces.landmarks import Landmarker
    from ..recognition import Recognizer

BATCH = 16  # crops at once
_NAMES = ("name_or_path", "device", "detector", "segmenter", "min_score", "engine")


class Restorer:
    """Detector, segmenter and unmasker put together; may be shared between threads."""

    def __init__(
        self,
        model: Fill,
        segmenter: SegmenterLike,
        detector: Detector,
        *,
        size: int = 128,
        template: str = "ffhq",
        recognizer: Recognizer | None = None,
        landmarker: Landmarker | None = None,
        min_score: float = MIN_SCORE,
        device: str = "cpu",
        made_by: Mapping[str, Any] | None = None,
        parts: Mapping[str, str] | None = None,
    ):
        """Put given parts together.

        Args:
            model: what fills the region of aligned crops; any callable on arrays, so that a baseline can stand in, or
                an :class:`unmask.engines.Inverter`.
            size, template: of the crops that ``model`` takes.
            recognizer: measures identity drift; None leaves it out.
            landmarker: takes a second look at what the detector found; None believes it.
            min_score: what its face score has to be at least; less restores drawings too.
            made_by: what the note says of the weights.
            device: where ``model`` runs.
            parts: the sha256 of each model's file, by which a later run knows whether a result is still good.
        """
        self.model, self.segmenter, self.detector, self.recognizer = model, segmenter, detector, recognizer
        self.landmarker, self.min_score, self.size, self.template = landmarker, min_score, size, template
        self.made_by = dict(made_by or {"unmasker": {"name": getattr(model, "__name__", type(model).__name__)}})
        self.parts = dict(parts or {"unmasker": str(self.made_by)})
        self.device, self._detecting = str(device), threading.Lock()
        self._process = os.getpid()
        self.choice: Choice | None = getattr(model, "choice", None)
        self._loaded: dict[str, Any] | None = None  # what :meth:`from_pretrained` was given, if that can be pickled

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path | None = None,
        device: str = "auto",
        detector: str | Path | Detector | None = None,
        segmenter: str | Path | SegmenterLike | None = None,
        min_score: float = MIN_SCORE,
        engine: str = "auto",
        reference: Sequence[Any] = (),
    ) -> Restorer:
        """Load the embedded pack, or what a person has instead of some of it; the pack stands in for the rest.

        Args:
            name_or_path: None, a weights folder with its table, a run's folder or its ``last.pt``, the path of an
                unmasker, or a name in the pack's table (see :mod:`.parts`).
            device: "auto", "cpu", "cuda", "cuda:1", "mps" (torch), "coreml" or "dml" (ONNX Runtime).
            detector, segmenter: a name, a path or an object, instead of the pack's own.
            engine: "onnx" (no torch is needed), "torch", or "auto": ONNX Runtime on CPUs, torch where it sees a GPU or
                weights have no ONNX file. Both give the same pictures within a level.
            min_score: as :class:`Restorer` takes it; a pack without a landmarker has no second look.
            reference: a photo of a person or several, as :meth:`restore` takes them, whose largest faces' embedding
                stands in for that of the masked faces that are like it (:mod:`.identity` says how, and what it raises).
        """
        given = dict(zip(_NAMES, (name_or_path, device, detector, segmenter, min_score, engine), strict=True))
        unmasker, seen, finds, looker, recognizer = of(name_or_path).loaded(engine, device, detector, segmenter)
        parts = {
            "unmasker": unmasker.sha256,
            "segmenter": getattr(seen, "sha256", type(seen).__name__),
            "detector": weights.fingerprint(finds),
        }
        if looker is not None:
            parts |= {"landmarker": looker.sha256, "min_score": f"{min_score:g}"}
        made = cls(
            *(unmasker, seen, finds),
            size=unmasker.size,
            template=unmasker.template,
            recognizer=recognizer,
            landmarker=looker,
            min_score=min_score,
            device=unmasker.choice.device,
            made_by={"unmasker": {"file": unmasker.path.name, "sha256": unmasker.sha256}},
            parts=parts,
        )
        if all(one is None or isinstance(one, str | Path | float) for one in (*given.values(), *reference)):
            made._loaded = {**given, "reference": tuple(reference)}
        if reference:
            made._refer_to(reference)
        return made

    def _refer_to(self, photos: Sequence[Any]) -> None:
        self.model = model = identity.referring(self, photos)
        self.parts["reference"] = hashlib.sha256(np.asarray(model.reference).tobytes()).hexdigest()
        self.made_by["reference"] = {"photos": len(photos)}

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as what it was loaded from, so that a spawned worker loads it anew."""
        if self._loaded is None:
            raise TypeError("a Restorer made of objects cannot be pickled; make it with from_pretrained from names")
        return partial(Restorer.from_pretrained, **self._loaded), ()

    def _same_process(self) -> None:
        if os.getpid() != self._process:
            raise UnmaskError(
                "this restorer was loaded before the process forked; load it in each worker, or spawn them"
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
        located = self.locate(image, face, region, out, overwrite)
        self.fill([located], seed, samples)
        return self.paste(located)

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
        located: list[Located | UnmaskError] = []
        for image, region, out in zip(images, *given, strict=True):
            try:
                located.append(self.locate(image, face, region, out, overwrite))
            except UnmaskError as error:
                located.append(error)
        self.fill([one for one in located if isinstance(one, Located)], seed, samples)
        done: list[Restored | UnmaskError] = []
        for one in located:
            try:
                done.append(self.paste(one) if isinstance(one, Located) else one)
            except UnmaskError as error:
                done.append(error)
        return done

    def locate(
        self,
        image: Any,
        face: str | int = "all",
        region: NDArray[Any] | None = None,
        out: str | Path | None = None,
        overwrite: bool = False,
        faces: Sequence[RestoredFace] | None = None,
    ) -> Located:
        """The faces of a photo with their regions and one verdict each: the first half of :meth:`restore`.

        Args:
            image: as :meth:`restore` takes it, or a photo that was read already.
            face, region, out, overwrite: as there.
            faces: faces that are known already, "found" those to look at; None to find them.

        Raises:
            NoFaceError: there is no face, or none of the wanted ones is large enough.
            UnmaskError: the image cannot be read. That no face wears a face mask is kept in ``error`` instead.
        """
        target = target_of(image, out, overwrite)
        photo = image if isinstance(image, images.Photo) else images.read(image)
        known = self.find(photo.pixels, face, photo.name) if faces is None else list(faces)
        chosen = [f for f in known if f.status == "found"]
        pairs = [align.crop_face(photo.pixels, f.kps, self.template, self.size) for f in chosen]
        x, matrices = images.to_float([crop for crop, _ in pairs]), [matrix for _, matrix in pairs]
        if region is not None:
            hidden, scores = given_region(region, photo, matrices, self.size), np.ones(len(chosen), np.float32)
        else:
            hidden, scores = self.segment(x)
            scores = finding.both_scores(scores, chosen)
        return Located(image, target, photo, known, chosen, x, matrices, hidden, scores, region is not None)

    def fill(
        self,
        located: Sequence[Located],
        seed: int = 0,
        samples: int = 1,
        model: Fill | None = None,
        exact: bool = False,
        with_drift: bool = True,
    ) -> None:
        """Unmask the crops of all ``located`` photos together, the other half; their errors stay in them.

        ``model`` stands in for the restorer's own; its rows are the masked faces, in order. With ``exact`` the regions
        are not grown before they are filled: they are known to a pixel. Without ``with_drift`` no drift is measured.
        """
        masked = [(one, i) for one in located for i in one.masked]
        if not masked:
            return
        x = np.stack([one.x[i] for one, i in masked])
        region = np.stack([one.region[i] for one, i in masked])
        painted = blend.paint(x, region, lambda crops, wide: self.unmask(crops, wide, seed, model), exact)
        known = getattr(self.model, "reference", None)
        found = compare(x, painted.seen, self.template, self.recognizer if with_drift else None, known)
        for (one, i), crop, (drift, likeness) in zip(masked, images.to_uint8(painted.seen), found, strict=True):
            face = one.chosen[i]
            face.status, face.restored, face.drift, face.likeness = "restored", crop, drift, likeness
        if samples > 1:
            drawn = sampling.toned(sampling.seeded(self.model, seed), x, painted, samples, seed)
            share_out([one.chosen[i] for one, i in masked], x, painted.region, drawn)
        ends = np.cumsum([len(one.masked) for one in located])[:-1]
        parts = zip(*(np.split(array, ends) for array in vars(painted).values()), strict=True)
        for one, part in zip(located, parts, strict=True):
            one.painted, one.seed = blend.Painted(*part), seed

    def paste(self, located: Located) -> Restored:
        """Put what was filled into the photo and write it where it goes; raises the error of a photo without any."""
        if located.error is not None:
            raise located.error
        if located.painted is None:
            raise ValueError("fill comes before paste")
        pixels = located.photo.pixels
        for row, i in enumerate(located.masked):
            pixels = located.painted.onto(pixels, row, located.matrices[i], located.seed, exact=located.given)
        note = provenance(located.faces, self.made_by)
        image = give_back(located.image, located.target, located.photo, pixels, note)
        return Restored(image, located.faces, note, located.photo.pixels, pixels, located.seed)

    def find(self, pixels: NDArray[np.uint8], face: str | int = "all", called: str = "the photo") -> list[RestoredFace]:
        """All faces of a photo [H,W,3], largest first; those that ``face`` asks for are "found"."""
        self._same_process()
        with self._detecting:
            found = self.detector.detect(pixels)
        seen = finding.verify(pixels, found, self.landmarker, self.min_score)
        return finding.marked(seen, face, pixels.shape[:2], called)

    def segment(self, crops: Floats) -> tuple[Floats, Floats]:
        """Crops [N,3,S,S] in [-1,1] -> region [N,1,S,S] in [0,1] and garment score [N]."""
        self._same_process()
        parts = [self.segmenter.predict(crops[i : i + BATCH]) for i in range(0, len(crops), BATCH)]
        regions, scores = zip(*parts, strict=True)
        return np.concatenate(regions), np.concatenate(scores)

    def unmask(self, crops: Floats, region: Floats, seed: int = 0, model: Fill | None = None) -> Floats:
        """Crops [N,3,S,S] in [-1,1] and region [N,1,S,S] -> whole faces as the model sees them."""
        self._same_process()
        model = model or sampling.seeded(self.model, seed)
        rows = [slice(i, i + BATCH) for i in range(0, len(crops), BATCH)]
        return np.concatenate([np.asarray(model(crops[i], region[i]), np.float32).clip(-1, 1) for i in rows])
