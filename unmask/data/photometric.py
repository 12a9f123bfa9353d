"""What cameras, light and compression do to a picture, at random: shared by the detector's and the segmenter's data."""

from __future__ import annotations

import cv2
import numpy as np

GRAY = np.array([0.299, 0.587, 0.114], np.float32)


def degrade(image: np.ndarray, rng: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """A new uint8 [H,W,3] picture: light, color cast, saturation, blur, noise and JPEG blocks, each at random.

    ``strength`` scales the ranges; 0 leaves the picture nearly as it is.
    """
    out = colors(image.astype(np.float32) / 255.0, rng, strength)
    if rng.random() < 0.35 * strength:
        out = _soften(out, rng)
    if rng.random() < 0.4 * strength:
        out += rng.standard_normal(out.shape, np.float32) * float(rng.uniform(0.005, 0.05))
    result = (np.clip(out, 0, 1) * 255 + 0.5).astype(np.uint8)
    if rng.random() < 0.3 * strength:
        quality = int(rng.integers(20, 90))
        result = cv2.imdecode(cv2.imencode(".jpg", result, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    return np.ascontiguousarray(result)


def colors(x: np.ndarray, rng: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """Exposure, gamma, contrast, saturation, cast, and light from one side, on float32 [H,W,3] in [0,1]."""
    s = strength
    x = np.clip(x, 0.0, 1.0) ** float(np.exp(rng.normal(0, 0.25 * s)))  # plain floats: the picture stays float32
    x = (x - 0.45) * float(np.exp(rng.normal(0, 0.2 * s))) + float(0.45 + rng.normal(0, 0.07 * s))
    gray = (x @ GRAY)[..., None]
    saturation = 0.0 if rng.random() < 0.06 * s else float(np.exp(rng.normal(0, 0.3 * s)))
    x = gray + (x - gray) * saturation
    x = x * np.exp(rng.normal(0, 0.08 * s, 3)).astype(np.float32)
    if rng.random() < 0.4 * s:
        height, width = x.shape[:2]
        angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.5)
        ys, xs = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
        x = x * (1 + depth * (np.cos(angle) * xs + np.sin(angle) * ys))[..., None].astype(np.float32)
    return x.astype(np.float32)


def tinted(image: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    """``share`` of pictures uint8 [H,W,3] in one hue: monochrome, sepia, cyanotype, stage light, night vision."""
    if rng.random() >= share:
        return image
    level = (image.astype(np.float32) / 255 @ GRAY)[..., None]
    dark, light = np.sort(rng.uniform(0, 1, (2, 3)), axis=0)
    if rng.random() < 0.4:  # gray or nearly so
        dark, light = rng.uniform(0, 0.15, 1) + rng.uniform(0, 0.05, 3), rng.uniform(0.7, 1, 1) - rng.uniform(0, 0.1, 3)
    out = (dark + (light - dark) * level).astype(np.float32)
    return np.asarray(np.clip(out * 255 + 0.5, 0, 255), np.uint8)


def _soften(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Out of focus, moved, or enlarged from a smaller picture."""
    height, width = x.shape[:2]
    kind = rng.integers(3)
    if kind == 0:
        return cv2.GaussianBlur(x, (0, 0), float(rng.uniform(0.4, 1.6)))
    if kind == 1:
        length = int(rng.integers(3, 8))
        kernel = np.zeros((length, length), np.float32)
        angle = rng.uniform(0, np.pi)
        offset = np.array([np.cos(angle), np.sin(angle)]) * length / 2
        center = (length - 1) / 2
        start, end = center - offset, center + offset
        cv2.line(kernel, tuple(np.round(start).astype(int).tolist()), tuple(np.round(end).astype(int).tolist()), 1.0)
        return cv2.filter2D(x, -1, kernel / max(kernel.sum(), 1.0))
    shrink = rng.uniform(1.3, 3.0)
    small = cv2.resize(x, (max(8, int(width / shrink)), max(8, int(height / shrink))), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC])))
