"""Reading: any picture becomes uint8 RGB, upright, with all that is needed to write it back."""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import os
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin, UnidentifiedImageError

from unmask import files
from unmask.errors import UnmaskError
from unmask.formats import KINDS
from unmask.images import color, containers, heif, tiff, whole

MAX_PIXELS = 100_000_000
MAX_SIDE = 32_766  # pixels; what OpenCV warps
MAX_EMPTY = 10_000_000  # pixels of a picture that holds next to nothing
PER_BYTE = 1000  # pixels a byte of the file, beyond which it holds next to nothing
READABLE = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF", "HEIF")
_ORIENTATION = 0x0112
_limit_lock = threading.Lock()


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture in two forms: what the models see, and what the file holds.

    Attributes:
        pixels: uint8 ``[H, W, 3]``, RGB, upright. Treat as read-only.
        name: what messages call it (a path, or "the image").
        source: how it came: path, bytes, file, pil or array.
        format: Pillow's name of the file format, None for pictures that came from no file.
        mode: layout of the samples: 1, L, LA, P, RGB, RGBA or CMYK.
        samples: the values at full precision, upright: bool, uint8 or uint16, ``[H, W]`` or ``[H, W, C]``.
        orientation: the EXIF orientation (1 to 8) under which the samples lie in the file.
        palette: ``[256, 3]`` uint8 for mode P.
        icc, exif, xmp: the profile, the EXIF block and the XMP packet, as found.
        extras: what a format needs to be written alike (quantization tables, chunks, tags).
    """

    pixels: NDArray[np.uint8]
    name: str
    source: str
    format: str | None
    mode: str
    samples: NDArray[Any]
    orientation: int = 1
    palette: NDArray[np.uint8] | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    extras: dict[str, Any] = field(default_factory=dict)

    @property
    def height(self) -> int:
        """Rows of the upright picture."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns of the upright picture."""
        return int(self.pixels.shape[1])


def read(source: Any, max_pixels: int = MAX_PIXELS) -> Photo:
    """Read a photo from a path, bytes, an open binary file, a PIL image or an array (RGB).

    The EXIF rotation is applied; 16-bit values are scaled, not clipped; gray, palette, alpha and CMYK become
    RGB. The size is checked before any pixel is decoded.

    Raises:
        UnmaskError: in one line, what is wrong with the file and what to do about it.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, max_pixels)
    if isinstance(source, Image.Image):
        return _from_image(source, "the image", "pil", max_pixels, b"")
    data, name, kind = _load(source)
    if not data:
        raise UnmaskError(f"{name}: the file is empty; fetch it again")
    try:
        with _opened(data, name, max_pixels) as image:
            return _from_image(image, name, kind, max_pixels, data)
    except UnmaskError:
        raise
    except MemoryError as error:
        raise UnmaskError(f"{name}: not enough memory; make it smaller first") from error
    except Exception as error:  # decoders raise nearly anything on damaged files
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UnmaskError(f"{name}: damaged or cut short ({reason}); fetch the file again") from error


def _load(source: Any) -> tuple[bytes, str, str]:
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source), "the image", "bytes"
    if hasattr(source, "read"):
        name = getattr(source, "name", None)
        data = source.read()
        if isinstance(data, (bytearray, memoryview)):
            data = bytes(data)
        if not isinstance(data, bytes):
            raise UnmaskError("the image: the file is open as text; open it in binary mode ('rb')")
        return data, name if isinstance(name, str) else "the image", "file"
    if not isinstance(source, (str, os.PathLike)):
        raise UnmaskError(
            f"the image: cannot read a {type(source).__name__}; "
            "pass a path, bytes, a binary file, a PIL image or a numpy array"
        )
    path = os.fsdecode(source)
    return files.read(path), path, "path"


@contextlib.contextmanager
def _opened(data: bytes, name: str, max_pixels: int) -> Iterator[Image.Image]:
    """The image, header read and size checked, pixels not yet decoded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with _limit_lock:  # our own cap speaks; Pillow's would only warn
                before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
                try:
                    image = Image.open(io.BytesIO(data), formats=_formats())
                finally:
                    Image.MAX_IMAGE_PIXELS = before
        except UnidentifiedImageError as error:
            if heif.looks_like(data) and not heif.register():
                raise UnmaskError(f"{name}: HEIC needs pillow-heif; install it: pip install pillow-heif") from error
            raise UnmaskError(f"{name}: not an image that can be read; convert it to {KINDS}") from error
        with image:
            _check_size(image.size, name, max_pixels)
            if image.width * image.height > max(MAX_EMPTY, PER_BYTE * len(data)):
                raise UnmaskError(f"{name}: {len(data)} bytes are no photo of {image.width}x{image.height} pixels")
            frames = getattr(image, "n_frames", 1)
            if frames > 1 and image.format != "MPO":
                raise UnmaskError(f"{name}: holds {frames} pictures; save the one you want as a file")
            yield image


