"""Small whole files of every kind that is read, to be mutated, and the mutations."""

from __future__ import annotations

import functools
import io
import random
import struct
import zlib

import numpy as np
import tifffile
from PIL import Image

from tests.images.pictures import NOTE, picture, saved
from unmask import images
from unmask.images import containers

ODD = (b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\1", b"\1\0\0\0", b"\xff\xd8", b"\xff\xda")


@functools.cache
def seeds() -> dict[str, bytes]:
    """Whole files by kind; the same on every machine."""
    image = Image.fromarray(picture(24, 32))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    found = {
        "jpeg": saved(image, "JPEG", exif=exif),
        "jpeg-progressive": saved(image, "JPEG", progressive=True),
        "jpeg-cmyk": saved(image.convert("CMYK"), "JPEG"),
        "png": saved(image, "PNG", exif=exif),
        "png-palette": saved(image.quantize(9), "PNG", transparency=3),
        "png-16": containers.png_encode_16(picture(24, 32, dtype=np.uint16)),
        "webp": saved(image, "WEBP"),
        "webp-lossless": saved(image, "WEBP", lossless=True),
        "gif": saved(image.quantize(9), "GIF"),
        "bmp": saved(image, "BMP"),
        "ppm": saved(image, "PPM"),
        "jp2": saved(image, "JPEG2000"),
        "avif": saved(image, "AVIF"),
        "tiff": saved(image, "TIFF", exif=exif),
        "tiff-lzw": saved(image, "TIFF", compression="tiff_lzw"),
        "tiff-jpeg": saved(image, "TIFF", compression="jpeg"),
        "tiff-g4": saved(image.convert("1"), "TIFF", compression="group4"),
    }
    for name, options in {"tiff-16": {}, "tiff-16-planes": {"planarconfig": "separate", "compression": "zlib"}}.items():
        out, deep = io.BytesIO(), picture(24, 32, dtype=np.uint16)
        laid = np.ascontiguousarray(np.moveaxis(deep, 2, 0)) if options else deep
        tifffile.imwrite(out, laid, photometric="rgb", metadata=None, **options)
        found[name] = out.getvalue()
    for name in ("jpeg", "png", "tiff", "webp"):
        photo = images.read(found[name])
        found[f"{name}-note"] = images.encode(photo, photo.pixels, NOTE)
    return found


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The file with one to four changes: bytes, odd numbers, cuts, doubled and moved parts."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        if len(out) < 8:
            break
        at, what = rng.randrange(len(out)), rng.randrange(7)
        length = rng.choice((1, 2, 4, 16, 64))
        if what <= 1:
            out[at] = rng.randrange(256)
        elif what == 2:
            out[at] ^= 1 << rng.randrange(8)
        elif what == 3:
            odd = rng.choice(ODD)
            out[at : at + len(odd)] = odd
        elif what == 4:
            del out[at : at + length]
        elif what == 5:
            out[at:at] = out[at : at + length] * rng.choice((1, 2, 50))
        else:
            del out[rng.randrange(len(out) // 2, len(out)) :]
    return closed(bytes(out)) if rng.random() < 0.5 else bytes(out)


def closed(data: bytes) -> bytes:
    """A PNG with its checksums made right again, so that what is inside is reached; other files as they are."""
    if not data.startswith(containers.PNG_MAGIC):
        return data
    out, at = bytearray(data), len(containers.PNG_MAGIC)
    while at + 12 <= len(out):
        (length,) = struct.unpack(">I", out[at : at + 4])
        if at + 12 + length > len(out):
            break
        out[at + 8 + length : at + 12 + length] = struct.pack(">I", zlib.crc32(out[at + 4 : at + 8 + length]))
        at += 12 + length
    return bytes(out)
