"""Writing: metadata, other formats, lossy files, all or nothing."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin, TiffImagePlugin

from tests.images.pictures import NOTE, edited, picture, saved
from unmask import images
from unmask.errors import UnmaskError


def test_jpeg_keeps_its_tables_and_its_far_pixels() -> None:
    array = picture(256, 256)
    noisy = np.clip(array + np.random.default_rng(0).normal(0, 6, array.shape), 0, 255).astype(np.uint8)
    for quality, subsampling in ((60, 2), (90, 0), (97, 1)):
        data = saved(Image.fromarray(noisy), "JPEG", quality=quality, subsampling=subsampling)
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
            images.read(saved(Image.fromarray(pixels), "JPEG", quality=75)).pixels.astype(int) - photo.pixels
        )[:80]
        assert far.mean() < 1.0 and far.mean() < plain.mean()


def test_metadata_are_kept() -> None:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "maker", "camera"
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0comment"
    image = Image.fromarray(picture())
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", "a title")
    text.add_itxt("Author", "ü", "de", "Verfasser")
    options = {"icc_profile": icc, "exif": exif, "dpi": (300, 300)}
    directory = TiffImagePlugin.ImageFileDirectory_v2()  # Pillow leaves the inner directory of `exif` out of TIFF
    directory[0x010F], directory[0x0110] = "maker", "camera"
    directory[0x8769] = {0x9286: b"ASCII\0\0\0comment"}
    files = {
        "JPEG": saved(image, "JPEG", comment="a remark", **options),
        "PNG": saved(image, "PNG", pnginfo=text, **options),
        "TIFF": saved(image, "TIFF", description="a description", tiffinfo=directory, **(options | {"exif": None})),
        "WEBP": saved(image, "WEBP", lossless=True, **options),
    }
    for format, data in files.items():
        photo = images.read(data)
        written = images.encode(photo, edited(photo), NOTE)
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
        image = Image.fromarray(picture())
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet.decode())
        options: dict[str, Any] = {"xmp": packet} if format != "PNG" else {"pnginfo": info}
        if format == "TIFF":
            options = {"tiffinfo": {700: packet}}
        first = images.read(saved(image, format, **options))
        assert first.xmp is not None and b"dc:format" in first.xmp, format
        once = images.read(images.encode(first, first.pixels, {"pass": 1}))
        twice = images.encode(once, once.pixels, {"pass": 2})
        assert images.read_note(twice) == {"pass": 2}
        kept = images.read(twice).xmp
        assert kept is not None and b"dc:format" in kept and kept.count(b"unmask:Note>") == 2, format
        silent = images.encode(first, first.pixels)
        assert images.read_note(silent) is None and images.read(silent).xmp == packet, format


def test_palette_transparency_is_not_given_to_new_pixels() -> None:
    image = Image.fromarray(picture()).quantize(16)
    data = saved(image, "PNG", transparency=3)
    photo = images.read(data)
    written = images.encode(photo, edited(photo))
    with Image.open(io.BytesIO(written)) as back:
        assert back.info["transparency"] == 3
        assert not (np.asarray(back)[10:20, 12:30] == 3).any()


def test_another_format_by_suffix(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = images.read(saved(Image.fromarray(picture(40, 56)), "JPEG", exif=exif))
    for suffix in ("png", "tif", "webp", "bmp", "gif", "ppm"):
        images.write(photo, photo.pixels, tmp_path / f"out.{suffix}", NOTE)
        back = images.read(tmp_path / f"out.{suffix}")
        assert back.pixels.shape == photo.pixels.shape == (56, 40, 3)
        assert back.orientation == 1
    clear = images.read(picture(channels=4))
    with pytest.raises(UnmaskError, match=r"no transparency; write a \.png"):
        images.write(clear, clear.pixels, tmp_path / "clear.jpg")
    images.write(clear, clear.pixels, tmp_path / "clear.webp")
    assert images.read(tmp_path / "clear.webp").mode == "RGBA"


def test_writing_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = images.read(picture())
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
        images.write(photo, edited(photo), target)
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
