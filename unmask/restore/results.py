"""What a restoration gives back: the photo, its faces, and what was done with each."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__, formats, images
from ..errors import UnmaskError, UsageError
from ..faces import align, blend
from . import identity

if TYPE_CHECKING:
    from ..recognition import Recognizer

Floats = NDArray[np.float32]

STATEMENT = (
    "The region under the face mask was synthesized by a generative model: it is a guess, "
    "not what the mask hid, and no evidence of identity."
)
SOFT = 2.5  # pixels of the photo for one that is painted, from which on a face looks soft
WHITE = 64.0  # levels of spread that are drawn white


@dataclass
class RestoredFace:
    """One face of a photo and what was done with it.

    Attributes:
        bbox, kps, det_score: box, points and the detector's score, in pixels of the upright photo; the points are those
            of the second look where there is one.
        status: "restored", "no mask" (left alone), "too small" or "not chosen"; before it is filled "masked", and
            "found" before it is known whether a face mask is worn.
        matrix: float64 [2,3] from the photo to the crop; None where the face was not aligned.
        aligned, restored: the crop before and after, uint8 [S,S,3].
        region: float32 [S,S] in [0,1] of the crop, 1 = hidden by the face mask.
        region_given: a person gave the region.
        garment_score: how sure the segmenter is that a face mask is worn; None where the region was given.
        face_score, roll, mask_score: what the second look says: how sure it is that this is the face of a real person,
            by how many degrees it is turned clockwise, and how sure it is that a face mask is worn; None without one.
        drift: one minus the cosine between a recognizer's embeddings of the crop before and after: how far
            the restoration moved the face from what is seen, not whether the restored face is the true one.
        likeness: cosines to the reference photos of the crop before and after, by the recognizer whose embeddings the
            unmasker takes; None without such photos. One that begins below
            :data:`unmask.restore.identity.ALIKE` got none of them.
        samples: uint8 [K,S,S,3], K guesses as ``restored`` (which is among them), those that agree best with what is
            visible first; None where only one was asked for.
        spread: float32 [S,S], how far they differ: standard deviation in levels of 255, mean over the colors.
        whole: uint8 [K,S,S,3], the samples before they were laid under the region.
    """

    bbox: NDArray[np.float64]
    kps: NDArray[np.float64]
    det_score: float
    status: str = "not chosen"
    matrix: NDArray[np.float64] | None = None
    aligned: NDArray[np.uint8] | None = None
    region: NDArray[np.float32] | None = None
    region_given: bool = False
    restored: NDArray[np.uint8] | None = None
    garment_score: float | None = None
    face_score: float | None = None
    roll: float | None = None
    mask_score: float | None = None
    drift: float | None = None
    likeness: tuple[float, float] | None = None
    samples: NDArray[np.uint8] | None = None
    spread: NDArray[np.float32] | None = None
    whole: NDArray[np.uint8] | None = None

    def facts(self) -> dict[str, Any]:
        """The face in JSON values, without its pictures."""
        facts = {
            "status": self.status,
            "bbox": [round(float(v), 1) for v in self.bbox[:4]],
            "kps": [[round(float(x), 1), round(float(y), 1)] for x, y in self.kps],
            "det_score": self.det_score,
            "garment_score": self.garment_score,
            "face_score": self.face_score,
            "roll": self.roll,
            "mask_score": self.mask_score,
            "region": self.region_box(),
            "coverage": None if self.region is None else float((self.region > 0.5).mean()),
            "drift": self.drift,
            "likeness": None if self.likeness is None else [round(one, 4) for one in self.likeness],
            "enlarged": self.enlarged,
        }
        return {key: round(value, 4) if isinstance(value, float) else value for key, value in facts.items()}

    @property
    def enlarged(self) -> float | None:
        """How many pixels of the photo one painted pixel spans; None where the face was not aligned."""
        return None if self.matrix is None else 1 / align.scale_of(self.matrix)

    def region_box(self) -> list[float] | None:
        """Left, top, right and bottom of the region in the photo's pixels; None where there is none."""
        ys, xs = np.nonzero(self.region > 0.5) if self.region is not None else ((), ())
        if self.matrix is None or len(xs) == 0:
            return None
        spots = align.transform_points(np.stack([xs, ys], axis=1), align.invert(self.matrix))
        return [round(float(v), 1) for v in (*spots.min(axis=0), *spots.max(axis=0))]


