"""Rendered crops for the landmarker, kept on disk, and batches drawn from them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .. import files, progress
from ..faces import align
from ..faces.landmarks import frame, from_pixels
from . import augment, framing, landmark_crops, not_faces, segmentation
from .face_sets import keep
from .landmark_crops import Crop, sample
from .landmark_material import Material, Shares


class Crops(NamedTuple):
    """Many crops, rendered.

    ``images`` uint8 [N,S,S,3], ``points`` float32 [N,5,2] in their pixels, ``face`` and ``garment`` int8 [N],
    ``turned`` and ``placed`` bool [N] (as in :class:`Batch`).
    """

    images: np.ndarray
    points: np.ndarray
    face: np.ndarray
    garment: np.ndarray
    turned: np.ndarray
    placed: np.ndarray


class Batch(NamedTuple):
    """Crops x [N,3,S,S] in [-1,1] with what is asked of them.

    ``face`` and ``garment`` [N] (-1: do not ask); ``roll`` cosine and sine [N,2] and ``points`` [N,5,2] as the network
    gives them; ``turned`` and ``placed`` [N], 1 where these are known.
    """

    x: Tensor
    face: Tensor
    garment: Tensor
    roll: Tensor
    points: Tensor
    turned: Tensor
    placed: Tensor


def render(gather: Callable[[], Material], shares: Shares, size: int, count: int, seed: int, key: str) -> Crops:
    """``count`` crops of the material that ``gather`` makes and ``key`` names; kept in the cache folder."""
    about = (key, shares, size, count, seed, _source(), segmentation.renderer_digest())
    path = files.cache_folder() / f"crops-{hashlib.sha256(repr(about).encode()).hexdigest()[:16]}.npz"
    if not path.is_file():
        material = gather()
        crops = Crops(
            np.empty((count, size, size, 3), np.uint8),
            np.zeros((count, 5, 2), np.float32),
            np.empty(count, np.int8),
            np.empty(count, np.int8),
            np.zeros(count, bool),
            np.zeros(count, bool),
        )

        def draw(i: int) -> Crop:
            return sample(material, shares, size, np.random.default_rng([seed, i]))

        progress.foretell("crops", count, draw)
        for i in progress.bar(range(count), what="crops rendered", unit="crop"):
            one = draw(i)
            crops.images[i], crops.face[i], crops.garment[i] = one.pixels, one.face, one.garment
            if one.points is not None:
                crops.points[i], crops.turned[i], crops.placed[i] = one.points, True, one.trusted
        keep(path, crops._asdict())
    with np.load(path) as stored:
        return Crops(*(stored[name] for name in Crops._fields))


def _source() -> str:
    """A digest of what makes the crops beside the renderer."""
    made_by = (landmark_crops.__file__, framing.__file__, not_faces.__file__)
    return "".join(files.sha256(file) for file in made_by)


def batch(crops: Crops, rows: np.ndarray) -> Batch:
    """Some crops as the network takes them."""
    images, points = crops.images[rows], crops.points[rows].astype(np.float64)
    return _batch(images, points, *(a[rows].astype(np.float32) for a in crops[2:]))


def varied(crops: Crops, rows: np.ndarray, rng: np.random.Generator, quarter: float = 0.2) -> Batch:
    """Some crops, half of them mirrored, a share ``quarter`` turned by quarters of a circle, all in new light."""
    images, points, size = crops.images[rows], crops.points[rows].astype(np.float64), crops.images.shape[1]
    for i in range(len(rows)):
        if rng.random() < 0.5:
            images[i] = images[i, :, ::-1].copy()
            points[i] = points[i, [1, 0, 2, 4, 3]] * [-1, 1] + [size - 1, 0]
        if rng.random() < quarter:
            for _ in range(int(rng.integers(1, 4))):  # clockwise each
                images[i] = np.rot90(images[i], -1).copy()
                points[i] = np.stack([size - 1 - points[i, :, 1], points[i, :, 0]], 1)
    made = _batch(images, points, *(a[rows].astype(np.float32) for a in crops[2:]))
    return made._replace(x=augment.light(made.x, rng, 0.1))


def _batch(
    images: np.ndarray, points: np.ndarray, face: np.ndarray, garment: np.ndarray, turned: np.ndarray, there: np.ndarray
) -> Batch:
    size = images.shape[1]
    roll, found = np.zeros((len(images), 2), np.float32), np.zeros((len(images), 5, 2), np.float32)
    for i in np.flatnonzero(turned):
        upright = align.similarity(points[i], frame(size))
        roll[i] = np.array([upright[0, 0], -upright[1, 0]]) / align.scale_of(upright)
        found[i] = from_pixels(points[i], size)
    numbers = [torch.from_numpy(a) for a in (face, garment, roll, found, turned, there)]
    return Batch(augment.to_float(images), *numbers)
