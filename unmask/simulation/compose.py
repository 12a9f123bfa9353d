"""Laying a drawn cover over a photo: blur, grain and shadow like the photo's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unmask.simulation.garments import Garment
from unmask.simulation.lighting import Grain

Float = NDArray[np.float32]
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Simulated:
    """A covered photo.

    Attributes:
        image: uint8 [H, W, 3] RGB.
        region: float32 [H, W] in [0, 1], 1 = covered; all zero only where nothing of the cover falls into the picture.
        garment: the face mask, or None for other occluders.
    """

    image: Image
    region: Float
    garment: Garment | None


def check_image(image: Any) -> None:
    """Raise ValueError unless `image` is a uint8 RGB array [H, W, 3]."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError("the image must be a uint8 array [height, width, 3] in RGB")


@dataclass(frozen=True)
class Layer:
    """A drawn cover: `pixels` float32 [h, w, 4], RGB times alpha and alpha (0..255 and 0..1), at `corner` (x, y)."""

    pixels: Float
    corner: tuple[int, int]


def compose(
    image: Image, layer: Layer | None, grain: Grain, rng: np.random.Generator, scale: float
) -> tuple[Image, Float]:
    """Blur and grain a layer like the photo, cast its shadow, lay it over the photo: new photo and region."""
    region = np.zeros(image.shape[:2], np.float32)
    if layer is None:
        return image.copy(), region
    h, w = layer.pixels.shape[:2]
    x, y = layer.corner
    pixels = layer.pixels
    # the drawing is already as soft as one pixel (sigma 0.3)
    blur = float(np.sqrt(max(grain.blur**2 - 0.09, 0.0))) * float(rng.uniform(0.8, 1.1))
    if blur > 0.2:
        soft = cv2.GaussianBlur(pixels, (0, 0), blur, borderType=cv2.BORDER_REPLICATE)
        pixels = np.asarray(soft, np.float32)
    alpha = np.clip(pixels[..., 3:], 0.0, 1.0)
    under = image[y : y + h, x : x + w].astype(np.float32)
    reach = max(0.08 * scale, 0.6)
    shadow = cv2.GaussianBlur(alpha[..., 0], (0, 0), reach, borderType=cv2.BORDER_REPLICATE)[..., None]
    under *= 1.0 - float(rng.uniform(0.10, 0.40)) * np.clip(shadow, 0, 1)
    cover = pixels[..., :3]
    if grain.noise > 0.2:
        noise = rng.standard_normal((h, w, 1), np.float32) * grain.noise
        cover = cover + noise * alpha
    result = np.clip(cover + under * (1.0 - alpha) + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        result = np.where(alpha > 0, _compressed(result, int(rng.integers(40, 95))), result)
    out = image.copy()
    out[y : y + h, x : x + w] = result
    region[y : y + h, x : x + w] = alpha[..., 0]
    return out, region


def _compressed(image: Image, quality: int) -> Image:
    """The image [h, w, 3] after JPEG compression."""
    ok, code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8) if ok else image
