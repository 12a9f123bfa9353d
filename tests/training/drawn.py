"""Drawn faces: a data folder in the documented layout, and a pool for the segmenter."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from unmask.data import face_sets, segmentation
from unmask.faces import align


def folder(root: Path, source: str = "drawn", people: int = 6, pictures: int = 10, size: int = 64) -> Path:
    """``source`` below ``root``: blurred pictures, alike for one person, on the ffhq template, with their index."""
    place, rng = root / source, np.random.default_rng(0)
    place.mkdir(parents=True)
    points = align.template("ffhq", size)
    with (place / "index.csv").open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["file", "identity", *(f"{p}_{axis}" for p in face_sets.POINT_NAMES for axis in "xy")])
        own = rng.integers(60, 220, (people, 4, 4, 3))
        for i in range(people * pictures):
            person = i // pictures if i % 10 else (i // 10) % 2  # the held-out pictures are of two people
            coarse = (own[person] + rng.normal(0, 12, (4, 4, 3))).clip(0, 255).astype(np.uint8)
            Image.fromarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)).save(place / f"{i}.png")
            rows.writerow([f"{i}.png", f"p{person}", *points.ravel().round(3)])
    return root


def pool_of_squares(side: int = 64) -> segmentation.Pool:
    """Dark faces with a bright square garment, bare, and behind something."""
    rng = np.random.default_rng(0)
    images = rng.integers(20, 60, (9, side, side, 3), dtype=np.uint8)
    regions = np.zeros((9, side, side), np.uint8)
    kinds = np.array([segmentation.GARMENT, segmentation.PLAIN, segmentation.OCCLUDED] * 3, np.uint8)
    regions[kinds == segmentation.GARMENT, 36:56, 16:48] = 255
    images[regions > 0] = 230
    return segmentation.Pool(images, regions, kinds)
