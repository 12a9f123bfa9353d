"""Where a face's box lies, given its points; and how boxes move with a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import UnmaskError
from ..faces import align
from .photos import LabelledPhoto

FRAME = align.template("ffhq", 1)


@dataclass(frozen=True)
class BoxRule:
    """A face's box as a linear function of its points in the face's own upright frame (see :func:`box_rule`)."""

    weights: np.ndarray

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """x1, y1, x2, y2 of the ellipse's bounds around the face with these points [5,2]."""
        to_frame = align.similarity(points, FRAME)
        own = align.transform_points(points, to_frame).ravel() - FRAME.ravel()
        return moved_box(np.concatenate([own, [1.0]]) @ self.weights, align.invert(to_frame))


def box_rule(photos: Sequence[LabelledPhoto]) -> BoxRule:
    """Fit the rule to labeled photos by ridge regression on faces that are nearly upright."""
    rows, boxes = [], []
    for photo in (p for p in photos if not p.dressed):
        for box, points in zip(photo.boxes[photo.sure], photo.points[photo.sure], strict=True):
            to_frame = align.similarity(points, FRAME)
            if abs(np.arctan2(to_frame[1, 0], to_frame[0, 0])) < np.radians(12):
                own = align.transform_points(points, to_frame).ravel() - FRAME.ravel()
                rows.append(np.concatenate([own, [1.0]]))
                boxes.append(moved_box(box, to_frame))
    if not rows:
        raise UnmaskError("no upright bare face in the photos to learn from where a face's box lies; give more photos")
    a, b = np.array(rows), np.array(boxes)
    penalty = np.diag([len(a) * (0.01 * a[:, :10].var() + 1e-9)] * 10 + [0.0])
    return BoxRule(np.linalg.solve(a.T @ a + penalty, a.T @ b))


def moved_box(box: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Bounds [4] of the ellipse inscribed in ``box``, after ``matrix`` [2,3]."""
    center = align.transform_points((box[:2] + box[2:]) / 2, matrix)
    half = (box[2:] - box[:2]) / 2
    reach = np.sqrt(((matrix[:, :2] * half) ** 2).sum(1))
    return np.concatenate([center - reach, center + reach])


def placed(source: np.ndarray, target: np.ndarray, scale: float, degrees: float) -> np.ndarray:
    """The similarity [2,3] that takes ``source`` to ``target``, with this scale and turn."""
    c, s = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    linear = np.array([[c, -s], [s, c]])
    return np.concatenate([linear, (target - linear @ source)[:, None]], axis=1)
