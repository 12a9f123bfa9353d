"""Where a face lies in a wide crop, whether that makes the crop one of this face, and crops that show it so or not."""

from __future__ import annotations

import numpy as np

from ..faces import align
from ..faces.landmarks import MARGIN, TEMPLATE
from .boxes import placed

# How far the middle of a face may lie from the crop's, in sides of the aligned face, and the log of its relative size:
# up to NEAR it is a face, from FAR on it is none, and up to REACH its points are asked for.
NEAR, FAR, REACH = (0.22, 0.4), (0.4, 0.7), (0.45, 0.75)
UNKNOWN = -1


def relation(points: np.ndarray, matrix: np.ndarray, size: int) -> tuple[float, float]:
    """How far the middle of a face lies from that of the crop, in sides of the aligned face, and the log of its size
    relative to what it should be. ``matrix`` takes its points to the crop of ``size`` pixels.
    """
    inner = size / MARGIN
    whole = align.compose(matrix, align.invert(align.similarity(points, align.template(TEMPLATE, 128))))
    middle = align.transform_points(np.array([63.5, 63.5]), whole)
    off = float(np.hypot(*(middle - (size - 1) / 2))) / inner
    return off, float(np.log(align.scale_of(whole) * 128 / inner))


def verdict(off: float, grown: float) -> int:
    """Whether a face that far from the middle and that large counts as one: 1, 0, or UNKNOWN in between."""
    if off <= NEAR[0] and abs(grown) <= NEAR[1]:
        return 1
    return 0 if off >= FAR[0] or abs(grown) >= FAR[1] else UNKNOWN


def jitter(points: np.ndarray, size: int, rng: np.random.Generator, close: float = 0.45) -> np.ndarray:
    """A matrix [2,3] that takes a face about to the middle: as aligned before (a share ``close``), else as a detector's
    or turned anyhow.
    """
    draw = (rng.random() - close) / (1 - close)
    turn, off, grow = (5.0, 0.02, 0.05) if draw < 0 else (15.0, 0.06, 0.15) if draw < 0.45 else (180.0, 0.06, 0.16)
    angle = rng.uniform(-turn, turn) if turn > 90 else rng.normal(0, turn)
    return aimed(points, size, angle, rng.normal(0, off, 2), float(rng.normal(0, grow)))


def astray(points: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A matrix [2,3] that shows a piece of a face, or a face far too small."""
    angle = rng.uniform(-180, 180) if rng.random() < 0.3 else rng.normal(0, 12)
    bearing, off, grow = rng.uniform(0, 2 * np.pi), float(rng.uniform(0, 0.3)), float(rng.normal(0, 0.25))
    if rng.random() < 0.55:
        off = float(rng.uniform(FAR[0], 0.9))
    else:
        grow = float(rng.choice([-1, 1], p=[0.35, 0.65]) * rng.uniform(FAR[1], 1.5))
        off *= max(1.0, float(np.exp(grow)))
    return aimed(points, size, angle, off * np.array([np.cos(bearing), np.sin(bearing)]), grow)


def aimed(points: np.ndarray, size: int, angle: float, off: np.ndarray, grow: float) -> np.ndarray:
    """The matrix [2,3] that shows a face turned by ``angle``, its middle ``off`` and its size ``grow`` as in
    :func:`relation`.
    """
    inner = size / MARGIN
    upright = align.similarity(points, align.template(TEMPLATE, 128))
    target = (size - 1) / 2 + np.asarray(off) * inner
    return align.compose(placed(np.array([63.5, 63.5]), target, inner / 128 * np.exp(grow), angle), upright)
