"""A photo whose faces are found, with their regions and one verdict each; and what is then filled in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .. import images
from ..errors import NoMaskError, UnmaskError, UsageError
from ..faces import align
from ..faces.blend import Painted
from .results import RestoredFace

Floats = NDArray[np.float32]

MIN_COVERAGE = 0.01  # of the crop; less than this is no face mask
MIN_GARMENT = 0.5


class SegmenterLike(Protocol):
    """What finds the region of the face mask in aligned crops."""

    def predict(self, crops: Floats) -> tuple[Floats, Floats]:
        """Crops [N,3,S,S] in [-1,1] -> region [N,1,S,S] in [0,1], garment score [N] in [0,1]."""
        ...


def wears_mask(region: Floats, garment_score: Floats | None = None) -> NDArray[np.bool_]:
    """Which faces wear a face mask: the only place where that is decided.

    Args:
        region: [N,1,S,S] in [0,1] of the crops.
        garment_score: [N] in [0,1]; None where a person gave the region, who is believed.

    Returns:
        bool [N].
    """
    worn = (region > 0.5).mean(axis=(1, 2, 3)) >= MIN_COVERAGE
    return np.asarray(worn if garment_score is None else worn & (garment_score >= MIN_GARMENT))


@dataclass
class Located:
    """A photo with its faces found, cropped and judged by :meth:`Restorer.locate`, and later filled.

    Attributes:
        image, target: what was given, and the file to write, if any.
        photo: the photo as read.
        faces: every face found, largest first; ``chosen`` are those of them that were asked for and are large enough.
        x: the crops of the chosen ones, [N,3,S,S] in [-1,1].
        matrices: from the photo to each crop, float64 [2,3].
        region: their regions [N,1,S,S] in [0,1].
        scores: their garment scores [N].
        given: a person gave the region, so that it is kept to exactly and garment scores do not count.
        masked: which of the crops wear a face mask.
        error: why nothing of this photo can be restored.
        painted: the restored faces, one row for each of ``masked``; None until filled.
        seed: what they were filled with.
    """

    image: Any
    target: Path | None
    photo: images.Photo
    faces: list[RestoredFace]
    chosen: list[RestoredFace]
    x: Floats
    matrices: list[NDArray[np.float64]]
    region: Floats
    scores: Floats
    given: bool = False
    masked: Sequence[int] = ()
    error: UnmaskError | None = None
    painted: Painted | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        self.decide()

    def decide(self) -> None:
        """See which faces wear a face mask and note what is known of each; again after ``region`` was changed."""
        crops = images.to_uint8(self.x)
        worn = wears_mask(self.region, None if self.given else self.scores).tolist()
        for i, one in enumerate(self.chosen):
            one.status, one.region_given = "masked" if worn[i] else "no mask", self.given
            one.garment_score = None if self.given else float(self.scores[i])
            one.matrix, one.aligned, one.region = self.matrices[i], crops[i], self.region[i, 0]
        self.masked, self.error = [i for i, yes in enumerate(worn) if yes], None
        if not self.masked:
            self.error = NoMaskError(
                f"{self.photo.name}: the region given covers no face; draw it where the face mask is"
                if self.given
                else f"{self.photo.name}: no face mask found; if there is one, give it with --region (region= in code)"
            )


def given_region(
    region: NDArray[Any], photo: images.Photo, matrices: Sequence[NDArray[np.float64]], size: int
) -> Floats:
    """A region of the whole photo (bool, uint8 or float in [0,1], [H,W]) as regions [N,1,S,S] of the crops."""
    shape = photo.pixels.shape[:2]
    if region.shape != shape:
        have, want = ("x".join(map(str, reversed(one))) for one in (region.shape, shape))
        raise UsageError(f"{photo.name}: the region is {have}, the upright photo {want} pixels; give one of its size")
    levels = region.astype(np.float32) / (255.0 if region.dtype == np.uint8 else 1.0)
    parts = [align.warp(levels, matrix, size, border="constant", filter="linear") for matrix in matrices]
    return np.asarray(np.stack(parts)[:, None].clip(0, 1), np.float32)
