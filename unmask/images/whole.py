"""Whether a picture is all there: decoders paint what is missing gray or black, and say nothing."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

MAX_SCANS = 200  # of a progressive JPEG; each goes over the whole picture
_BLOCK = 1 << 20
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG, by its color type
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def check_png(chunks: Sequence[tuple[bytes, bytes]]) -> None:
    """ValueError where the rows of a PNG, or the palette they need, are not all there, or their checksum is wrong."""
    if chunks[0][1][9] == 3 and not any(kind == b"PLTE" for kind, _ in chunks):
        raise ValueError("the palette is missing")
    packed = b"".join(payload for kind, payload in chunks if kind == b"IDAT")
    reader, found, rest = zlib.decompressobj(), 0, packed
    while not reader.eof and (rest or not found):
        part = reader.decompress(rest, _BLOCK)
        found, rest = found + len(part), reader.unconsumed_tail
        if not part and not rest:
            break
    if not reader.eof or found < _png_bytes(chunks[0][1]):
        raise ValueError("rows are missing")


def _png_bytes(header: bytes) -> int:
    """The bytes of all filtered rows that a header (IHDR) promises."""
    width, height = (int.from_bytes(header[at : at + 4], "big") for at in (0, 4))
    bits = header[8] * _CHANNELS.get(header[9], 1)
    passes = _PASSES if header[12] else ((0, 0, 1, 1),)
    sizes = [(-((left - width) // across), -((top - height) // down)) for left, top, across, down in passes]
    return sum(rows * (1 + (columns * bits + 7) // 8) for columns, rows in sizes if columns > 0 and rows > 0)


def check_jpeg(data: bytes, four_inks: bool) -> None:
    """ValueError where the compressed data of a JPEG end early or make no sense.

    Bytes that are left over are let be: some cameras write them.
    """
    import simplejpeg

    if data.count(b"\xff\xda") > MAX_SCANS:
        raise ValueError(f"more than {MAX_SCANS} scans")
    try:
        simplejpeg.decode_jpeg(data, "CMYK" if four_inks else "GRAY", fastdct=True, fastupsample=True, strict=True)
    except ValueError as error:
        reason = str(error)
        if reason.startswith(("Corrupt JPEG data", "Premature end")) and "extraneous" not in reason:
            raise ValueError(reason) from None
