"""Pictures, files and edits that the tests of reading and writing share."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
from PIL import Image

from unmask import images

NOTE = {"software": "unmask", "weights": "v0 <&> é"}


def picture(height: int = 48, width: int = 64, channels: int = 3, dtype: Any = np.uint8) -> np.ndarray:
    """A smooth random picture of any type; [H, W, C], or [H, W] for one channel."""
    rng = np.random.default_rng(height * 1000 + width)
    top = np.iinfo(dtype).max
    smooth = cv2.resize(rng.random((6, 8, channels)), (width, height), interpolation=cv2.INTER_CUBIC)
    out = np.clip(smooth * top, 0, top).astype(dtype).reshape(height, width, channels)
    return out[:, :, 0] if channels == 1 else out


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    """The bytes of a file of that format."""
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def edited(photo: images.Photo) -> np.ndarray:
    """The photo's pixels with one rectangle inverted."""
    pixels = photo.pixels.copy()
    pixels[10:20, 12:30] = 255 - pixels[10:20, 12:30]
    return pixels


def is_edited(array: np.ndarray) -> np.ndarray:
    """Where :func:`edited` changes an array's pixels."""
    where = np.zeros(array.shape[:2], bool)
    where[10:20, 12:30] = True
    return where
