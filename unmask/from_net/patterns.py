"""Occlusion patterns of FROM (Qiu et al. 2021): which cells of a K x K grid over the face something covers.

A pattern is one of the axis-aligned rectangles of whole cells, or no occlusion (class 0): ``(K (K + 1) / 2)^2 + 1`` in
all. An occlusion is labeled with the pattern that overlaps most with its bounding rectangle.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Boxes = NDArray[np.int64]


def count(k: int) -> int:
    """How many patterns a K x K grid has, the one without occlusion included: 101 for K = 4, 226 for K = 5."""
    return (k * (k + 1) // 2) ** 2 + 1


def edges(k: int, length: int) -> Boxes:
    """The K + 1 borders of the cells along a side of ``length`` pixels, rounded down, int64."""
    return np.linspace(0, length, k + 1).astype(np.int64)


def rectangles(k: int, size: tuple[int, int]) -> Boxes:
    """Every pattern as x1, y1, x2, y2 in pixels (the ends excluded) of a face of ``size`` (height, width).

    Returns:
        int64 [count(k), 4]; row 0, the pattern without occlusion, is all zero. The others are ordered by top, left,
        bottom and right edge.
    """
    ys, xs = edges(k, size[0]), edges(k, size[1])
    found = [(0, 0, 0, 0)]
    for top in range(k):
        for left in range(k):
            found += [
                (int(xs[left]), int(ys[top]), int(xs[right]), int(ys[bottom]))
                for bottom in range(top + 1, k + 1) for right in range(left + 1, k + 1)
            ]  # fmt: skip
    return np.array(found, np.int64)


def labels(boxes: ArrayLike, k: int, size: tuple[int, int]) -> Boxes:
    """The pattern with the largest intersection over union for each occlusion.

    Args:
        boxes: [N, 4] x1, y1, x2, y2 in pixels (ends excluded), clipped to the face here; an empty one is no occlusion.
        k: cells along each side.
        size: (height, width) of the face.

    Returns:
        int64 [N] in [0, count(k)); the first of equals.
    """
    height, width = size
    given = np.asarray(boxes, np.float64).reshape(-1, 4).clip(0, (width, height, width, height))
    known = rectangles(k, size).astype(np.float64)
    sides = np.minimum(given[:, None, 2:], known[:, 2:]) - np.maximum(given[:, None, :2], known[:, :2])
    common = np.prod(sides.clip(0), -1)  # [N, patterns]
    own, theirs = area(given), area(known)
    overlap = common / np.maximum(own[:, None] + theirs - common, 1e-9)
    return np.where(own > 0, overlap.argmax(1), 0)


def area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Areas [N] of boxes [N, 4], zero where a box is turned inside out."""
    return np.prod((boxes[:, 2:] - boxes[:, :2]).clip(0), -1)


def bounds(region: NDArray[np.uint8]) -> Boxes:
    """The bounding rectangle x1, y1, x2, y2 (ends excluded) of a region uint8 [H, W] above one half; zeros for none."""
    solid = region > 127
    if not solid.any():
        return np.zeros(4, np.int64)
    ys, xs = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    return np.array([xs[0], ys[0], xs[-1] + 1, ys[-1] + 1], np.int64)