@functools.cache
def _formats() -> tuple[str, ...]:
    """The readable formats of this Pillow; only their plugins are imported, which is faster than all of them."""
    for plugin in ("Jpeg", "Mpo", "Png", "WebP", "Tiff", "Bmp", "Gif", "Ppm", "Jpeg2K", "Avif"):
        with contextlib.suppress(ImportError):
            importlib.import_module(f"PIL.{plugin}ImagePlugin")
    heif.register()
    return tuple(format for format in READABLE if format in Image.OPEN)


def _check_size(size: tuple[int, int], name: str, max_pixels: int) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise UnmaskError(f"{name}: the picture has no pixels ({width}x{height}); fetch it again")
    if max(width, height) > MAX_SIDE:
        raise UnmaskError(f"{name}: {width}x{height} exceeds {MAX_SIDE} pixels on a side; make it smaller first")
    if width * height > max_pixels:
        raise UnmaskError(
            f"{name}: {width}x{height} exceeds {max_pixels / 1e6:g} million pixels; make it smaller first"
        )


def _from_image(image: Image.Image, name: str, kind: str, max_pixels: int, data: bytes) -> Photo:
    _check_size(image.size, name, max_pixels)
    format = "JPEG" if image.format == "MPO" else image.format
    if not data:
        image.load()  # Pillow turns some formats upright as it loads them, and says so in the EXIF block
    orientation, exif = _exif(image, format if data else None)
    extras: dict[str, Any] = _extras(image, format, data, name) if data else {"info": dict(image.info)}
    if data and format == "TIFF" and tiff.wants_tifffile(image):
        deep, (samples, mode) = True, tiff.decode(data, name, image.width * image.height)
    elif data and format == "PNG" and data[24] == 16 and image.mode in ("RGB", "RGBA", "LA"):
        deep, (samples, mode) = True, _decode_16(data, name, data[25])
    elif data and format == "HEIF" and int(image.info.get("bit_depth", 8)) > 8:
        deep, (samples, mode) = True, heif.deep(data)
    else:
        image.load()
        deep, (samples, mode) = False, _samples(image, name)
    if deep or not (format == "TIFF" and data):  # Pillow turns TIFF upright by itself
        samples = color.orient(samples, orientation)
    palette = None
    if mode == "P":
        flat = np.frombuffer(bytes(image.getpalette("RGB") or ()), np.uint8).reshape(-1, 3)
        palette = np.zeros((256, 3), np.uint8)
        palette[: len(flat)] = flat
        extras["palette_used"] = max(len(flat), 1)
        extras["transparency"] = image.info.get("transparency")
    icc = image.info.get("icc_profile")
    icc = icc if isinstance(icc, bytes) and icc else None
    xmp = extras.pop("xmp", None) or image.info.get("xmp")
    return Photo(
        pixels=color.to_rgb(samples, mode, palette, icc),
        name=name,
        source=kind,
        format=format,
        mode=mode,
        samples=samples,
        orientation=orientation,
        palette=palette,
        icc=icc,
        exif=exif,
        xmp=xmp if isinstance(xmp, bytes) else None,
        extras=extras,
    )


