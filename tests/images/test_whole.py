"""Half a photo is never read as a whole one: cut, repaired at the seam, or with rows left out."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from tests.images.pictures import picture, saved
from unmask import images
from unmask.errors import UnmaskError
from unmask.images import containers, whole


def noisy() -> Image.Image:
    """A picture whose rows all differ."""
    rng = np.random.default_rng(0)
    return Image.fromarray(np.clip(picture(96, 128) + rng.normal(0, 15, (96, 128, 3)), 0, 255).astype(np.uint8))


FILES = {
    "jpeg": saved(noisy(), "JPEG"),
    "jpeg-progressive": saved(noisy(), "JPEG", progressive=True),
    "jpeg-restarts": saved(noisy(), "JPEG", restart_marker_rows=1),
    "jpeg-gray": saved(noisy().convert("L"), "JPEG"),
    "jpeg-cmyk": saved(noisy().convert("CMYK"), "JPEG"),
    "png": saved(noisy(), "PNG"),
    "png-palette": saved(noisy().quantize(5), "PNG", bits=4),
    "png-16": containers.png_encode_16(picture(dtype=np.uint16)),
    "webp": saved(noisy(), "WEBP"),
    "webp-lossless": saved(noisy(), "WEBP", lossless=True),
    "gif": saved(noisy().quantize(60), "GIF"),
    "bmp": saved(noisy(), "BMP"),
    "ppm": saved(noisy(), "PPM"),
    "jp2": saved(noisy(), "JPEG2000", irreversible=True, quality_mode="rates", quality_layers=[20]),
    "avif": saved(noisy(), "AVIF"),
    "tiff": saved(noisy(), "TIFF"),
    "tiff-lzw": saved(noisy(), "TIFF", compression="tiff_lzw"),
    "tiff-jpeg": saved(noisy(), "TIFF", compression="jpeg"),
    "tiff-g4": saved(noisy().convert("1"), "TIFF", compression="group4"),
}


def mended(kind: str, cut: bytes) -> Iterator[bytes]:
    """A file that was cut, as it is and with its outer shell closed again."""
    yield cut
    if kind.startswith("jpeg"):
        yield cut + b"\xff\xd9"
    if kind == "gif":
        yield cut + b"\0;"
    if kind.startswith("webp") and len(cut) > 30:
        even = bytearray(cut + b"\0" * (len(cut) % 2))
        even[4:8], even[16:20] = struct.pack("<I", len(even) - 8), struct.pack("<I", len(even) - 20)
        yield bytes(even)
    if kind.startswith("png") and (at := cut.find(b"IDAT")) > 0:
        head = containers.png_chunks(FILES[kind])[0]
        parts = (head, (b"IDAT", cut[at + 4 :]), (b"IEND", b""))
        yield containers.PNG_MAGIC + b"".join(containers.png_chunk(*part) for part in parts)


@pytest.mark.parametrize("kind", FILES)
def test_a_cut_file_is_refused_or_all_there(kind: str) -> None:
    data = FILES[kind]
    true = images.read(data).pixels
    cuts = [len(data) - n for n in (1, 2, 3, 4, 8, 16, 64)] + [int(len(data) * part) for part in (0.9, 0.6, 0.3)]
    refused = 0
    for cut in cuts:
        for blob in mended(kind, data[:cut]):
            try:
                found = images.read(blob).pixels
            except UnmaskError:
                refused += 1
            else:
                assert np.array_equal(found, true), (kind, len(data) - cut)
    assert refused >= 3


def rebuilt(data: bytes, rows: bytes) -> bytes:
    """A PNG with other rows under its own header."""
    parts = (containers.png_chunks(data)[0], (b"IDAT", rows), (b"IEND", b""))
    return containers.PNG_MAGIC + b"".join(containers.png_chunk(*part) for part in parts)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_png_rows_are_counted(mode: str) -> None:
    data = saved(noisy().quantize(40) if mode == "P" else noisy().convert(mode), "PNG")
    packed = b"".join(payload for kind, payload in containers.png_chunks(data) if kind == b"IDAT")
    rows = zlib.decompress(packed)
    chunks = containers.png_chunks(data)
    assert whole._png_bytes(chunks[0][1]) == len(rows)
    if mode == "P":
        return  # its palette is not rebuilt
    images.read(rebuilt(data, zlib.compress(rows)))
    images.read(rebuilt(data, zlib.compress(rows + b"more")))
    for wrong in (
        zlib.compress(rows[:-1]),  # complete as a stream, short as a picture
        zlib.compress(rows)[:-4],  # no checksum
        zlib.compress(rows)[:-1] + bytes([zlib.compress(rows)[-1] ^ 1]),  # a wrong one
        b"",
    ):
        with pytest.raises(UnmaskError, match="damaged or cut short"):
            images.read(rebuilt(data, wrong))


def test_interlaced_png() -> None:
    """Of 13 x 9 pixels in seven passes; the rows are laid here by the specification's table."""
    array = picture(9, 13)
    rows = b"".join(
        b"\0" + array[y, left::across].tobytes()
        for left, top, across, down in whole._PASSES
        for y in range(top, 9, down)
        if left < 13
    )
    head = struct.pack(">IIBBBBB", 13, 9, 8, 2, 0, 0, 1)

    def png(content: bytes) -> bytes:
        parts = ((b"IHDR", head), (b"IDAT", zlib.compress(content)), (b"IEND", b""))
        return containers.PNG_MAGIC + b"".join(containers.png_chunk(*part) for part in parts)

    assert np.array_equal(images.read(png(rows)).pixels, array)
    with pytest.raises(UnmaskError, match="cut short"):
        images.read(png(rows[:-1]))


def test_bytes_left_over_are_let_be() -> None:
    data = FILES["jpeg"]
    true = images.read(data).pixels
    assert np.array_equal(images.read(data + b"\0" * 100).pixels, true)
    assert np.array_equal(images.read(data[:-2] + b"\0" * 9 + b"\xff\xd9").pixels, true)


def test_a_jpeg_of_very_many_scans_is_refused() -> None:
    data = FILES["jpeg-progressive"]
    scan = data.rfind(b"\xff\xda")
    bomb = data[:scan] + data[scan:-2] * (whole.MAX_SCANS + 1) + b"\xff\xd9"
    with pytest.raises(UnmaskError, match="scans"):
        images.read(bomb)


def test_a_side_and_emptiness_are_capped_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def png(width: int, height: int) -> bytes:
        head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
        parts = ((b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
        return containers.PNG_MAGIC + b"".join(containers.png_chunk(*part) for part in parts)

    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    for size in ((1, 40_000), (40_000, 24)):
        with pytest.raises(UnmaskError, match="pixels on a side"):
            images.read(png(*size))
    with pytest.raises(UnmaskError, match="are no photo of 9000x9000"):
        images.read(png(9000, 9000))


def test_a_large_flat_photo_is_read() -> None:
    image = Image.new("RGB", (5000, 4000), "white")
    image.paste(noisy(), (100, 100))
    out = io.BytesIO()
    image.save(out, "PNG")
    assert images.read(out.getvalue()).width == 5000
