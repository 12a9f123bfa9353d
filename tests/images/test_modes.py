"""Every mode, depth and orientation comes back as it was, but for the edited pixels."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from tests.images.pictures import NOTE, edited, is_edited, picture, saved
from unmask import images
from unmask.images import color, containers

LOSSLESS = ("PNG", "TIFF", "WEBP", "BMP", "PPM", "JPEG2000")


@pytest.mark.parametrize("format", LOSSLESS)
def test_lossless_formats_come_back_as_they_were(format: str) -> None:
    array = picture()
    data = saved(Image.fromarray(array), format, **({"lossless": True} if format == "WEBP" else {}))
    photo = images.read(data)
    assert photo.format == format and photo.mode == "RGB"
    assert np.array_equal(photo.pixels, array)
    pixels = edited(photo)
    again = images.read(images.encode(photo, pixels, NOTE))
    assert again.format == format and again.mode == "RGB"
    assert np.array_equal(again.pixels, pixels)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_modes_are_kept_and_only_edited_pixels_change(mode: str, format: str) -> None:
    base = Image.fromarray(picture(channels=4), "RGBA")
    image = base.convert("RGB").quantize(40) if mode == "P" else base.convert(mode)
    data = saved(image, format)
    photo = images.read(data)
    assert photo.mode == mode
    shown = image.convert("RGB") if mode != "LA" else image.convert("L").convert("RGB")
    assert np.array_equal(photo.pixels, np.asarray(shown))
    written = images.encode(photo, edited(photo), NOTE)
    with Image.open(io.BytesIO(written)) as back:
        assert back.mode == mode and back.format == format and back.size == image.size
        new, old = np.asarray(back), np.asarray(image)
    outside = ~is_edited(photo.pixels)
    assert np.array_equal(new[outside], old[outside])
    if mode in ("LA", "RGBA"):
        assert np.array_equal(new[..., -1], old[..., -1])
    if mode in ("L", "LA"):
        seen = new if mode == "L" else new[..., 0]
        assert np.array_equal(seen, 255 - (old if mode == "L" else old[..., 0])) is False
        assert np.array_equal(seen[10:20, 12:30], (255 - (old if mode == "L" else old[..., 0]))[10:20, 12:30])
    if mode == "RGBA":
        assert np.array_equal(new[10:20, 12:30, :3], 255 - old[10:20, 12:30, :3])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("extension", ["png", "tiff"])
def test_sixteen_bits_are_scaled_and_kept(channels: int, extension: str) -> None:
    deep = picture(channels=channels, dtype=np.uint16)
    if extension == "png":
        data = containers.png_encode_16(deep)
    else:
        photo = images.read(deep)
        data = images.encode(photo, photo.pixels, format="TIFF")
    if channels != 2:  # an independent reader agrees on what the file holds
        back = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        order = {1: slice(None), 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
        assert np.array_equal(back if channels == 1 else back[:, :, order], deep)
    if channels == 2 and extension == "tiff":
        pytest.skip("OpenCV reads no 16-bit TIFF of gray and alpha; the error says so")
    photo = images.read(data)
    assert np.array_equal(photo.samples, deep)
    gray = deep if channels == 1 else deep[..., 0]
    assert np.array_equal(photo.pixels[..., 0], np.rint(gray / 257).astype(np.uint8))
    pixels = edited(photo)
    again = images.read(images.encode(photo, pixels, NOTE))
    outside = ~is_edited(pixels)
    assert again.samples.dtype == np.uint16
    assert np.array_equal(again.samples[outside], deep[outside])
    assert np.array_equal(again.pixels[10:20, 12:30], pixels[10:20, 12:30])


def test_sixteen_bit_png_is_read_by_others_too() -> None:
    cv = cv2.imencode(".png", picture(dtype=np.uint16))[1].tobytes()
    assert images.read(cv).samples.dtype == np.uint16
    with Image.open(io.BytesIO(containers.png_encode_16(picture(channels=1, dtype=np.uint16)))) as image:
        assert image.mode == "I;16" and np.array_equal(np.asarray(image), picture(channels=1, dtype=np.uint16))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_rotated_files_are_upright_in_and_rotated_out(orientation: int, format: str) -> None:
    image = Image.fromarray(picture(40, 56))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "maker"
    data = saved(image, format, exif=exif, **({"lossless": True} if format == "WEBP" else {}))
    photo = images.read(data)
    with Image.open(io.BytesIO(data)) as opened:
        upright = np.asarray(ImageOps.exif_transpose(opened))
    assert np.array_equal(photo.pixels, upright)
    pixels = photo.pixels.copy()
    pixels[2:12, 3:9] = 255 - pixels[2:12, 3:9]
    written = images.encode(photo, pixels, NOTE)
    with Image.open(io.BytesIO(written)) as back:
        stored = back.getexif()
        assert stored.get(0x0112, 1) == orientation and stored.get(0x010F) == "maker"
        if format != "TIFF":
            assert back.size == (56, 40)
    again = images.read(written)
    assert again.orientation == orientation
    difference = np.abs(again.pixels.astype(int) - pixels)
    assert difference.mean() < 5 if format == "JPEG" else not difference.any()


def test_orientation_of_a_sixteen_bit_tiff() -> None:
    deep = picture(40, 56, dtype=np.uint16)
    for orientation in range(1, 9):
        photo = images.Photo(
            color.to_rgb(deep, "RGB", None, None), "x", "bytes", "TIFF", "RGB", deep, orientation,
            extras={"tags": {}, "compress": True},
        )  # fmt: skip
        again = images.read(images.encode(photo, photo.pixels))
        assert again.orientation == orientation
        assert np.array_equal(again.samples, deep), orientation


@pytest.mark.parametrize("orientation", range(1, 9))
def test_unorient_undoes_orient(orientation: int) -> None:
    array = np.arange(24).reshape(3, 4, 2)
    assert np.array_equal(color.unorient(color.orient(array, orientation), orientation), array)


def _cmyk_profile() -> bytes | None:
    """A CMYK profile of the system, if it has one (Pillow cannot make one)."""
    for folder in ("/usr/share/color/icc", "/System/Library/ColorSync/Profiles"):
        for path in sorted(Path(folder).rglob("*.ic[cm]")) if Path(folder).is_dir() else ():
            if path.read_bytes()[16:20] == b"CMYK":
                return path.read_bytes()
    return None


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_goes_in_and_comes_back(format: str) -> None:
    image = Image.fromarray(picture()).convert("CMYK")
    data = saved(image, format, **({"quality": 95} if format == "JPEG" else {}))
    photo = images.read(data)
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.mode == "CMYK"
        assert np.array_equal(photo.pixels, np.asarray(opened.convert("RGB")))
    written = images.encode(photo, edited(photo), NOTE)
    again = images.read(written)
    assert again.mode == "CMYK" and again.format == format
    limit = 0 if format == "TIFF" else 40
    assert np.abs(again.pixels.astype(int) - edited(photo)).max() <= limit


def test_cmyk_through_its_profile() -> None:
    profile = _cmyk_profile()
    if profile is None:
        pytest.skip("this system has no CMYK profile")
    data = saved(Image.fromarray(picture()).convert("CMYK"), "TIFF", icc_profile=profile)
    photo = images.read(data)
    written = images.read(images.encode(photo, edited(photo)))
    outside = ~is_edited(photo.pixels)
    assert written.icc == profile
    assert np.array_equal(written.samples[outside], photo.samples[outside])


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 24),
    st.integers(1, 24),
    st.sampled_from(["1", "L", "LA", "RGB", "RGBA", "CMYK"]),
    st.sampled_from(["PNG", "TIFF", "JPEG", "WEBP"]),
    st.integers(1, 8),
    st.integers(0, 2**31),
)
def test_round_trip_of_anything(height: int, width: int, mode: str, format: str, turn: int, seed: int) -> None:
    if mode not in {"PNG": ("1", "L", "LA", "RGB", "RGBA"), "TIFF": ("1", "L", "LA", "RGB", "RGBA", "CMYK"),
                    "JPEG": ("L", "RGB", "CMYK"), "WEBP": ("RGB", "RGBA")}[format]:  # fmt: skip
        return
    rng = np.random.default_rng(seed)
    channels = {"1": 1, "L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}[mode]
    raw = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    image = (
        Image.fromarray(raw[:, :, 0]).convert(mode)
        if channels == 1
        else Image.frombytes(mode, (width, height), raw.tobytes())
    )
    exif = Image.Exif()
    exif[0x0112] = turn
    photo = images.read(
        saved(image, format, exif=exif, **({"lossless": True, "exact": True} if format == "WEBP" else {}))
    )
    assert photo.pixels.shape[:2] == ((width, height) if turn >= 5 else (height, width))
    pixels = photo.pixels.copy()
    pixels[: height // 2] ^= 255
    again = images.read(images.encode(photo, pixels, NOTE))
    assert (again.mode, again.orientation, again.pixels.shape) == (photo.mode, turn, pixels.shape)
    if format != "JPEG":
        same = (pixels == photo.pixels).all(axis=2)
        assert np.array_equal(again.samples[same], photo.samples[same])
        if mode in ("RGB", "RGBA"):
            assert np.array_equal(again.pixels, pixels)
