"""Writing: format, size, mode and metadata as read, only the changed pixels new, and never half a file."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unmask import files
from unmask.errors import UnmaskError
from unmask.images import color, containers, tiff, xmp
from unmask.images.photo import READABLE, Photo

Note = Mapping[str, Any]
_SUFFIXES = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".png": "PNG", ".webp": "WEBP",
    ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP", ".gif": "GIF", ".ppm": "PPM", ".pgm": "PPM",
    ".pbm": "PPM", ".pnm": "PPM", ".jp2": "JPEG2000", ".j2k": "JPEG2000", ".avif": "AVIF",
}  # fmt: skip
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
}
_COLORS = ("L", "LA", "RGB", "RGBA")
_DEEP = {"PNG": _COLORS, "TIFF": _COLORS, "PPM": ("L",), "JPEG2000": ("L",)}


def encode(photo: Photo, pixels: NDArray[np.uint8], note: Note | None = None, format: str | None = None) -> bytes:
    """The bytes of a file that holds ``pixels`` and, for the rest, what ``photo`` held.

    Args:
        photo: what was read.
        pixels: uint8 ``[H, W, 3]``, upright, of the photo's size. Where they equal ``photo.pixels`` the
            file's own samples are kept, at full precision; the encoding of JPEG and other lossy formats still
            applies.
        note: provenance, written as XMP (JPEG, PNG, WebP, TIFF, AVIF), PNG text, or a comment (GIF, JPEG 2000); BMP
            and PPM have no place for it, see :func:`write`.
        format: Pillow's name of a format; the photo's own if None, PNG for pictures that came from no file.

    Raises:
        UnmaskError: the format cannot hold such a picture.
    """
    target = (format or photo.format or "PNG").upper()
    if target not in _HOLDS:
        raise UnmaskError(f"{photo.name}: cannot write {target}; choose one of {', '.join(sorted(_HOLDS))}")
    samples = _merged(photo, pixels)
    if target == photo.format:
        samples, mode, orientation, exif = samples, photo.mode, photo.orientation, photo.exif
        samples = color.unorient(samples, orientation)
    else:
        samples, mode = _fitted(photo, samples, target)
        orientation, exif = 1, _upright_exif(photo)
    packet = xmp.packet(note, photo.xmp) if note is not None else photo.xmp
    text = xmp.note_text(note) if note is not None else None
    try:
        return _ENCODERS.get(target, _other)(photo, samples, mode, orientation, exif, packet, text, target)
    except UnmaskError:
        raise
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UnmaskError(f"{photo.name}: cannot be written as {target} ({reason}); write a .png") from error


def note_file(path: Path) -> Path | None:
    """Where the note of a picture goes whose format has no place for one: ``NAME.EXT.note.json``."""
    noteless = _SUFFIXES.get(path.suffix.lower()) in ("BMP", "PPM")
    return path.with_name(f"{path.name}.note.json") if noteless else None


def is_lossy(path: Path) -> bool:
    """Whether a file of that name is encoded anew as a whole, so that all its pixels change a little."""
    return _SUFFIXES.get(path.suffix.lower()) in ("JPEG", "WEBP", "AVIF")


def write(photo: Photo, pixels: NDArray[np.uint8], dest: Any, note: Note | None = None) -> None:
    """Write ``pixels`` to a path (or an open binary file), see :func:`encode`.

    The suffix of ``dest`` decides the format, the photo's own where it says nothing. The file appears under
    its name only once complete: it is written beside it and moved into place.

    Where the format has no place for the note it goes into a file of its own, see :func:`note_file`.

    Raises:
        UnmaskError: the place cannot be written to, or the format cannot hold the picture.
    """
    if hasattr(dest, "write"):
        dest.write(encode(photo, pixels, note))
        return
    path = Path(os.fsdecode(dest))
    beside = note_file(path)
    if note is not None and beside is not None:
        files.write(beside, xmp.note_text(note).encode() + b"\n")
    data = encode(photo, pixels, note, _SUFFIXES.get(path.suffix.lower()))
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
        image = _image(color.unorient(samples, photo.orientation), photo.mode, photo.palette)
        image.info.update(photo.extras.get("info", {}))
        return image
    return _image(*_plain(samples, photo.mode), photo.palette)


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


def _image(samples: NDArray[Any], mode: str, palette: NDArray[np.uint8] | None) -> Image.Image:
    if mode == "1":
        levels = samples.astype(np.uint8) * np.uint8(255)
        return Image.fromarray(levels).convert("1", dither=Image.Dither.NONE)
    if mode in ("CMYK", "P"):
        height, width = samples.shape[:2]
        image = Image.frombytes(mode, (width, height), np.ascontiguousarray(samples).tobytes())
        if palette is not None:
            image.putpalette(palette.tobytes())
        return image
    return Image.fromarray(np.ascontiguousarray(samples))


def _fitted(photo: Photo, samples: NDArray[Any], target: str) -> tuple[NDArray[Any], str]:
    """Samples in a layout another format can hold: color and transparency stay, depth where it fits."""
    mode = photo.mode
    if samples.dtype == np.uint16 and mode not in _DEEP.get(target, ()):
        samples = ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)
    alpha = mode in ("LA", "RGBA") or (mode == "P" and photo.extras.get("transparency") is not None)
    if alpha and not {"LA", "RGBA"} & set(_HOLDS[target]):
        raise UnmaskError(f"{photo.name}: {target} holds no transparency; write a .png instead")
    if mode in _HOLDS[target]:
        return samples, mode
    if mode == "P" and alpha:
        image = _image(samples, mode, photo.palette)
        image.info["transparency"] = photo.extras["transparency"]
        return np.asarray(image.convert("RGBA")), "RGBA"
    if mode == "LA":
        return samples[:, :, [0, 0, 0, 1]], "RGBA"
    rgb = color.to_rgb(samples, mode, photo.palette, photo.icc)
    if target == "GIF":
        return np.asarray(Image.fromarray(rgb).convert("L")), "L"
    return rgb, "RGB"


def _upright_exif(photo: Photo) -> bytes | None:
    if photo.exif is None:
        return None
    try:
        exif = Image.Exif()
        exif.load(photo.exif)
        exif[0x0112] = 1
        return exif.tobytes()
    except Exception:  # an EXIF block that cannot be read is not carried into another format
        return None


def _icc(photo: Photo, mode: str) -> bytes | None:
    """The profile, unless the samples left the color space it describes."""
    return None if photo.mode == "CMYK" and mode != "CMYK" else photo.icc


def _jpeg(photo: Photo, samples: NDArray[Any], mode: str, orientation: int, exif: bytes | None,
          packet: bytes | None, text: str | None, target: str) -> bytes:  # fmt: skip
    image = _image(samples, mode, None)
    out = io.BytesIO()
    same = photo.format == "JPEG"
    options: dict[str, Any] = {"quality": 95, "subsampling": 0}
    if same and photo.extras.get("tables"):
        options = {"qtables": photo.extras["tables"], "progressive": photo.extras["progressive"]}
        if photo.extras["subsampling"] in (0, 1, 2):
            options["subsampling"] = photo.extras["subsampling"]
    if not same and (icc := _icc(photo, mode)):
        options["icc_profile"] = icc
    if not same and exif:
        options["exif"] = exif
    image.save(out, "JPEG", optimize=True, **options)
    return containers.jpeg_splice(out.getvalue(), photo.extras.get("segments", ()), packet, text)


def _png(photo: Photo, samples: NDArray[Any], mode: str, orientation: int, exif: bytes | None,
         packet: bytes | None, text: str | None, target: str) -> bytes:  # fmt: skip
    same = photo.format == "PNG"
    kept = list(photo.extras.get("chunks", ())) if same else []
    if samples.dtype == np.uint16:
        data = containers.png_encode_16(samples)
    else:
        options: dict[str, Any] = {}
        if mode == "P":
            options["bits"] = max(1, int(photo.extras.get("palette_used", 256) - 1).bit_length())
            options["bits"] = next(b for b in (1, 2, 4, 8) if b >= options["bits"])
            if not same and photo.extras.get("transparency") is not None:
                options["transparency"] = photo.extras["transparency"]
        if not same:
            options.update({"icc_profile": _icc(photo, mode), "exif": exif, "dpi": photo.extras.get("dpi")})
        out = io.BytesIO()
        image = _image(samples, mode, photo.palette)
        image.save(out, "PNG", **{k: v for k, v in options.items() if v is not None})
        data = out.getvalue()
    return containers.png_splice(data, kept, packet, (xmp.PNG_KEYWORD, text) if text is not None else None)


def _tiff(photo: Photo, samples: NDArray[Any], mode: str, orientation: int, exif: bytes | None,
          packet: bytes | None, text: str | None, target: str) -> bytes:  # fmt: skip
    same = photo.format == "TIFF"
    return tiff.encode(
        samples,
        mode,
        photo.extras["tags"] if same else {},
        orientation,
        _icc(photo, mode),
        packet,
        photo.palette if mode == "P" else None,
        bool(photo.extras.get("compress", True)),
        white_is_zero=same and photo.extras.get("photometric") == 0,
        alpha=photo.extras.get("alpha", 2) if same else 2,
    )


def _webp(photo: Photo, samples: NDArray[Any], mode: str, orientation: int, exif: bytes | None,
          packet: bytes | None, text: str | None, target: str) -> bytes:  # fmt: skip
    lossless = bool(photo.extras.get("lossless", photo.format != "JPEG"))
    options = {"icc_profile": _icc(photo, mode), "exif": exif, "xmp": packet}
    out = io.BytesIO()
    _image(samples, mode, None).save(
        out, "WEBP", lossless=lossless, exact=True, quality=75 if lossless else 95, method=4,
        **{k: v for k, v in options.items() if v},
    )  # fmt: skip
    return out.getvalue()


def _other(photo: Photo, samples: NDArray[Any], mode: str, orientation: int, exif: bytes | None,
           packet: bytes | None, text: str | None, target: str) -> bytes:  # fmt: skip
    assert target in READABLE
    options: dict[str, Any] = {"dpi": photo.extras.get("dpi")}
    if target == "GIF":
        options.update(transparency=photo.extras.get("transparency"), comment=text.encode() if text else None)
    if target == "AVIF":
        options.update(quality=95, subsampling="4:4:4", exif=exif, xmp=packet, icc_profile=_icc(photo, mode))
    if target == "JPEG2000":
        options.update(irreversible=False, comment=text)
    out = io.BytesIO()
    image = _image(samples, mode, photo.palette)
    image.save(out, target, **{k: v for k, v in options.items() if v is not None})
    return out.getvalue()


_ENCODERS = {"JPEG": _jpeg, "PNG": _png, "TIFF": _tiff, "WEBP": _webp}
