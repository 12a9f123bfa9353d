"""Photos in and out: every mode, depth, orientation and format, metadata, damaged files, atomic writing."""

from __future__ import annotations

import io
import os
import stat
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps, PngImagePlugin, TiffImagePlugin

from unmask import images
from unmask.errors import UnmaskError
from unmask.images import colour, containers

NOTE = {"software": "unmask", "weights": "v0 <&> é"}
LOSSLESS = ("PNG", "TIFF", "WEBP", "BMP", "PPM", "JPEG2000")


def _picture(height: int = 48, width: int = 64, channels: int = 3, dtype: Any = np.uint8) -> np.ndarray:
    rng = np.random.default_rng(height * 1000 + width)
    top = np.iinfo(dtype).max
    smooth = cv2.resize(rng.random((6, 8, channels)), (width, height), interpolation=cv2.INTER_CUBIC)
    out = np.clip(smooth * top, 0, top).astype(dtype).reshape(height, width, channels)
    return out[:, :, 0] if channels == 1 else out


def _saved(image: Image.Image, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def _edited(photo: images.Photo) -> np.ndarray:
    pixels = photo.pixels.copy()
    pixels[10:20, 12:30] = 255 - pixels[10:20, 12:30]
    return pixels


def _is_edited(array: np.ndarray) -> np.ndarray:
    where = np.zeros(array.shape[:2], bool)
    where[10:20, 12:30] = True
    return where


@pytest.mark.parametrize("format", LOSSLESS)
def test_lossless_formats_come_back_as_they_were(format: str) -> None:
    array = _picture()
    data = _saved(Image.fromarray(array), format, **({"lossless": True} if format == "WEBP" else {}))
    photo = images.read(data)
    assert photo.format == format and photo.mode == "RGB"
    assert np.array_equal(photo.pixels, array)
    pixels = _edited(photo)
    again = images.read(images.encode(photo, pixels, NOTE))
    assert again.format == format and again.mode == "RGB"
    assert np.array_equal(again.pixels, pixels)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_modes_are_kept_and_only_edited_pixels_change(mode: str, format: str) -> None:
    base = Image.fromarray(_picture(channels=4), "RGBA")
    image = base.convert("RGB").quantize(40) if mode == "P" else base.convert(mode)
    data = _saved(image, format)
    photo = images.read(data)
    assert photo.mode == mode
    shown = image.convert("RGB") if mode != "LA" else image.convert("L").convert("RGB")
    assert np.array_equal(photo.pixels, np.asarray(shown))
    written = images.encode(photo, _edited(photo), NOTE)
    with Image.open(io.BytesIO(written)) as back:
        assert back.mode == mode and back.format == format and back.size == image.size
        new, old = np.asarray(back), np.asarray(image)
    outside = ~_is_edited(photo.pixels)
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
    deep = _picture(channels=channels, dtype=np.uint16)
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
        pytest.skip("OpenCV reads no 16-bit TIFF of grey and alpha; the error says so")
    photo = images.read(data)
    assert np.array_equal(photo.samples, deep)
    grey = deep if channels == 1 else deep[..., 0]
    assert np.array_equal(photo.pixels[..., 0], np.rint(grey / 257).astype(np.uint8))
    pixels = _edited(photo)
    again = images.read(images.encode(photo, pixels, NOTE))
    outside = ~_is_edited(pixels)
    assert again.samples.dtype == np.uint16
    assert np.array_equal(again.samples[outside], deep[outside])
    assert np.array_equal(again.pixels[10:20, 12:30], pixels[10:20, 12:30])


def test_sixteen_bit_png_is_read_by_others_too() -> None:
    cv = cv2.imencode(".png", _picture(dtype=np.uint16))[1].tobytes()
    assert images.read(cv).samples.dtype == np.uint16
    with Image.open(io.BytesIO(containers.png_encode_16(_picture(channels=1, dtype=np.uint16)))) as image:
        assert image.mode == "I;16" and np.array_equal(np.asarray(image), _picture(channels=1, dtype=np.uint16))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_rotated_files_are_upright_in_and_rotated_out(orientation: int, format: str) -> None:
    image = Image.fromarray(_picture(40, 56))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "maker"
    data = _saved(image, format, exif=exif, **({"lossless": True} if format == "WEBP" else {}))
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
    deep = _picture(40, 56, dtype=np.uint16)
    for orientation in range(1, 9):
        photo = images.Photo(
            colour.to_rgb(deep, "RGB", None, None), "x", "bytes", "TIFF", "RGB", deep, orientation,
            extras={"tags": {}, "compress": True},
        )  # fmt: skip
        again = images.read(images.encode(photo, photo.pixels))
        assert again.orientation == orientation
        assert np.array_equal(again.samples, deep), orientation


@pytest.mark.parametrize("orientation", range(1, 9))
def test_unorient_undoes_orient(orientation: int) -> None:
    array = np.arange(24).reshape(3, 4, 2)
    assert np.array_equal(colour.unorient(colour.orient(array, orientation), orientation), array)


def _cmyk_profile() -> bytes | None:
    """A CMYK profile of the system, if it has one (Pillow cannot make one)."""
    for folder in ("/usr/share/color/icc", "/System/Library/ColorSync/Profiles"):
        for path in sorted(Path(folder).rglob("*.ic[cm]")) if Path(folder).is_dir() else ():
            if path.read_bytes()[16:20] == b"CMYK":
                return path.read_bytes()
    return None


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_goes_in_and_comes_back(format: str) -> None:
    image = Image.fromarray(_picture()).convert("CMYK")
    data = _saved(image, format, **({"quality": 95} if format == "JPEG" else {}))
    photo = images.read(data)
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.mode == "CMYK"
        assert np.array_equal(photo.pixels, np.asarray(opened.convert("RGB")))
    written = images.encode(photo, _edited(photo), NOTE)
    again = images.read(written)
    assert again.mode == "CMYK" and again.format == format
    limit = 0 if format == "TIFF" else 40
    assert np.abs(again.pixels.astype(int) - _edited(photo)).max() <= limit


def test_cmyk_through_its_profile() -> None:
    profile = _cmyk_profile()
    if profile is None:
        pytest.skip("this system has no CMYK profile")
    data = _saved(Image.fromarray(_picture()).convert("CMYK"), "TIFF", icc_profile=profile)
    photo = images.read(data)
    written = images.read(images.encode(photo, _edited(photo)))
    outside = ~_is_edited(photo.pixels)
    assert written.icc == profile
    assert np.array_equal(written.samples[outside], photo.samples[outside])


def test_jpeg_keeps_its_tables_and_its_far_pixels() -> None:
    array = _picture(256, 256)
    noisy = np.clip(array + np.random.default_rng(0).normal(0, 6, array.shape), 0, 255).astype(np.uint8)
    for quality, subsampling in ((60, 2), (90, 0), (97, 1)):
        data = _saved(Image.fromarray(noisy), "JPEG", quality=quality, subsampling=subsampling)
        photo = images.read(data)
        pixels = photo.pixels.copy()
        pixels[100:140, 100:140] = 128
        written = images.encode(photo, pixels, NOTE)
        with Image.open(io.BytesIO(data)) as old, Image.open(io.BytesIO(written)) as new:
            assert old.quantization == new.quantization
        again = images.read(written)
        assert again.extras["subsampling"] == subsampling
        far = np.abs(again.pixels.astype(int) - photo.pixels)[:80]
        plain = np.abs(
            images.read(_saved(Image.fromarray(pixels), "JPEG", quality=75)).pixels.astype(int) - photo.pixels
        )[:80]
        assert far.mean() < 1.0 and far.mean() < plain.mean()


def test_metadata_are_kept() -> None:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "maker", "camera"
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0comment"
    image = Image.fromarray(_picture())
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", "a title")
    text.add_itxt("Author", "ü", "de", "Verfasser")
    options = {"icc_profile": icc, "exif": exif, "dpi": (300, 300)}
    directory = TiffImagePlugin.ImageFileDirectory_v2()  # Pillow leaves the inner directory of `exif` out of TIFF
    directory[0x010F], directory[0x0110] = "maker", "camera"
    directory[0x8769] = {0x9286: b"ASCII\0\0\0comment"}
    files = {
        "JPEG": _saved(image, "JPEG", comment="a remark", **options),
        "PNG": _saved(image, "PNG", pnginfo=text, **options),
        "TIFF": _saved(image, "TIFF", description="a description", tiffinfo=directory, **(options | {"exif": None})),
        "WEBP": _saved(image, "WEBP", lossless=True, **options),
    }
    for format, data in files.items():
        photo = images.read(data)
        written = images.encode(photo, _edited(photo), NOTE)
        assert images.read_note(written) == NOTE, format
        with Image.open(io.BytesIO(written)) as back:
            back.load()
            assert back.info.get("icc_profile") == icc, format
            found = back.getexif()
            assert (found[0x010F], found[0x0110]) == ("maker", "camera"), format
            assert found.get_ifd(0x8769).get(0x9286) == b"ASCII\0\0\0comment", format
            if format != "WEBP":
                assert [round(float(v)) for v in back.info["dpi"]] == [300, 300], format
            if format == "JPEG":
                assert back.info["comment"] == b"a remark"
            if format == "PNG":
                assert back.text["Title"] == "a title" and back.text["Author"] == "ü"
                assert "unmask" in back.text
            if format == "TIFF":
                assert back.tag_v2[270] == "a description"


def test_the_note_joins_an_xmp_packet_and_replaces_an_older_note() -> None:
    packet = (
        b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        b'xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="image/jpeg"/></rdf:RDF></x:xmpmeta>'
        b'<?xpacket end="w"?>'
    )
    for format in ("JPEG", "PNG", "WEBP", "TIFF"):
        image = Image.fromarray(_picture())
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet.decode())
        options: dict[str, Any] = {"xmp": packet} if format != "PNG" else {"pnginfo": info}
        if format == "TIFF":
            options = {"tiffinfo": {700: packet}}
        first = images.read(_saved(image, format, **options))
        assert first.xmp is not None and b"dc:format" in first.xmp, format
        once = images.read(images.encode(first, first.pixels, {"pass": 1}))
        twice = images.encode(once, once.pixels, {"pass": 2})
        assert images.read_note(twice) == {"pass": 2}
        kept = images.read(twice).xmp
        assert kept is not None and b"dc:format" in kept and kept.count(b"unmask:Note>") == 2, format
        silent = images.encode(first, first.pixels)
        assert images.read_note(silent) is None and images.read(silent).xmp == packet, format


