"""From what a detector found to faces: the second look, where there is a landmarker, decides and aligns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import NoFaceError, UsageError
from .results import RestoredFace

if TYPE_CHECKING:
    from ..faces.detect import Face
    from ..faces.landmarks import Landmarker

MIN_FACE = 16.0  # pixels, shorter side of the box; below this there is nothing to align
MIN_SCORE = 0.5
DOUBT = 0.1  # a second look that gives a face mask less than this overrules the segmenter


def verify(
    pixels: NDArray[np.uint8], found: Sequence[Face], landmarker: Landmarker | None, min_score: float = MIN_SCORE
) -> list[RestoredFace]:
    """The faces of a photo uint8 [H,W,3], largest first, none of them chosen yet.

    Without a landmarker those are the detector's. With one, only what it gives a score of ``min_score`` is a face, each
    of them once, with the points that it found.
    """
    if landmarker is None:
        return [RestoredFace(np.asarray(f.bbox), _settled(f.kps), float(f.det_score)) for f in found]
    return [
        RestoredFace(
            face.bbox,
            _settled(face.kps),
            float(face.det_score),
            face_score=result.face,
            roll=result.roll,
            mask_score=result.garment,
        )
        for face, result in landmarker.verify(pixels, found, min_score)
    ]


def _settled(kps: NDArray[np.floating]) -> NDArray[np.float64]:
    """Points to a 16th of a pixel, so that the noise of arithmetic, which engines differ in, does not move the crop."""
    return np.round(np.asarray(kps, np.float64) * 16) / 16


def marked(faces: list[RestoredFace], face: str | int, size: tuple[int, int], called: str) -> list[RestoredFace]:
    """All faces of a photo of ``size`` (height, width), those that ``face`` asks for being "found" or "too small".

    Raises:
        NoFaceError: there is none, or none of these is large enough.
    """
    if not faces:
        raise NoFaceError(f"{called}: no face found; give a photo in which the eyes can be seen")
    for chosen in choose(faces, face, size, called):
        left, top, right, bottom = chosen.bbox[:4]
        chosen.status = "found" if min(right - left, bottom - top) >= MIN_FACE else "too small"
    if all(one.status != "found" for one in faces):
        raise NoFaceError(f"{called}: the face is under {MIN_FACE:g} pixels; give a larger photo")
    return faces


def choose(
    faces: Sequence[RestoredFace], face: str | int, size: tuple[int, int], called: str
) -> Sequence[RestoredFace]:
    """The faces asked for (see :meth:`unmask.restore.Restorer.restore`), of all faces from largest to smallest."""
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


def both_scores(garment: NDArray[np.float32], faces: Sequence[RestoredFace]) -> NDArray[np.float32]:
    """Garment scores [N] of the segmenter, 0 where the second look is sure that no face mask is worn."""
    bare = np.array([face.mask_score is not None and face.mask_score < DOUBT for face in faces], bool)
    return np.where(bare, np.float32(0), garment)
