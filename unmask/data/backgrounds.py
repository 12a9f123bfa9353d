"""Pictures without faces, and faces laid over them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

from ..faces import align
from .photos import LabelledPhoto


def lay(under: np.ndarray, face: np.ndarray, matrix: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The face over the scene, cut as a square, a rounded square or an oval, with a soft or a hard edge."""
    cover = _cover(face.shape[0], float(rng.choice([2.5, 4.0, 20.0])), round(float(rng.uniform(0.02, 0.25)), 2))
    size = under.shape[0]
    over = align.warp(face, matrix, size, border="replicate", filter="linear").astype(np.float32)
    alpha = align.warp(cover, matrix, size, border="constant", filter="linear")[..., None]
    return np.asarray(under + alpha * (over - under) + 0.5, np.uint8)


@lru_cache(maxsize=256)
def _cover(n: int, power: float, edge: float) -> np.ndarray:
    """A superellipse that fills a square, float32 [n,n]: 1 inside, falling to 0 at its rim."""
    ys, xs = np.mgrid[:n, :n].astype(np.float32) / (n - 1) * 2 - 1
    return np.asarray(np.clip((1 - (np.abs(xs) ** power + np.abs(ys) ** power)) / edge, 0, 1), np.float32)


def background(photos: Sequence[LabelledPhoto], size: int, rng: np.random.Generator) -> np.ndarray:
    """A picture without faces, uint8 [S,S,3]: part of a photo, a gradient, or noise of some coarseness."""
    for _ in range(12 if photos and rng.random() < 0.8 else 0):
        photo = photos[int(rng.integers(len(photos)))]
        height, width = photo.pixels.shape[:2]
        side = int(rng.uniform(0.15, 0.9) * min(height, width))
        if side < 16:
            continue
        top, left = int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
        box = np.array([left, top, left + side, top + side], float)
        if all(np.any((box[:2] > b[2:]) | (box[2:] < b[:2])) for b in photo.boxes):
            piece = photo.pixels[top : top + side, left : left + side]
            return cv2.resize(piece, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_LINEAR)
    ends = rng.uniform(0, 255, (2, 3))
    angle = rng.uniform(0, 2 * np.pi)
    along = np.linspace(-0.5, 0.5, size)
    ramp = np.clip(np.cos(angle) * along[None] + np.sin(angle) * along[:, None] + 0.5, 0, 1)[..., None]
    coarse = int(rng.choice([2, 4, 10, 40, 160]))
    noise = cv2.resize(rng.normal(0, rng.uniform(0, 50), (coarse, coarse, 3)), (size, size))
    return np.asarray(np.clip(ends[0] + ramp * (ends[1] - ends[0]) + noise, 0, 255), np.uint8)