def _exif(image: Image.Image, format: str | None) -> tuple[int, bytes | None]:
    """The orientation (1 where there is none or it makes no sense) and the EXIF block."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a broken EXIF block is no reason to refuse a photo
        orientation = 1
    block = image.info.get("exif")
    if not isinstance(block, bytes) and format in (None, "TIFF"):
        block = None
    return (orientation if type(orientation) is int and 1 <= orientation <= 8 else 1), block


def _extras(image: Image.Image, format: str | None, data: bytes, name: str) -> dict[str, Any]:
    extras: dict[str, Any] = {"dpi": image.info.get("dpi")}
    if format == "JPEG" and isinstance(image, JpegImagePlugin.JpegImageFile):
        whole.check_jpeg(data, image.mode == "CMYK")
        segments = containers.jpeg_metadata(data)
        extras["segments"] = segments
        extras["xmp"] = containers.jpeg_xmp(segments)
        extras["tables"] = {k: list(v) for k, v in image.quantization.items()}
        extras["subsampling"] = JpegImagePlugin.get_sampling(image)
        extras["progressive"] = bool(image.info.get("progressive"))
    elif format == "PNG":
        chunks = containers.png_chunks(data)
        whole.check_png(chunks)
        extras["chunks"] = containers.png_metadata(chunks)
        extras["xmp"] = containers.png_xmp(chunks)
    elif format == "WEBP":
        extras["lossless"] = containers.webp_is_lossless(data)
    elif format == "HEIF":
        extras["nclx"] = image.info.get("nclx_profile")
    elif format == "TIFF":
        directory = image.tag_v2  # type: ignore[attr-defined]
        tiff.refuse(directory, name)
        extras["photometric"] = directory.get(262)
        extras["alpha"] = next((int(kind) for kind in directory.get(338, ()) if kind in (0, 1, 2)), 2)
        groups = {tag: image.getexif().get_ifd(tag) for tag in (34665, 34853) if tag in directory}
        extras["tags"] = tiff.tags_of(directory, groups)
        extras["compress"] = directory.get(259, 1) != 1
    return extras


def _decode_16(data: bytes, name: str, color_type: int) -> tuple[NDArray[np.uint16], str]:
    """Samples of a 16-bit color PNG (Pillow would drop the lower eight bits), in RGB order."""
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16 or decoded.ndim != 3 or decoded.shape[2] not in (3, 4):
        raise UnmaskError(f"{name}: cannot read this kind of 16 bit; save it as 16-bit RGB or as 8-bit")
    if color_type == 4:
        return np.ascontiguousarray(decoded[:, :, [0, 3]]), "LA"
    if color_type == 2:
        decoded = decoded[:, :, :3]
    if decoded.shape[2] == 3:
        return np.ascontiguousarray(decoded[:, :, ::-1]), "RGB"
    return np.ascontiguousarray(decoded[:, :, [2, 1, 0, 3]]), "RGBA"


def _samples(image: Image.Image, name: str) -> tuple[NDArray[Any], str]:
    mode = {"RGBX": "RGB", "YCbCr": "RGB", "HSV": "RGB", "RGBa": "RGBA", "PA": "RGBA", "La": "LA"}.get(
        image.mode, image.mode
    )
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16), "L"
    if image.mode == "I":
        wide = np.asarray(image)
        if wide.min() >= 0 and wide.max() <= 65535:
            return wide.astype(np.uint16), "L"
    if mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK"):
        raise UnmaskError(f"{name}: samples of kind {image.mode!r} are not handled; convert it to 8-bit RGB")
    return np.array(image if image.mode == mode else image.convert(mode)), mode


def _from_array(array: NDArray[Any], max_pixels: int) -> Photo:
    shape = array.shape
    if array.dtype not in (np.uint8, np.uint16) or array.ndim not in (2, 3) or (shape[2:] and shape[2] > 4):
        raise UnmaskError(
            f"the array: {array.dtype} {list(shape)} is not an image; "
            "pass uint8 or uint16 [H, W] or [H, W, 1 to 4], RGB order"
        )
    if array.size == 0:
        raise UnmaskError(f"the array: {list(shape)} holds no pixels")
    _check_size((shape[1], shape[0]), "the array", max_pixels)
    samples = array[:, :, 0] if array.ndim == 3 and shape[2] == 1 else array
    mode = "L" if samples.ndim == 2 else {2: "LA", 3: "RGB", 4: "RGBA"}[shape[2]]
    samples = np.ascontiguousarray(samples)
    pixels = color.to_rgb(samples, mode, None, None)
    return Photo(pixels, "the array", "array", None, mode, samples, extras={"shape": shape})
