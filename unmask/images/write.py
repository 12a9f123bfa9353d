"""Writing: format, size, mode and metadata as read, only the changed pixels new, and never half a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unmask import files, formats
from unmask.errors import UnmaskError
from unmask.images import color, encoders, exif, previews, xmp
from unmask.images.photo import Photo, read

Note = Mapping[str, Any]
# What each format can hold, best first; a picture in another layout takes the first that loses nothing it
# needs.
_HOLDS = {
    "JPEG": ("L", "RGB", "CMYK"),
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "WEBP": ("RGB", "RGBA"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "GIF": ("L", "P"),
    "PPM": ("1", "L", "RGB"),
    "JPEG2000": ("L", "LA", "RGB", "RGBA"),
    "AVIF": ("RGB", "RGBA"),
    "HEIF": ("L", "LA", "RGB", "RGBA"),
}
_COLORS = ("L", "LA", "RGB", "RGBA")
_DEEP = {"PNG": _COLORS, "TIFF": _COLORS, "PPM": ("L",), "JPEG2000": ("L",), "HEIF": _COLORS}
_NO_PROFILE = ("BMP", "GIF", "PPM", "JPEG2000")  # as Pillow writes them


def encode(photo: Photo, pixels: NDArray[np.uint8], note: Note | None = None, format: str | None = None) -> bytes:
    """The bytes of a file that holds ``pixels`` and, for the rest, what ``photo`` held.

    Args:
        photo: what was read.
        pixels: uint8 ``[H, W, 3]``, upright, of the photo's size. Where they equal ``photo.pixels`` the
            file's own samples are kept, at full precision; the encoding of JPEG and other lossy formats still
            applies.
        note: provenance, written as XMP (JPEG, PNG, WebP, HEIC, TIFF, AVIF), PNG text, or a comment (GIF, JPEG 2000);
            BMP and PPM have no place for it, see :func:`write`.
        format: Pillow's name of a format; the photo's own if None, PNG for pictures that came from no file.

    Raises:
        UnmaskError: the format cannot hold such a picture.
    """
    target = (format or photo.format or "PNG").upper()
    if target not in _HOLDS:
        raise UnmaskError(f"{photo.name}: cannot write {target}; choose one of {', '.join(sorted(_HOLDS))}")
    ready = _ready(photo, pixels, note, target)
    try:
        return encoders.encode(ready)
    except UnmaskError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UnmaskError(f"{photo.name}: cannot be written as {target} ({reason}); write a .png") from error


def _ready(photo: Photo, pixels: NDArray[np.uint8], note: Note | None, target: str) -> encoders.Ready:
    """All that goes into a file of the format ``target``, true of what is written and of nothing else."""
    samples, mode, palette, icc = _merged(photo, pixels), photo.mode, photo.palette, photo.icc
    same = target == photo.format
    if icc and (target in _NO_PROFILE or (mode in ("L", "LA") and mode not in _HOLDS[target])):
        samples, palette = color.to_srgb(samples, mode, palette, icc)
        icc = None
    stored = pixels
    if same:
        samples, stored = (color.unorient(one, photo.orientation) for one in (samples, pixels))
    else:
        samples, mode, palette = _fitted(photo, samples, palette, target)
        icc = icc if "CMYK" not in (mode, photo.mode) or mode == photo.mode else None
    changed = not np.array_equal(pixels, photo.pixels)
    orientation = photo.orientation if same else 1

    def thumbnail(old: bytes, most: int) -> bytes | None:
        return previews.thumbnail(stored, old, most)

    block = photo.exif if same or photo.exif is None else exif.turned(photo.exif, 1)
    packet = xmp.tidied(photo.xmp, orientation, changed, same and target == "JPEG") if photo.xmp else None
    return encoders.Ready(
        photo=photo, target=target, samples=samples, mode=mode, palette=palette, orientation=orientation, icc=icc,
        exif=exif.with_thumbnail(block, thumbnail) if block and changed else block,
        xmp=xmp.packet(note, packet) if note is not None else packet,
        text=xmp.note_text(note) if note is not None else None,
        renewed=thumbnail if changed else None,
    )  # fmt: skip


def write(photo: Photo, pixels: NDArray[np.uint8], dest: Any, note: Note | None = None) -> None:
    """Write ``pixels`` to a path (or an open binary file), see :func:`encode`.

    The suffix of ``dest`` decides the format, the photo's own where it says nothing. The file appears under
    its name only once complete: it is written beside it and moved into place.

    Where the format has no place for the note it goes into a file of its own, see :func:`unmask.formats.note_file`.

    Raises:
        UnmaskError: the place cannot be written to, or the format cannot hold the picture.
    """
    if hasattr(dest, "write"):
        dest.write(encode(photo, pixels, note))
        return
    path = Path(os.fsdecode(dest))
    beside = formats.note_file(path)
    if note is not None and beside is not None:
        files.write(beside, xmp.note_text(note).encode() + b"\n")
    data = encode(photo, pixels, note, formats.format_of(path))
    files.write(path, data)


def like_source(photo: Photo, pixels: NDArray[np.uint8], note: Note | None = None) -> Any:
    """``pixels`` in the form the photo came in.

    Bytes for bytes, an array of the same shape and type for an array, a PIL image of the same mode for a PIL
    image; for paths and open files a PIL image (upright), too.
    """
    if photo.source == "bytes":
        return encode(photo, pixels, note)
    samples = _merged(photo, pixels)
    if photo.source == "array":
        return samples.reshape(photo.extras["shape"])
    if photo.source == "pil":
        image = encoders.picture(color.unorient(samples, photo.orientation), photo.mode, photo.palette)
        image.info.update(photo.extras.get("info", {}))
        return image
    return encoders.picture(*_plain(samples, photo.mode), photo.palette)


def in_colors_of(photo: Photo, pixels: NDArray[np.uint8]) -> Photo:
    """A picture of our own making, such as a sheet [H,W,3] of parts of ``photo``, that shows its colors as they are.

    It carries the photo's profile, or is converted to sRGB where that is one of gray levels.
    """
    if photo.icc is None or photo.mode == "CMYK":  # CMYK is sRGB since it was read
        return read(pixels)
    if photo.mode in ("1", "L", "LA"):
        gray, _ = color.to_srgb(np.ascontiguousarray(pixels[:, :, 0]), "L", None, photo.icc)
        return read(np.repeat(gray[:, :, None], 3, axis=2))
    return replace(read(pixels), icc=photo.icc)


def _merged(photo: Photo, pixels: NDArray[np.uint8]) -> NDArray[Any]:
    if pixels.dtype != np.uint8 or pixels.shape != photo.pixels.shape:
        raise ValueError(f"expected uint8 {photo.pixels.shape}, got {pixels.dtype} {pixels.shape}")
    usable = None
    if photo.mode == "P":
        usable = np.arange(256) < photo.extras.get("palette_used", 256)
        transparent = photo.extras.get("transparency")
        if isinstance(transparent, int):
            usable[transparent] = False
        elif isinstance(transparent, bytes):
            usable[: len(transparent)] &= np.frombuffer(transparent[:256], np.uint8) == 255
    return color.from_rgb(pixels, photo.pixels, photo.samples, photo.mode, photo.palette, photo.icc, usable)


def _plain(samples: NDArray[Any], mode: str) -> tuple[NDArray[Any], str]:
    """The same at eight bits where Pillow has no deeper form (it has one for gray)."""
    if samples.dtype == np.uint16 and mode != "L":
        return ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8), mode
    return samples, mode


def _fitted(
    photo: Photo, samples: NDArray[Any], palette: NDArray[np.uint8] | None, target: str
) -> tuple[NDArray[Any], str, NDArray[np.uint8] | None]:
    """Samples, mode and palette in a layout another format can hold: color and transparency stay, depth if it fits."""
    mode = photo.mode
    if samples.dtype == np.uint16 and mode not in _DEEP.get(target, ()):
        samples = ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)
    alpha = mode in ("LA", "RGBA") or (mode == "P" and photo.extras.get("transparency") is not None)
    if alpha and not {"LA", "RGBA"} & set(_HOLDS[target]):
        raise UnmaskError(f"{photo.name}: {target} holds no transparency; write a .png instead")
    if mode in _HOLDS[target]:
        return samples, mode, palette
    if mode == "P" and alpha:
        image = encoders.picture(samples, mode, palette)
        image.info["transparency"] = photo.extras["transparency"]
        return np.asarray(image.convert("RGBA")), "RGBA", None
    if mode == "LA":
        return samples[:, :, [0, 0, 0, 1]], "RGBA", None
    rgb = color.to_rgb(samples, mode, palette, photo.icc)
    if target == "GIF":
        return color.to_palette(rgb)
    return rgb, "RGB", None
