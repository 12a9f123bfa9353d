"""Sample layouts to RGB and back, and the eight EXIF orientations. All arrays, no files."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Pixels = NDArray[np.uint8]

# 16 bit to the nearest 8-bit level, v / 257; the way back is v * 257, so 0 and white stay what they are.
_TO_8 = ((np.arange(65536, dtype=np.uint32) + 128) // 257).astype(np.uint8)


def orient(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Stored rows to upright rows for an EXIF orientation from 1 to 8."""
    mirrored = orientation in (2, 4, 5, 7)
    turns = (0, 0, 2, 2, 1, 3, 3, 1)[orientation - 1]
    return np.ascontiguousarray(np.rot90(np.fliplr(array) if mirrored else array, turns))


def unorient(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Upright rows back to how the file stores them: the inverse of :func:`orient`."""
    return orient(array, {6: 8, 8: 6}.get(orientation, orientation))


def to_rgb(samples: NDArray[Any], mode: str, palette: Pixels | None, icc: bytes | None) -> Pixels:
    """uint8 ``[H, W, 3]`` of samples in ``mode``; alpha is dropped. RGB samples are returned as they are."""
    if samples.dtype == np.uint16:
        samples = _TO_8[samples]
    if mode == "1":
        samples, mode = samples.astype(np.uint8) * np.uint8(255), "L"
    if mode == "LA":
        samples, mode = samples[:, :, 0], "L"
    if mode == "L":
        return np.repeat(samples[:, :, None], 3, axis=2)
    if mode == "P":
        assert palette is not None
        return palette[samples]
    if mode == "CMYK":
        return np.asarray(_through_profile(Image.fromarray(samples, "CMYK"), icc, "RGB"))
    return samples if mode == "RGB" else np.ascontiguousarray(samples[:, :, :3])


def _through_profile(image: Image.Image, icc: bytes | None, target: str) -> Image.Image:
    """CMYK to RGB or RGB to CMYK, through the file's own profile where it has a usable one."""
    if icc:
        try:
            ink = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            screen = ImageCms.createProfile("sRGB")
            first, second = (ink, screen) if target == "RGB" else (screen, ink)
            converted = ImageCms.profileToProfile(image, first, second, outputMode=target)
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass
    return image.convert(target)


def to_srgb(samples: NDArray[Any], mode: str, palette: Pixels | None, icc: bytes) -> tuple[NDArray[Any], Pixels | None]:
    """Samples and palette in sRGB of what is in the space of a profile, for files that do not hold the profile.

    Alpha stays, 16 bits become 8. CMYK and pictures in two colors, and profiles that cannot be used, change nothing.
    """
    if mode in ("1", "CMYK"):
        return samples, palette
    if mode == "P":
        assert palette is not None
        return samples, to_srgb(palette[None], "RGB", None, icc)[0][0]
    plain = _TO_8[samples] if samples.dtype == np.uint16 else samples
    channels = 1 if mode in ("L", "LA") else 3
    colors = np.ascontiguousarray(np.atleast_3d(plain)[:, :, :channels])
    try:
        own, screen = ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB")
        image = Image.fromarray(colors[:, :, 0] if channels == 1 else colors)
        converted = np.asarray(ImageCms.profileToProfile(image, own, screen, outputMode="RGB"))
    except (ImageCms.PyCMSError, OSError, ValueError):
        return samples, palette
    out = converted[:, :, 1] if plain.ndim == 2 else plain.copy()
    if plain.ndim == 3:
        out[:, :, :channels] = converted[:, :, 1:2] if channels == 1 else converted
    return out, palette


def to_palette(rgb: Pixels) -> tuple[Pixels, str, Pixels]:
    """Indices ``[H, W]``, the mode P and a palette of 256 colors chosen for a picture, with error diffusion."""
    image = Image.fromarray(rgb)
    table = image.quantize(256, method=Image.Quantize.MEDIANCUT)
    chosen = image.quantize(palette=table, dither=Image.Dither.FLOYDSTEINBERG)
    flat = np.frombuffer(bytes(chosen.getpalette("RGB") or ()), np.uint8).reshape(-1, 3)
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(flat)] = flat
    return np.asarray(chosen), "P", palette


def luma(rgb: Pixels) -> Pixels:
    """ITU-R 601 luma with Pillow's rounding; equal channels give back exactly their value."""
    weights = np.array([19595, 38470, 7471], np.uint32)
    return ((rgb.astype(np.uint32) @ weights + 0x8000) >> 16).astype(np.uint8)


def from_rgb(
    pixels: Pixels,
    before: Pixels,
    samples: NDArray[Any],
    mode: str,
    palette: Pixels | None = None,
    icc: bytes | None = None,
    usable: NDArray[np.bool_] | None = None,
) -> NDArray[Any]:
    """Samples in their own layout and depth; only pixels that differ from ``before`` are replaced.

    Args:
        pixels, before: uint8 ``[H, W, 3]``, the new picture and the one read.
        samples: the values read, in ``mode``; they are not modified.
        usable: for palettes, which of the 256 entries may be given to new pixels.
    """
    if mode == "RGB" and samples.dtype == np.uint8 and np.array_equal(samples, before):
        return pixels.copy()
    red, green, blue = np.moveaxis(pixels != before, 2, 0)
    changed = red | green | blue  # ten times as fast as any(axis=2)
    out = samples.copy()
    if not changed.any():
        return out
    if mode == "P":
        assert palette is not None
        out[changed] = _nearest(pixels, palette, usable)[changed]
        return out
    if mode == "1":
        dithered = np.asarray(Image.fromarray(luma(pixels)).convert("1"))
        out[changed] = dithered[changed]
        return out
    new: NDArray[Any] = pixels[changed]  # [K, 3]
    if mode == "CMYK":
        new = np.asarray(_through_profile(Image.fromarray(new[None]), icc, "CMYK"))[0]
    elif mode in ("L", "LA"):
        new = luma(new)[:, None]
    if samples.dtype == np.uint16:
        new = new.astype(np.uint16) * 257
    if samples.ndim == 2:
        out[changed] = new[:, 0]
    elif mode == "CMYK":
        out[changed] = new
    else:
        colors = out[:, :, : new.shape[1]]
        colors[changed] = new
    return out


def _nearest(pixels: Pixels, palette: Pixels, usable: NDArray[np.bool_] | None) -> Pixels:
    """Palette indices for a picture, with error diffusion, out of the usable entries."""
    entries = np.flatnonzero(usable) if usable is not None and usable.any() else np.arange(256)
    table = Image.new("P", (1, 1))
    filled = palette[entries][np.minimum(np.arange(256), len(entries) - 1)]
    table.putpalette(filled.tobytes())
    chosen = Image.fromarray(pixels).quantize(palette=table, dither=Image.Dither.FLOYDSTEINBERG)
    return entries[np.minimum(np.asarray(chosen), len(entries) - 1)].astype(np.uint8)