@dataclass(frozen=True)
class Restored:
    """A restored photo.

    Attributes:
        image: the result in the type that was given; for a path, the path of the file written.
        faces: every face found, largest first.
        note: the provenance that is written into files.
        before, pixels: the upright photo before and after, uint8 [H,W,3].
        seed: what it was filled with.
    """

    image: Any
    faces: list[RestoredFace]
    note: dict[str, Any]
    before: NDArray[np.uint8] = field(repr=False)
    pixels: NDArray[np.uint8] = field(repr=False)
    seed: int = 0

    @property
    def region(self) -> NDArray[np.float32]:
        """What was synthesized, float32 [H,W] in [0,1] of the upright photo, before feathering."""
        return self._on_photo("region").clip(0, 1)

    @property
    def spread(self) -> NDArray[np.float32]:
        """How far the samples differ, float32 [H,W] in levels of 255 on the upright photo; 0 where nothing was done."""
        return self._on_photo("spread")

    @property
    def spread_levels(self) -> NDArray[np.uint8]:
        """The spread as a gray picture, uint8 [H,W]: white from :data:`WHITE` levels on."""
        return (self.spread * (255 / WHITE)).clip(0, 255).round().astype(np.uint8)

    def _on_photo(self, name: str) -> NDArray[np.float32]:
        """A map [S,S] of every restored face, on the photo [H,W]."""
        size = self.pixels.shape[:2]
        out = np.zeros(size, np.float32)
        for face in self.faces:
            crop = getattr(face, name)
            if face.status == "restored" and crop is not None and face.matrix is not None:
                back = align.invert(face.matrix)
                out = np.maximum(out, align.warp(crop, back, size, border="constant", filter="linear"))
        return out

    def sample(self, k: int) -> NDArray[np.uint8]:
        """The photo with guess ``k`` in every face, uint8 [H,W,3]; UsageError where there is none."""
        pixels = self.before
        for face in self.faces:
            if face.status == "restored" and face.region is not None and face.matrix is not None:
                if face.whole is None or not 0 <= k < len(face.whole):
                    raise UsageError(f"there is no sample {k}; ask restore for more samples")
                painted = blend.grown(face.region[None, None])[0, 0]
                cover = not face.region_given  # a region that somebody drew is kept to
                pixels = blend.paste(pixels, face.whole[k], painted, face.matrix, seed=self.seed, cover=cover).pixels
        return pixels

    @property
    def warning(self) -> str | None:
        """One line where a restored face is much larger than what the model paints; None else."""
        faces = [face for face in self.faces if face.status == "restored" and (face.enlarged or 0) > SOFT]
        if not faces:
            return None
        face = max(faces, key=lambda one: one.enlarged or 0)
        assert face.aligned is not None and face.enlarged is not None
        size = len(face.aligned)
        return f"face {round(size * face.enlarged)} px, model {size} px: it will look soft"

    def summary(self) -> str:
        """One short line for people: "2 faces restored, 1 without a face mask"."""
        words = {"restored": "restored", "no mask": "without a face mask", "too small": "too small"}
        counts = {status: sum(face.status == status for face in self.faces) for status in words}
        parts = [f"{count} {words[status]}" for status, count in counts.items() if count]
        if parts:
            first = counts["restored"] or next(count for count in counts.values() if count)
            number, _, rest = parts[0].partition(" ")
            parts[0] = f"{number} face{'s' if first > 1 else ''} {rest}"
        return "; ".join([", ".join(parts), *(_compared(*face.likeness) for face in self.faces if face.likeness)])


def _compared(before: float, after: float) -> str:
    """What the reference photos did to a face, for people."""
    if before < identity.ALIKE:
        return f"the reference is not this person, it seems (likeness {before:.2f}), and was not used"
    return f"likeness to the reference {before:.2f} before, {after:.2f} after"


def target_of(image: Any, out: str | Path | None, overwrite: bool) -> Path | None:
    """The file to write, if one is; refuses the input itself and, without ``overwrite``, what exists."""
    given = Path(image) if isinstance(image, str | Path) else None
    if out is not None:
        target = Path(out)
    elif given is not None:
        target = given.with_name(f"{given.stem}.unmasked{given.suffix}")
    else:
        return None
    formats.refuse_unwritable(target, given or Path(str(getattr(image, "name", ""))))
    if given is not None and os.path.realpath(target) == os.path.realpath(given):
        raise UsageError(f"{target}: is the input itself; give another file to write")
    if os.path.exists(target) and not os.path.isfile(target):
        raise UnmaskError(f"{target}: is no file and is not replaced; give a file to write")
    if os.path.exists(target) and not overwrite:
        raise UnmaskError(f"{target}: exists; say overwrite to replace it")
    return target


def give_back(
    image: Any, target: Path | None, photo: images.Photo, pixels: NDArray[np.uint8], note: dict[str, Any]
) -> Any:
    """The result in the type that was given; where a file is to be written, its path."""
    if target is None:
        return images.like_source(photo, pixels, note)
    images.write(photo, pixels, target, note)
    return str(target) if isinstance(image, str) else target


def share_out(faces: Sequence[RestoredFace], x: Floats, painted: Floats, drawn: Sequence[Floats]) -> None:
    """Give each face its samples, K times ``drawn`` [N,3,S,S], and their spread; x [N,3,S,S], painted [N,1,S,S]."""
    shown = np.stack([images.to_uint8(blend.composite(x, one, painted)) for one in drawn])
    whole = np.stack([images.to_uint8(one) for one in drawn])
    for k, face in enumerate(faces):
        face.samples, face.whole = shown[:, k], whole[:, k]
        face.spread = shown[:, k].astype(np.float32).std(axis=0).mean(axis=2)


def compare(
    before: Floats, after: Floats, template: str, recognizer: Recognizer | None, reference: Floats | None = None
) -> list[tuple[float | None, tuple[float, float] | None]]:
    """Drift and likeness of :class:`RestoredFace` for each pair of crops [N,3,S,S]; None where nothing measures them.

    ``reference`` [D] is the recognizer's embedding of the reference photos.
    """
    if recognizer is None:
        return [(None, None)] * len(before)
    a, b = np.split(identity.embed(np.concatenate([before, after]), template, recognizer), 2)
    drifts = (1 - (a * b).sum(1)).tolist()
    if reference is None:
        return [(one, None) for one in drifts]
    return list(zip(drifts, zip((a @ reference).tolist(), (b @ reference).tolist(), strict=True), strict=True))


def provenance(faces: Sequence[RestoredFace], made_by: Mapping[str, Any]) -> dict[str, Any]:
    """What is written into files: that it is a guess, by what it was made, and where."""
    boxes = [[round(float(v)) for v in face.bbox[:4]] for face in faces if face.status == "restored"]
    return {"statement": STATEMENT, "software": f"unmask {__version__}", "weights": made_by, "faces": boxes}
