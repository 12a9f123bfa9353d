"""What a detector saw of one photo at several sizes and turns, put together into faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

OVERLAP = 0.4  # intersection over union from which two boxes are one face
INSIDE = 0.6  # and of the smaller box that lies in the other: a part of a face, not another one
SAME = 0.45  # intersection over union from which a box confirms one that was found at another size
WIDEST = 128.0  # pixels as the network sees them: larger faces are left to the coarser passes
CONFIRMED = (16.0, 200.0)  # between these sizes a pass has to confirm what another one found


@dataclass(frozen=True)
class Pass:
    """Boxes and points found in one pass over a photo, in the photo's pixels.

    Attributes:
        boxes: float64 ``[N, 5]``: left, top, right, bottom and score, none over another.
        points: float64 ``[N, 5, 2]``.
        scale: pixels of the pass for one of the photo.
        quarters: by how many quarters the photo was turned counterclockwise for it.
    """

    boxes: Array
    points: Array
    scale: float
    quarters: int = 0

    @property
    def sides(self) -> Array:
        """Sizes of the faces as the network saw them, in pixels ``[N]``."""
        return sizes(self.boxes) * self.scale


def sizes(boxes: Array) -> Array:
    """Roots of the areas of boxes ``[N, 4 or 5]``."""
    return np.sqrt(np.clip(boxes[:, 2:4] - boxes[:, :2], 0, None).prod(1))


def overlaps(one: Array, other: Array) -> tuple[Array, Array]:
    """Intersection over union and over the smaller area of boxes ``[N, >= 4]`` and ``[M, >= 4]``: two ``[N, M]``."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:4], other[None, :, 2:4])
    common = np.clip(high - low, 0, None).prod(2)
    a, b = sizes(one)[:, None] ** 2, sizes(other)[None] ** 2
    return common / np.maximum(a + b - common, 1e-9), common / np.maximum(np.minimum(a, b), 1e-9)


def suppress(boxes: Array, inside: float = 1.1) -> list[int]:
    """Rows of boxes ``[N, 5]`` to keep, best score first: none overlaps a better one.

    From a share ``inside`` of its area on a box also counts as part of one that surrounds it, or the other way round.
    """
    union, smaller = overlaps(boxes, boxes)
    clash = (union > OVERLAP) | (smaller > inside)
    keep: list[int] = []
    for row in np.argsort(-boxes[:, 4], kind="stable").tolist():
        if not clash[row, keep].any():
            keep.append(row)
    return keep


def turned_back(boxes: Array, points: Array, quarters: int, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Boxes ``[N, 5]`` and points ``[N, 5, 2]`` of ``np.rot90(photo, quarters)`` in the photo of ``shape`` [H, W]."""
    corners = boxes[:, :4].reshape(-1, 2, 2)
    both = np.concatenate([corners, points], 1)
    height, width = shape[:2]
    for turned in range(quarters, 0, -1):
        wide = width if turned % 2 else height  # of the picture before that quarter
        both = np.stack([wide - 1 - both[..., 1], both[..., 0]], -1)
    corners = both[:, :2]
    return np.concatenate([corners.min(1), corners.max(1), boxes[:, 4:]], 1), both[:, 2:]


def combined(passes: Sequence[Pass], min_score: float, min_turned: float) -> tuple[Array, Array]:
    """The faces of all passes: boxes ``[N, 5]``, best first, and points ``[N, 5, 2]``.

    A face's score is the mean over the passes at its turn that show it at a size they are good at, so that what one
    size alone takes for a face counts little; its points are the mean over those of them that found it, since their
    errors differ. ``passes`` go from coarse to fine; ``min_turned`` is the least score of faces on their side or upside
    down.
    """
    boxes, points = [np.zeros((0, 5))], [np.zeros((0, 5, 2))]
    for i, one in enumerate(passes):
        coarsest = not any(p.quarters == one.quarters for p in passes[:i])
        rows = np.flatnonzero(coarsest | (one.sides <= WIDEST))
        if len(rows):
            found = one.boxes[rows].copy()
            others = [p for p in passes if p.quarters == one.quarters and p is not one]
            found[:, 4], places = _confirmed(one, rows, others)
            chosen = found[:, 4] >= (min_turned if one.quarters else min_score)
            boxes.append(found[chosen])
            points.append(places[chosen])
    together = np.concatenate(boxes)
    keep = suppress(together, INSIDE)
    return together[keep], np.concatenate(points)[keep]


def _confirmed(one: Pass, rows: NDArray[np.intp], others: Sequence[Pass]) -> tuple[Array, Array]:
    """Scores and points of rows of a pass, averaged with what the other passes give to the same faces."""
    boxes = one.boxes[rows]
    score, asked = boxes[:, 4].copy(), np.ones(len(rows))
    points, seen = one.points[rows].copy(), np.ones(len(rows))
    for other in others:
        side = sizes(boxes) * other.scale
        able = (side >= CONFIRMED[0]) & (side <= CONFIRMED[1])
        if len(other.boxes):
            union = overlaps(boxes, other.boxes)[0]
            agrees = np.where(union >= SAME, other.boxes[:, 4], 0.0)
            score += able * agrees.max(1)
            too = able & (agrees.max(1) > 0)
            points += np.where(too[:, None, None], other.points[agrees.argmax(1)], 0.0)
            seen += too
        asked += able
    return score / asked, points / seen[:, None, None]
