"""Pictures without faces, and faces laid over them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from PIL import Image

from ..errors import UnmaskError
from ..faces import align
from .photos import LabelledPhoto
from .pictures import Source
from .shapes import drawn, ground

HELD_OUT_EVERY = 3


def load_empty(folder: str | Path, split: Literal["train", "val"]) -> list[np.ndarray]:
    """Pictures without a face in ``folder/images.zip``, uint8 [H,W,3] or [H,W,4] where they have holes.

    Every third (0, 3, 6, ...) is held out for validation.
    """
    archive = Path(folder) / "images.zip"
    if not archive.is_file():
        raise UnmaskError(f"{archive}: no such pictures; give a folder that holds images.zip")
    pictures = []
    with Source(archive) as stored:
        for i, name in enumerate(stored.names()):
            if (i % HELD_OUT_EVERY == 0) == (split == "val"):
                stored.picture(name)  # a damaged or far too large one is told here
                picture = Image.open(io.BytesIO(stored.read(name)))
                pictures.append(np.asarray(picture.convert("RGBA" if "A" in picture.getbands() else "RGB")))
    return pictures


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


def background(
    photos: Sequence[LabelledPhoto], size: int, rng: np.random.Generator, empty: Sequence[Sequence[np.ndarray]] = ()
) -> np.ndarray:
    """A picture without faces, uint8 [S,S,3]: part of a photo, of one of the sets of ``empty`` pictures, or drawn."""
    draw = rng.random()
    if empty and draw < 0.5:
        chosen = empty[int(rng.integers(len(empty)))]
        picture = chosen[int(rng.integers(len(chosen)))]
        if picture.shape[2] == 4:
            return _strewn(chosen, background(photos, size, rng), rng)
        return _piece(picture, size, rng)
    for _ in range(12 if photos and draw < 0.8 else 0):
        photo = photos[int(rng.integers(len(photos)))]
        height, width = photo.pixels.shape[:2]
        side = int(rng.uniform(0.15, 0.9) * min(height, width))
        if side < 16:
            continue
        top, left = int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
        box = np.array([left, top, left + side, top + side], float)
        if all(np.any((box[:2] > b[2:]) | (box[2:] < b[:2])) for b in photo.boxes):
            return _resized(photo.pixels[top : top + side, left : left + side], size)
    return drawn(size, rng) if rng.random() < 0.7 else ground(size, rng)


def _piece(picture: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A square part of a picture, turned by quarters at random, as [size,size,3]."""
    height, width = picture.shape[:2]
    side = max(16, int(np.exp(rng.uniform(np.log(0.25), 0.0)) * min(height, width)))
    top, left = int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
    piece = np.rot90(picture[top : top + side, left : left + side], int(rng.choice([0, 0, 0, 1, 2, 3])))
    return _resized(np.ascontiguousarray(piece), size)


def _strewn(cuttings: Sequence[np.ndarray], under: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One to six cut-out things [H,W,4] of one set, turned and scaled, over a picture."""
    size = under.shape[0]
    out = under.astype(np.float32)
    for _ in range(int(rng.integers(1, 7))):
        thing = cuttings[int(rng.integers(len(cuttings)))]
        if thing.shape[2] != 4:
            continue
        scale = size * np.exp(rng.uniform(np.log(0.1), np.log(1.1))) / max(thing.shape[:2])
        degrees = np.radians(rng.normal(0, 20) if rng.random() < 0.7 else rng.uniform(-180, 180))
        c, s = scale * np.cos(degrees), scale * np.sin(degrees)
        linear = np.array([[c, -s], [s, c]])
        middle = np.array([thing.shape[1], thing.shape[0]]) / 2
        matrix = np.concatenate([linear, (rng.uniform(0, size, 2) - linear @ middle)[:, None]], 1)
        alpha = thing[..., 3:].astype(np.float32) / 255
        layers = np.concatenate([thing[..., :3] * alpha, alpha], 2).astype(np.float32)
        if scale < 0.5:
            layers = np.asarray(cv2.GaussianBlur(layers, (0, 0), 0.3 / scale), np.float32)
        laid = cv2.warpAffine(layers, matrix, (size, size), flags=cv2.INTER_LINEAR)
        out = out * (1 - laid[..., 3:]) + laid[..., :3]
    return np.asarray(np.clip(out + 0.5, 0, 255), np.uint8)


def _resized(piece: np.ndarray, size: int) -> np.ndarray:
    shrinks = piece.shape[0] > size
    return cv2.resize(piece, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
