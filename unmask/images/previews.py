"""Small copies of a photo inside its metadata, which show what the photo showed before: made anew or taken out."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Segment = tuple[int, bytes]

PHOTOSHOP = b"Photoshop 3.0\x00"
_THUMBNAILS = {1033, 1036}  # of the resources of Photoshop
_QUALITIES = (85, 70, 50, 30, 15)
_LONGEST = 65533  # bytes of a JPEG segment


def jpegs(data: bytes) -> Iterator[tuple[int, int]]:
    """The spans of whole or broken-off JPEG pictures inside other data."""
    at = data.find(b"\xff\xd8\xff")
    while at >= 0:
        end = _end_of_jpeg(data, at)
        if end is not None:
            yield at, end
        at = data.find(b"\xff\xd8\xff", end or at + 2)


def _end_of_jpeg(data: bytes, start: int) -> int | None:
    """Where the JPEG that may begin at ``start`` ends; None where none does."""
    at, framed = start + 2, False
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker < 0xC0 or 0xD0 <= marker <= 0xD9:
            return None
        framed |= 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2:
            return None
        at += 2 + length
        if marker == 0xDA:
            end = data.find(b"\xff\xd9", at)
            return (len(data) if end < 0 else end + 2) if framed else None
    return len(data) if framed and at >= len(data) else None


def wiped(data: bytes) -> bytes:
    """The same data with zeros in place of every JPEG in it."""
    out = bytearray(data)
    for start, end in jpegs(data):
        out[start:end] = bytes(end - start)
    return bytes(out)


def thumbnail(pixels: NDArray[np.uint8], old: bytes, most: int) -> bytes | None:
    """A JPEG of at most ``most`` bytes that shows ``pixels`` [H,W,3] where ``old`` showed another picture.

    None where the old one cannot be read or the new one does not fit.
    """
    try:
        with Image.open(io.BytesIO(old), formats=["JPEG"]) as before:
            width, height = before.size
    except Exception:  # whatever it was, it is no thumbnail that a reader can show
        return None
    scale = min(width / pixels.shape[1], height / pixels.shape[0], 1.0)
    size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    small = Image.fromarray(np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8))
    for quality in _QUALITIES:
        out = io.BytesIO()
        small.save(out, "JPEG", quality=quality, optimize=True)
        if out.tell() <= most:
            return out.getvalue()
    return None


def without_resources(block: bytes) -> bytes:
    """Photoshop's image resources without the thumbnails; nothing where the block cannot be read."""
    out, at = b"", 0
    while at + 12 <= len(block):
        if block[at : at + 4] not in (b"8BIM", b"8B64", b"MeSa", b"AgHg", b"PHUT", b"DCSR"):
            break
        number = int.from_bytes(block[at + 4 : at + 6], "big")
        head = at + 6 + (1 + block[at + 6] + 1) // 2 * 2
        if head + 4 > len(block):
            break
        (length,) = struct.unpack_from(">I", block, head)
        end = head + 4 + (length + 1) // 2 * 2
        if number not in _THUMBNAILS:
            out += wiped(block[at : min(end, len(block))])
        at = end
    return out


def segments_without(segments: Iterable[Segment]) -> list[Segment]:
    """JPEG segments without the pictures in them; EXIF and XMP are left to those who know them.

    Thumbnails of JFIF go, those among Photoshop's resources, FlashPix, content credentials (APP11: they hold a
    thumbnail and vouch for pixels that are no more), and every other maker's segments with a JPEG inside.
    """
    segments = list(segments)
    resources = b"".join(p.removeprefix(PHOTOSHOP) for m, p in segments if m == 0xED and p.startswith(PHOTOSHOP))
    kept: list[Segment] = []
    tainted: set[int] = {0xEB}
    resourced = False
    for marker, payload in segments:
        if marker == 0xE0 and payload.startswith(b"JFIF\x00") and len(payload) >= 14:
            kept.append((marker, payload[:12] + b"\x00\x00"))
        elif marker == 0xE0 or (marker == 0xE2 and payload.startswith(b"FPXR\x00")):
            continue
        elif marker == 0xED and payload.startswith(PHOTOSHOP):
            if not resourced:
                kept += [(marker, PHOTOSHOP + part) for part in _parts(without_resources(resources))]
            resourced = True
        elif payload.startswith((b"Exif\x00", b"http://ns.adobe.com/", b"ICC_PROFILE\x00")):
            kept.append((marker, payload))
        elif marker in tainted or (marker != 0xFE and next(jpegs(payload), None)):
            tainted.add(marker)  # what belongs to it may go on in further segments
        else:
            kept.append((marker, payload))
    return kept


def _parts(block: bytes) -> Iterator[bytes]:
    most = _LONGEST - len(PHOTOSHOP)
    for at in range(0, len(block), most):
        yield block[at : at + most]
