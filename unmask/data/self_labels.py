"""Real face masks labeled by an earlier segmenter: what simulation does not show, for another round of training.

Only crops count on which the earlier network is sure, averaged over mirroring and small shifts. Every second photo is
used (1, 3, 5, ...), the others stay for looking at.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..faces import align
from ..faces.segment import Segmenter
from ..images import to_float
from . import photos

SHIFTS = ((0, 0), (3, 1), (-3, 2), (1, -3))
UNSURE = 0.035  # at most this share of pixels between 0.2 and 0.8
COVERED = 0.04  # at least this share of pixels in the region
GARMENT = 0.9


def labeled_crops(labeled: Sequence[photos.LabelledPhoto], segmenter: Segmenter) -> tuple[np.ndarray, np.ndarray]:
    """Aligned faces uint8 [K,S,S,3] of the photos and their regions uint8 [K,S,S], those only that are sure."""
    size = segmenter.size
    crops = [
        align.crop_face(photo.pixels, points, segmenter.template, size)[0]
        for photo in labeled
        for points in photo.points[photo.sure]
    ]
    images, regions = [], []
    for crop in crops:
        region, garment = steady(segmenter, crop)
        unsure = float(((region > 0.2) & (region < 0.8)).mean())
        if garment >= GARMENT and unsure <= UNSURE and float((region > 0.5).mean()) >= COVERED:
            images.append(crop)
            regions.append((region * 255 + 0.5).astype(np.uint8))
    if not images:
        return np.zeros((0, size, size, 3), np.uint8), np.zeros((0, size, size), np.uint8)
    return np.stack(images), np.stack(regions)


def steady(segmenter: Segmenter, crop: np.ndarray) -> tuple[np.ndarray, float]:
    """Region float32 [S,S] and garment score, averaged over mirroring and shifts of the crop uint8 [S,S,3]."""
    views = [np.roll(crop, shift, (0, 1)) for shift in SHIFTS]
    views += [np.ascontiguousarray(view[:, ::-1]) for view in views]
    region, garment = segmenter.predict(to_float(np.stack(views)))
    maps = region[:, 0]
    maps = np.concatenate([maps[: len(SHIFTS)], maps[len(SHIFTS) :, :, ::-1]])
    back = [np.roll(m, (-dy, -dx), (0, 1)) for m, (dy, dx) in zip(maps, [*SHIFTS, *SHIFTS], strict=True)]
    return np.mean(back, axis=0), float(garment.mean())


def from_folders(folders: Sequence[Path], teacher: str, segmenter: str) -> tuple[np.ndarray, np.ndarray]:
    """:func:`labeled_crops` of every second photo of folders with ``images.zip``, faces found by ``teacher``."""
    from ..faces.detect import load_detector

    network = Segmenter(segmenter)
    found = [
        labeled_crops(photos.load(folder, "train", load_detector(teacher), every=2, dressed=True), network)
        for folder in folders
    ]
    return np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found])
