"""Reading: damaged, huge, wrong and unusual files, and every kind of source."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from tests.images.pictures import NOTE, edited, is_edited, picture, saved
from unmask import images
from unmask.errors import UnmaskError
from unmask.images import containers


@pytest.fixture(scope="module")
def good_files() -> dict[str, bytes]:
    image = Image.fromarray(picture())
    return {
        "jpeg": saved(image, "JPEG"),
        "png": saved(image, "PNG"),
        "webp": saved(image, "WEBP"),
        "tiff": saved(image, "TIFF", compression="tiff_adobe_deflate"),
        "deep": containers.png_encode_16(picture(dtype=np.uint16)),
        "gif": saved(image.quantize(30), "GIF"),
        "bmp": saved(image, "BMP"),
    }


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_files_raise_one_line_or_read(good_files: dict[str, bytes], data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(good_files)))
    blob = bytearray(good_files[kind])
    for _ in range(data.draw(st.integers(0, 6))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    blob = blob[: data.draw(st.integers(0, len(blob)))]
    try:
        photo = images.read(bytes(blob), max_pixels=1_000_000)
    except UnmaskError as error:
        assert "\n" not in str(error) and str(error).startswith("the image: ")
    else:
        assert photo.pixels.dtype == np.uint8 and photo.pixels.ndim == 3


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff", "deep", "gif", "bmp"])
def test_truncated_files_are_refused(good_files: dict[str, bytes], kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"cut.{kind}"
    path.write_bytes(good_files[kind][: len(good_files[kind]) * 2 // 3])
    with pytest.raises(UnmaskError, match=r"fetch|convert") as caught:
        images.read(path)
    assert str(path) in str(caught.value)


def test_messages_name_the_file_and_the_cure(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "words.jpg").write_text("no image at all")
    for name, words in {
        "gone.jpg": "no such file; check the path",
        "empty.jpg": "empty; fetch it again",
        "words.jpg": "not an image that can be read; convert it",
        "": "a folder",
    }.items():
        with pytest.raises(UnmaskError, match=words) as caught:
            images.read(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(UnmaskError, match="NoneType"):
        images.read(None)
    with pytest.raises(UnmaskError, match="binary"):
        images.read(io.StringIO("text"))
    with pytest.raises(UnmaskError, match="no such file") as caught:
        images.read(tmp_path / "two\nlines.jpg")
    assert "\n" not in str(caught.value)
    for wrong in (np.zeros((4, 4), np.float32), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4, 5), np.uint8)):
        with pytest.raises(UnmaskError, match="the array"):
            images.read(wrong)


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root may read and write everything")
def test_forbidden_files(tmp_path: Path) -> None:
    path = tmp_path / "locked.png"
    path.write_bytes(saved(Image.fromarray(picture()), "PNG"))
    path.chmod(0)
    with pytest.raises(UnmaskError, match="no permission"):
        images.read(path)


def test_the_pixel_cap_speaks_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    small = containers.png_chunks(saved(Image.new("1", (8, 8)), "PNG"))
    header = struct.pack(">II", 12000, 12000) + small[0][1][8:]
    rows = zlib.compress(bytes(12000 * 1501))
    parts = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    bomb = containers.PNG_MAGIC + b"".join(containers.png_chunk(*part) for part in parts)
    assert len(bomb) < 30_000
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(UnmaskError, match=r"12000x12000 exceeds 100 million pixels"):
        images.read(bomb)
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(UnmaskError, match="exceeds"):
        images.read(saved(Image.new("L", (40, 40)), "PNG"), max_pixels=1599)
    assert before == Image.MAX_IMAGE_PIXELS


def test_animations_are_refused() -> None:
    frames = [Image.fromarray(picture(24 + i, 32)).resize((32, 24)) for i in range(3)]
    for format in ("GIF", "PNG", "WEBP", "TIFF"):
        data = saved(frames[0], format, save_all=True, append_images=frames[1:])
        with pytest.raises(UnmaskError, match="holds 3 pictures"):
            images.read(data)


def test_a_phone_jpeg_with_a_second_picture_is_a_jpeg() -> None:
    frames = [Image.fromarray(picture(40, 56)), Image.fromarray(picture(20, 28))]
    photo = images.read(saved(frames[0], "MPO", save_all=True, append_images=frames[1:]))
    assert photo.format == "JPEG" and photo.pixels.shape == (40, 56, 3)
    written = images.encode(photo, photo.pixels, NOTE)
    with Image.open(io.BytesIO(written)) as back:
        assert back.format == "JPEG" and b"MPF\0" not in written


def test_sources_come_back_as_they_came(tmp_path: Path) -> None:
    array = picture()
    data = saved(Image.fromarray(array), "PNG")
    (tmp_path / "a.png").write_bytes(data)
    for shape in ((48, 64), (48, 64, 1), (48, 64, 3), (48, 64, 4)):
        source = np.resize(array, shape)
        photo = images.read(source)
        out = images.like_source(photo, edited(photo))
        assert out.shape == shape and out.dtype == np.uint8
        assert np.array_equal(out[~is_edited(out)], source[~is_edited(out)])
    deep = picture(dtype=np.uint16)
    photo = images.read(deep)
    assert np.array_equal(images.like_source(photo, photo.pixels), deep)
    for mode in ("L", "RGB", "RGBA", "CMYK", "P"):
        source = Image.fromarray(array).convert(mode)
        photo = images.read(source)
        out = images.like_source(photo, photo.pixels)
        assert out.mode == mode and out.tobytes() == source.tobytes()
    assert isinstance(images.like_source(images.read(data), array), bytes)
    with (tmp_path / "a.png").open("rb") as file:
        photo = images.read(file)
    assert photo.source == "file" and isinstance(images.like_source(photo, array), Image.Image)
    rotated = Image.fromarray(array)
    rotated.getexif()[0x0112] = 6
    photo = images.read(rotated)
    assert photo.pixels.shape == (64, 48, 3)
    assert images.like_source(photo, photo.pixels).size == rotated.size
