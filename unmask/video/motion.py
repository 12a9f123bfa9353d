"""How a face moved from one frame to the next, by the optical flow of points in it (Lucas and Kanade 1981)."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_POINTS = 80
_LEAST = 12  # points that must agree
_SIDE = 160  # pixels that the longer side of a face has at most where its motion is measured
_AROUND = 0.5  # sides of the box by which the measured part of the frame is wider than it, on each side
_BACK = 1.0  # pixels by which a point followed there and back may be off

Points = NDArray[np.float64]


def follow(
    before: NDArray[np.uint8], after: NDArray[np.uint8], kps: Points, box: Points
) -> tuple[Points, Points] | None:
    """Points [5,2] and box [4] of a face in the next frame; None where its motion cannot be told.

    Args:
        before, after: the frames in gray, uint8 [H,W].
        kps, box: of the face in ``before``.
    """
    left, top, right, bottom = (int(v) for v in _window(box, before.shape))
    if right - left < 2 or bottom - top < 2:
        return None
    before, after = before[top:bottom, left:right], after[top:bottom, left:right]
    scale = min(1.0, _SIDE / max(float((box[2:4] - box[:2]).max()), 1.0))
    if scale < 1:
        size = max(1, round(before.shape[1] * scale)), max(1, round(before.shape[0] * scale))
        before, after = (
            np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_AREA), np.uint8) for one in (before, after)
        )
    corner = np.array([left, top])
    x1, y1, x2, y2 = ((box[:4] - np.tile(corner, 2)) * scale).round().astype(int)
    inside = np.zeros(before.shape, np.uint8)
    inside[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)] = 255
    start = cv2.goodFeaturesToTrack(before, _POINTS, 0.01, 3, mask=inside)
    if start is None or len(start) < _LEAST:
        return None
    flow: Any = cv2.calcOpticalFlowPyrLK  # its stubs know no points that are not given
    there, found, _ = flow(before, after, start, None, winSize=(15, 15), maxLevel=3)
    back, _, _ = flow(after, before, there, None, winSize=(15, 15), maxLevel=3)
    good = (found[:, 0] > 0) & (np.abs(back - start).max(axis=(1, 2)) < _BACK)
    if good.sum() < _LEAST:
        return None
    matrix, agree = cv2.estimateAffinePartial2D(start[good], there[good], ransacReprojThreshold=1.5)
    if matrix is None or agree.sum() < max(_LEAST, good.sum() // 2):
        return None
    turn = matrix[:, :2]
    shift = matrix[:, 2] / scale + corner - turn @ corner
    new = kps @ turn.T + shift
    middle, half = (box[:2] + box[2:4]) / 2, (box[2:4] - box[:2]) / 2 * float(np.sqrt(abs(np.linalg.det(turn))))
    middle = turn @ middle + shift
    return new, np.concatenate([middle - half, middle + half])


def _window(box: Points, shape: tuple[int, ...]) -> Points:
    """The part of a frame [H,W] in which a face with this box is looked for: left, top, right and bottom."""
    reach = _AROUND * (box[2:4] - box[:2])
    low, high = np.floor(box[:2] - reach), np.ceil(box[2:4] + reach)
    return np.concatenate([low, high]).clip(0, np.tile(shape[1::-1], 2))