def test_palette_transparency_is_not_given_to_new_pixels() -> None:
    image = Image.fromarray(_picture()).quantize(16)
    data = _saved(image, "PNG", transparency=3)
    photo = images.read(data)
    written = images.encode(photo, _edited(photo))
    with Image.open(io.BytesIO(written)) as back:
        assert back.info["transparency"] == 3
        assert not (np.asarray(back)[10:20, 12:30] == 3).any()


def test_another_format_by_suffix(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = images.read(_saved(Image.fromarray(_picture(40, 56)), "JPEG", exif=exif))
    for suffix in ("png", "tif", "webp", "bmp", "gif", "ppm"):
        images.write(photo, photo.pixels, tmp_path / f"out.{suffix}", NOTE)
        back = images.read(tmp_path / f"out.{suffix}")
        assert back.pixels.shape == photo.pixels.shape == (56, 40, 3)
        assert back.orientation == 1
    clear = images.read(_picture(channels=4))
    with pytest.raises(UnmaskError, match=r"no transparency; write a \.png"):
        images.write(clear, clear.pixels, tmp_path / "clear.jpg")
    images.write(clear, clear.pixels, tmp_path / "clear.webp")
    assert images.read(tmp_path / "clear.webp").mode == "RGBA"


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
        _saved(image, format, exif=exif, **({"lossless": True, "exact": True} if format == "WEBP" else {}))
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


@pytest.fixture(scope="module")
def good_files() -> dict[str, bytes]:
    image = Image.fromarray(_picture())
    return {
        "jpeg": _saved(image, "JPEG"),
        "png": _saved(image, "PNG"),
        "webp": _saved(image, "WEBP"),
        "tiff": _saved(image, "TIFF", compression="tiff_adobe_deflate"),
        "deep": containers.png_encode_16(_picture(dtype=np.uint16)),
        "gif": _saved(image.quantize(30), "GIF"),
        "bmp": _saved(image, "BMP"),
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
    path.write_bytes(_saved(Image.fromarray(_picture()), "PNG"))
    path.chmod(0)
    with pytest.raises(UnmaskError, match="no permission"):
        images.read(path)


def test_the_pixel_cap_speaks_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    small = containers.png_chunks(_saved(Image.new("1", (8, 8)), "PNG"))
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
        images.read(_saved(Image.new("L", (40, 40)), "PNG"), max_pixels=1599)
    assert before == Image.MAX_IMAGE_PIXELS


def test_animations_are_refused() -> None:
    frames = [Image.fromarray(_picture(24 + i, 32)).resize((32, 24)) for i in range(3)]
    for format in ("GIF", "PNG", "WEBP", "TIFF"):
        data = _saved(frames[0], format, save_all=True, append_images=frames[1:])
        with pytest.raises(UnmaskError, match="holds 3 pictures"):
            images.read(data)


def test_a_phone_jpeg_with_a_second_picture_is_a_jpeg() -> None:
    frames = [Image.fromarray(_picture(40, 56)), Image.fromarray(_picture(20, 28))]
    photo = images.read(_saved(frames[0], "MPO", save_all=True, append_images=frames[1:]))
    assert photo.format == "JPEG" and photo.pixels.shape == (40, 56, 3)
    written = images.encode(photo, photo.pixels, NOTE)
    with Image.open(io.BytesIO(written)) as back:
        assert back.format == "JPEG" and b"MPF\0" not in written


def test_sources_come_back_as_they_came(tmp_path: Path) -> None:
    array = _picture()
    data = _saved(Image.fromarray(array), "PNG")
    (tmp_path / "a.png").write_bytes(data)
    for shape in ((48, 64), (48, 64, 1), (48, 64, 3), (48, 64, 4)):
        source = np.resize(array, shape)
        photo = images.read(source)
        out = images.like_source(photo, _edited(photo))
        assert out.shape == shape and out.dtype == np.uint8
        assert np.array_equal(out[~_is_edited(out)], source[~_is_edited(out)])
    deep = _picture(dtype=np.uint16)
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


def test_writing_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = images.read(_picture())
    target = tmp_path / "deep" / "er" / "out.png"
    images.write(photo, photo.pixels, target, NOTE)
    assert [p.name for p in target.parent.iterdir()] == ["out.png"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~mask
    before = target.read_bytes()

    def broken(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(UnmaskError, match=r"out\.png: cannot be written \(No space left on device\)"):
        images.write(photo, _edited(photo), target)
    monkeypatch.undo()
    assert target.read_bytes() == before
    assert [p.name for p in target.parent.iterdir()] == ["out.png"]
    with pytest.raises(UnmaskError, match="cannot be written"):
        images.write(photo, photo.pixels, tmp_path / "deep" / "er")
    with pytest.raises(UnmaskError, match="cannot be written"):
        images.write(photo, photo.pixels, target / "below-a-file.png")
    stream = io.BytesIO()
    images.write(photo, photo.pixels, stream)
    assert np.array_equal(images.read(stream.getvalue()).pixels, photo.pixels)
    with pytest.raises(ValueError, match="expected uint8"):
        images.encode(photo, photo.pixels[:-1])


def test_tensors_and_arrays() -> None:
    array = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    x = images.to_tensor(array)
    assert x.shape == (1, 3, 16, 16) and x.dtype == torch.float32
    assert x.min() == -1 and x.max() == 1
    assert np.array_equal(images.to_uint8(x)[0], array)
    batch = images.to_tensor([array, 255 - array])
    assert torch.allclose(batch[0], -batch[1], atol=1e-6)
    assert np.array_equal(images.to_uint8(torch.full((1, 3, 2, 2), 9.0)), np.full((1, 2, 2, 3), 255))
    assert np.array_equal(images.bgr(images.bgr(array)), array)
    assert images.bgr(array).flags["C_CONTIGUOUS"]
    with pytest.raises(ValueError, match="uint8"):
        images.to_tensor(array.astype(np.float32))
    with pytest.raises(ValueError, match="N, 3, H, W"):
        images.to_uint8(x[0])


def test_sheet_places_pictures_and_labels() -> None:
    red, grey, region = np.zeros((20, 30, 3), np.uint8), np.full((10, 10), 7, np.uint8), np.ones((20, 30), np.float32)
    red[..., 0] = 255
    plain = images.sheet([[red, grey], [region]], pad=2)
    assert plain.shape == (20 + 20 + 8, 30 + 10 + 8, 3)
    assert (plain[2:22, 2:32] == (255, 0, 0)).all() and (plain[2:12, 36:46] == 7).all()
    headed = images.sheet([[red, grey], [region]], labels=["one", "two"])
    assert headed.shape[0] > plain.shape[0] and headed.shape[1] == plain.shape[1]
    assert (headed[: headed.shape[0] - plain.shape[0]] < 128).any()
    below = images.sheet([[red, grey], [region]], labels=[["one", "two"], ["three"]])
    assert below.shape[0] > headed.shape[0]
    with pytest.raises(ValueError, match="at least one"):
        images.sheet([[]])
