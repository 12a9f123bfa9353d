"""What the photo's own skin and grain say: the light on the face, its color, the noise and the blur.

Only places that a face mask leaves visible are looked at, so nothing of the hidden part leaks into the garment.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from unmask.simulation.shape3d import Array, Pose

Float = NDArray[np.float32]
Image = NDArray[np.uint8]

_LUMA = np.array([0.2126, 0.7152, 0.0722])
#: Places on bare skin above a face mask (face coordinates) and their outward normals.
_PLACES = np.array(
    [
        [0.00, -0.45, 0.14], [-0.35, -0.45, 0.08], [0.35, -0.45, 0.08], [-0.62, -0.38, -0.06],
        [0.62, -0.38, -0.06], [0.00, -0.02, 0.24], [-0.14, 0.02, 0.14], [0.14, 0.02, 0.14],
        [-0.46, 0.22, 0.06], [0.46, 0.22, 0.06], [-0.68, 0.20, -0.08], [0.68, 0.20, -0.08],
        [-0.84, 0.14, -0.28], [0.84, 0.14, -0.28],
    ]
)  # fmt: skip
_NORMALS = np.array(
    [
        [0.0, -0.25, 1.0], [-0.22, -0.25, 1.0], [0.22, -0.25, 1.0], [-0.55, -0.25, 0.9],
        [0.55, -0.25, 0.9], [0.0, -0.2, 1.0], [-0.75, -0.1, 0.75], [0.75, -0.1, 0.75],
        [-0.15, -0.05, 1.0], [0.15, -0.05, 1.0], [-0.45, -0.05, 0.9], [0.45, -0.05, 0.9],
        [-0.75, 0.0, 0.65], [0.75, 0.0, 0.65],
    ]
)  # fmt: skip
_NORMALS /= np.linalg.norm(_NORMALS, axis=1, keepdims=True)
_PATCH = np.stack(np.meshgrid(np.arange(-2, 3), np.arange(-2, 3)), -1).reshape(-1, 2)
#: Skin under white light of unit strength has about this linear color (a middle tone).
_SKIN = np.array([0.42, 0.26, 0.19])


@dataclass(frozen=True)
class Light:
    """Light on a face: a surface of linear albedo `a` with unit normal `n` (camera frame) shows
    `a * level * exp(slope . (n - (0, 0, 1)))` in linear RGB. `colorful` is 0 for a photo without color, else 1."""

    level: Array
    slope: Array
    colorful: float = 1.0


@lru_cache(maxsize=1)
def to_linear_table() -> Float:
    """sRGB bytes [256] -> linear [0, 1]."""
    s = np.arange(256) / 255.0
    return np.where(s <= 0.04045, s / 12.92, ((s + 0.055) / 1.055) ** 2.4).astype(np.float32)


@lru_cache(maxsize=1)
def _encode_table() -> Float:
    x = np.linspace(0.0, 1.0, 4097)
    return (255.0 * np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)).astype(np.float32)


def encode(linear: Float) -> Float:
    """Linear values -> sRGB in [0, 255], float; values above 1 clip."""
    return _encode_table()[(np.clip(linear, 0.0, 1.0) * 4096.0 + 0.5).astype(np.int32)]


def estimate_light(image: Image, pose: Pose, rng: np.random.Generator) -> Light:
    """Light from the forehead, the nose bridge and the upper cheeks of an image [H, W, 3].

    A ridge fit of log luminance on the surface normals, in a few robust rounds (hair, glasses and brows fall out).
    Skin tone and light level cannot be told apart from skin alone; the split is shrunk towards a well-exposed photo.
    """
    height, width = image.shape[:2]
    at = pose.project(_PLACES)[:, :2]
    low, high = (
        np.clip(at.min(0), 0, (width, height)).astype(int),
        np.clip(at.max(0), 0, (width, height)).astype(int),
    )
    colorful = _has_color(image, (slice(low[1], high[1] + 1), slice(low[0], high[0] + 1)))
    normals = _NORMALS @ pose.camera.T / pose.scale
    step = max(pose.scale * 0.03, 0.5)
    pixels = np.rint(at[:, None, :] + _PATCH * step).astype(np.int64)  # [P, 25, 2]
    px, py = pixels[..., 0], pixels[..., 1]
    inside = (px >= 0) & (py >= 0) & (px < width) & (py < height)  # [P, 25]
    usable = inside.all(1) & (normals[:, 2] > 0.2)
    if usable.sum() < 3:
        usable = inside.any(1)
    if not usable.any():
        return Light(np.full(3, 0.8), np.array([0.0, -0.3, 0.4]), colorful)
    px, py = np.clip(px[usable], 0, width - 1), np.clip(py[usable], 0, height - 1)
    seen = to_linear_table()[np.median(image[py, px], axis=1).astype(np.uint8)].astype(np.float64)
    seen = seen + 0.003
    log = np.log(seen @ _LUMA)
    design = np.concatenate([np.ones((len(log), 1)), normals[usable] - (0.0, 0.0, 1.0)], 1)
    prior = np.array([0.0, 0.0, -0.45, 0.7])
    ridge = np.diag([1e-3, 0.45, 1.2, 1.2])
    weight = np.exp(-np.clip(np.median(log) - log, 0, None) * 1.0)
    fit = prior
    for _ in range(3):
        left = design.T @ (design * weight[:, None]) + ridge
        fit = np.linalg.solve(left, design.T @ (weight * log) + ridge @ prior)
        off = log - design @ fit
        weight = 1.0 / (1.0 + (off / 0.25) ** 2)
    slope = np.clip(fit[1:], (-1.2, -1.0, 0.0), (1.2, 0.6, 1.2))
    mean = (seen * weight[:, None]).sum(0) / weight.sum()
    level = _level(float(np.exp(fit[0])), mean, rng)
    return Light(level, slope, colorful) if colorful else Light(np.full(3, level @ _LUMA), slope, 0.0)


def _has_color(image: Image, box: tuple[slice, slice]) -> float:
    """1.0 if the part of the image that `box` cuts out has color anywhere, 0.0 if it is gray."""
    part = image[box][::2, ::2].astype(np.int16)
    return float(part.size == 0 or np.ptp(part, axis=-1).mean() > 3.0)


def _level(luminance: float, skin: Array, rng: np.random.Generator) -> Array:
    """Light level per channel: part of what the skin misses in brightness is its tone, part is the light."""
    missing = np.log(luminance / float(_SKIN @ _LUMA))
    share = 0.55 if missing < 0 else 0.75
    level = 0.80 * np.exp(share * missing + rng.normal(0.0, 0.10))
    tint = (skin / (skin @ _LUMA)) / (_SKIN / (_SKIN @ _LUMA))
    tint = np.clip(tint, 0.25, 3.0) ** 0.65
    tint = tint / (tint @ _LUMA)
    return np.clip(level, 0.02, 1.5) * tint


@dataclass(frozen=True)
class Grain:
    """Noise (standard deviation in gray levels) and blur (Gaussian sigma in pixels) of a photo."""

    noise: float
    blur: float


def estimate_grain(image: Image, pose: Pose) -> Grain:
    """Noise and blur from the upper part of the face, eyes and brows included."""
    height, width = image.shape[:2]
    x, y = pose.shift
    half = 0.95 * pose.scale
    x0, x1 = int(np.clip(x - half, 0, width)), int(np.clip(x + half, 0, width))
    y0, y1 = int(np.clip(y - 0.8 * half, 0, height)), int(np.clip(y + 0.12 * half, 0, height))
    if x1 - x0 < 8 or y1 - y0 < 8:
        return Grain(1.0, 0.6)
    stride = max(1, int((x1 - x0) * (y1 - y0) / 40000))
    gray = cv2.cvtColor(image[y0:y1, x0:x1], cv2.COLOR_RGB2GRAY).astype(np.float32)
    detail = cv2.filter2D(gray, -1, _IMMERKAER)[1:-1, 1:-1].ravel()[::stride]
    noise = float(np.partition(np.abs(detail), len(detail) // 4)[len(detail) // 4]) / (0.3186 * 6.0)
    near = float(((gray[:, 1:] - gray[:, :-1]) ** 2).mean() + ((gray[1:] - gray[:-1]) ** 2).mean())
    far = float(((gray[:, 3:] - gray[:, :-3]) ** 2).mean() + ((gray[3:] - gray[:-3]) ** 2).mean())
    ratio = near / (far + 1e-3)
    blur = float(np.interp(-ratio, -_BLUR_RATIO, _BLUR_SIGMA))
    return Grain(min(noise, 14.0), blur)


_IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
# Measured: sharp aligned faces (taken as sigma 0.5) and the same faces blurred further.
_BLUR_RATIO = np.array([0.27, 0.215, 0.19, 0.157, 0.144, 0.134, 0.126, 0.12, 0.114])
_BLUR_SIGMA = np.array([0.4, 0.45, 0.5, 0.78, 0.94, 1.2, 1.58, 2.06, 3.04])
