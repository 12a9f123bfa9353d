"""The outer shell of JPEG, PNG and WebP files: what is kept of the original around newly encoded pixels.

Pillow reads and writes the pixels; metadata travel verbatim, segment by segment and chunk by chunk, so that
nothing a photo carried is lost or reworded.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\x00"
_XMP_EXTENSION = b"http://ns.adobe.com/xmp/extension/\x00"
_GAIN_MAP = b"urn:iso:std:iso:ts:21496:-1\x00"  # says that a second picture makes the first one brighter
_PNG_XMP = b"XML:com.adobe.xmp\x00"
# Chunks that describe the pixels themselves and come from the new encoding, or would no longer be true.
_PNG_NEW = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"hIST", b"acTL", b"fcTL", b"fdAT"}
# Of the chunks that are not to be copied by those who do not know them: these stay true.
_PNG_KNOWN = {b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"bKGD", b"tRNS", b"tIME", b"cICP", b"mDCV", b"cLLI"}
_PNG_BEFORE_PLTE = {b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP", b"mDCV", b"cLLI"}


def jpeg_segments(data: bytes) -> list[tuple[int, bytes]]:
    """The marker segments of a JPEG before its scan: (marker, payload without the length field)."""
    segments: list[tuple[int, bytes]] = []
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker == 0xDA:
            break
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2:
            break
        segments.append((marker, data[at + 4 : at + 2 + length]))
        at += 2 + length
    return segments


def jpeg_metadata(data: bytes) -> list[tuple[int, bytes]]:
    """The application and comment segments worth keeping (not the codec's, no pointers to other pictures)."""
    return [
        (marker, payload)
        for marker, payload in jpeg_segments(data)
        if (0xE0 <= marker <= 0xEF or marker == 0xFE)
        and marker != 0xEE
        and not (marker == 0xE2 and payload.startswith((b"MPF\x00", _GAIN_MAP)))
    ]


def jpeg_xmp(segments: Iterable[tuple[int, bytes]]) -> bytes | None:
    """The XMP packet among JPEG segments."""
    for marker, payload in segments:
        if marker == 0xE1 and payload.startswith(_XMP_HEADER):
            return payload[len(_XMP_HEADER) :]
    return None


def jpeg_extended_xmp(segments: Iterable[tuple[int, bytes]]) -> bytes:
    """The text of the extended XMP packet, which goes on over several segments; empty where there is none."""
    head = len(_XMP_EXTENSION) + 40  # digest, length of the whole, offset of the part
    return b"".join(p[head:] for m, p in segments if m == 0xE1 and p.startswith(_XMP_EXTENSION))


def jpeg_without_extended_xmp(segments: Iterable[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """The segments without those of an extended XMP packet."""
    return [(m, p) for m, p in segments if not (m == 0xE1 and p.startswith(_XMP_EXTENSION))]


def jpeg_splice(encoded: bytes, kept: Sequence[tuple[int, bytes]], xmp: bytes | None, comment: str | None) -> bytes:
    """A freshly encoded JPEG with the kept segments and the XMP packet put where they belong.

    A packet too long for one segment is left out and the ``comment`` takes its place.
    """
    fits = xmp is not None and len(_XMP_HEADER) + len(xmp) <= 65533
    head = [(m, p) for m, p in kept if not (fits and m == 0xE1 and p.startswith(_XMP_HEADER))]
    own_jfif = any(m == 0xE0 and p.startswith(b"JFIF\x00") for m, p in head)
    fresh = jpeg_segments(encoded)
    codec = [(m, p) for m, p in fresh if not (own_jfif and m == 0xE0)]
    jfif = [s for s in codec if s[0] == 0xE0]
    if fits and xmp is not None:
        first_free = next((i for i, (m, _) in enumerate(head) if m not in (0xE0, 0xE1)), len(head))
        head.insert(first_free, (0xE1, _XMP_HEADER + xmp))
    elif comment is not None:
        head.append((0xFE, comment.encode("ascii", "replace")[:65533]))
    ordered = jfif + head + [s for s in codec if s[0] != 0xE0]
    scan = 2 + sum(4 + len(p) for _, p in fresh)
    body = b"".join(bytes((0xFF, m)) + struct.pack(">H", len(p) + 2) + p for m, p in ordered)
    return encoded[:2] + body + encoded[scan:]


def png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks of a PNG: (type, payload). ValueError where the file is cut short or a checksum is wrong."""
    chunks: list[tuple[bytes, bytes]] = []
    at = len(PNG_MAGIC)
    while True:
        if at + 12 > len(data):
            raise ValueError("the file ends before its last chunk")
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, payload = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if len(payload) < length or at + 12 + length > len(data):
            raise ValueError("the file ends before its last chunk")
        (checksum,) = struct.unpack(">I", data[at + 8 + length : at + 12 + length])
        if checksum != zlib.crc32(kind + payload):
            raise ValueError(f"chunk {kind.decode('latin-1')} has a wrong checksum")
        chunks.append((kind, payload))
        at += 12 + length
        if kind == b"IEND":
            return chunks


def png_metadata(chunks: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The chunks of a PNG worth keeping around new pixels."""
    return [(kind, payload) for kind, payload in chunks if kind not in _PNG_NEW]


def png_renewed(kept: Iterable[tuple[bytes, bytes]], exif: bytes | None) -> list[tuple[bytes, bytes]]:
    """Kept chunks around other pixels: ``exif`` in place of the old block, without what shows or vouches for the old.

    That is, what PNG calls unsafe to copy, and ImageMagick's profiles in text, which may hold a thumbnail.
    """
    out = []
    for kind, payload in kept:
        if kind == b"eXIf":
            if exif:
                out.append((kind, exif.removeprefix(b"Exif\x00\x00")))
        elif kind[3:4].isupper() and kind not in _PNG_KNOWN:
            continue
        elif not payload.startswith(b"Raw profile type ") or payload.startswith(b"Raw profile type icc"):
            out.append((kind, payload))
    return out


def png_xmp(chunks: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The XMP packet among PNG chunks (uncompressed, as XMP demands)."""
    for kind, payload in chunks:
        if kind == b"iTXt" and payload.startswith(_PNG_XMP + b"\x00"):
            return payload.split(b"\x00", 5)[-1]
    return None


def png_splice(
    encoded: bytes, kept: Sequence[tuple[bytes, bytes]], xmp: bytes | None, text: tuple[str, str] | None
) -> bytes:
    """A freshly encoded PNG with the kept chunks, the XMP packet and a tEXt entry ``(keyword, value)``."""
    fresh = png_chunks(encoded)
    own = {kind for kind, _ in kept}
    if xmp is not None:
        kept = [(k, p) for k, p in kept if not (k == b"iTXt" and p.startswith(_PNG_XMP))]
    extra: list[tuple[bytes, bytes]] = []
    if xmp is not None:
        extra.append((b"iTXt", _PNG_XMP + b"\x00\x00\x00\x00" + xmp))
    if text is not None:
        keyword = text[0].encode("latin-1") + b"\x00"
        kept = [(k, p) for k, p in kept if not (k == b"tEXt" and p.startswith(keyword))]
        extra.append((b"tEXt", keyword + text[1].encode("latin-1", "replace")))
    early = [c for c in kept if c[0] in _PNG_BEFORE_PLTE]
    late = [c for c in kept if c[0] not in _PNG_BEFORE_PLTE]
    ihdr = [c for c in fresh if c[0] == b"IHDR"]
    palette = [c for c in fresh if c[0] == b"PLTE"]
    placed = {b"IHDR", b"PLTE", b"IEND"} | (own - {b"IDAT"})
    pixels = [c for c in fresh if c[0] not in placed]
    ordered = ihdr + early + palette + late + extra + pixels + [(b"IEND", b"")]
    return PNG_MAGIC + b"".join(png_chunk(kind, payload) for kind, payload in ordered)


def png_chunk(kind: bytes, payload: bytes) -> bytes:
    """One chunk as it stands in the file: length, type, payload, checksum."""
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def png_encode_16(samples: NDArray[np.uint16]) -> bytes:
    """A 16-bit PNG of ``[H, W]`` (gray) or ``[H, W, C]`` (gray + alpha, RGB, RGBA): Pillow writes none.

    Each row takes the filter, out of "left neighbor" and "row above", that leaves the smaller differences.
    """
    height, width = samples.shape[:2]
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = samples.astype(">u2").view(np.uint8).reshape(height, width * channels * 2)
    left, above = rows.copy(), rows.copy()
    left[:, channels * 2 :] -= rows[:, : -channels * 2]
    above[1:] -= rows[:-1]
    cost_left, cost_above = (np.abs(d.view(np.int8).astype(np.int16)).sum(1) for d in (left, above))
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = np.where(cost_left <= cost_above, 1, 2)
    filtered[:, 1:] = np.where((cost_left <= cost_above)[:, None], left, above)
    header = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 6)), (b"IEND", b""))
    return PNG_MAGIC + b"".join(png_chunk(kind, payload) for kind, payload in chunks)


def webp_is_lossless(data: bytes) -> bool:
    """Whether a WebP file holds its pixels in the lossless form."""
    at = 12
    while at + 8 <= len(data):
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if kind in (b"VP8L", b"VP8 "):
            return kind == b"VP8L"
        at += 8 + length + (length & 1)
    return False
