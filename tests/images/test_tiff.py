"""TIFF of every kind, held against tifffile: what comes in, what goes out, and what is refused."""

from __future__ import annotations

import io
import itertools
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps, TiffImagePlugin

from tests.images.pictures import NOTE, edited, is_edited, picture, saved
from unmask import images
from unmask.errors import UnmaskError

GRAY = ("minisblack", "miniswhite")


def tiff(samples: np.ndarray, photometric: str, separate: bool = False, **options: Any) -> bytes:
    """A TIFF of ``[H, W]`` or ``[H, W, C]`` by tifffile."""
    out = io.BytesIO()
    more = samples.ndim == 3
    if more:
        alphas = samples.shape[2] - {"minisblack": 1, "miniswhite": 1, "rgb": 3, "separated": 4}[photometric]
        options = {"extrasamples": ["unassalpha"] * alphas, **options}
        options["planarconfig"] = "separate" if separate else "contig"
    laid = np.ascontiguousarray(np.moveaxis(samples, 2, 0)) if more and separate else samples
    tifffile.imwrite(out, laid, photometric=photometric, metadata=None, **options)
    return out.getvalue()


def content(data: bytes) -> tuple[np.ndarray, tifffile.TiffPage]:
    """The samples as tifffile reads them, ``[H, W, C]``, and the page."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        found = page.asarray()
        if page.samplesperpixel > 1 and page.planarconfig == 2:
            found = np.moveaxis(found, 0, 2)
        return found.reshape(page.imagelength, page.imagewidth, page.samplesperpixel), page


KINDS = {
    (photometric, channels, dtype, separate)
    for (photometric, channels), dtype, separate in itertools.product(
        [("minisblack", 1), ("miniswhite", 1), ("minisblack", 2), ("rgb", 3), ("rgb", 4), ("separated", 4)],
        [np.uint8, np.uint16],
        [False, True],
    )
    if channels > 1 or not separate
}
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "big-endian": {"byteorder": ">"},
    "deflate": {"compression": "zlib"},
    "predictor": {"compression": "zlib", "predictor": True},
    "strips": {"rowsperstrip": 7},
    "tiles": {"tile": (16, 32), "compression": "zlib"},
    "big": {"bigtiff": True},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("photometric", "channels", "dtype", "separate"),
    sorted(KINDS, key=str),
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_every_kind_is_read_as_tifffile_reads_it_and_comes_back(
    photometric: str, channels: int, dtype: Any, separate: bool, way: str
) -> None:
    samples = picture(channels=channels, dtype=dtype)
    data = tiff(samples, photometric, separate, **WAYS[way])
    try:
        photo = images.read(data)
    except UnmaskError as error:
        turned = photometric == "miniswhite" and way == "big-endian"
        assert dtype == np.uint16 and (channels == 2 or turned), error  # told in a line
        return
    positive = ~samples if photometric == "miniswhite" else samples
    assert np.array_equal(photo.samples, positive)
    shown = (positive.astype(np.uint32) + 128) // 257 if dtype == np.uint16 else positive
    if photometric == "rgb":
        assert np.array_equal(photo.pixels, shown[:, :, :3])
    elif photometric in GRAY:
        assert np.array_equal(photo.pixels[:, :, 1], shown if channels == 1 else shown[:, :, 0])
    back, page = content(images.encode(photo, edited(photo), NOTE))
    outside = ~is_edited(samples)
    assert np.array_equal(back[outside], samples.reshape(*samples.shape[:2], channels)[outside])
    assert page.photometric.name.lower() == photometric and page.dtype == dtype
    assert len(page.extrasamples) == channels - {"rgb": 3, "separated": 4}.get(photometric, 1)
    if photometric == "rgb":
        changed = back[~outside][:, :3] // (257 if dtype == np.uint16 else 1)
        assert np.array_equal(changed, edited(photo)[~outside])
    if channels == 4 and photometric == "rgb":
        assert np.array_equal(back[:, :, 3], samples[:, :, 3])


def test_bilevel_negatives() -> None:
    black = np.asarray(Image.fromarray(picture()).convert("1"))
    for photometric in GRAY:
        photo = images.read(tiff(black, photometric))
        assert np.array_equal(photo.samples, black if photometric == "minisblack" else ~black)
        back, page = content(images.encode(photo, photo.pixels))
        assert np.array_equal(back[:, :, 0].astype(bool), black) and page.photometric.name.lower() == photometric


def test_separate_planes_are_their_interleaved_twin() -> None:
    deep = picture(channels=4, dtype=np.uint16)
    one, two = (images.read(tiff(deep, "rgb", separate)) for separate in (True, False))
    assert np.array_equal(one.samples, two.samples) and np.array_equal(one.pixels, two.pixels)


def test_sixteen_bits_through_libtiff() -> None:
    """LZW is read without a codec of tifffile's: gray, negatives, RGB and RGBA."""
    deep = picture(channels=1, dtype=np.uint16)
    gray = saved(Image.fromarray(deep), "TIFF", compression="tiff_lzw")
    assert np.array_equal(images.read(gray).samples, deep)
    out = io.BytesIO()
    Image.fromarray(~deep).save(out, "TIFF", compression="tiff_lzw", tiffinfo={262: 0})
    with tifffile.TiffFile(io.BytesIO(out.getvalue())) as file:
        negative = file.pages.first.photometric == 0
    assert np.array_equal(images.read(out.getvalue()).samples, deep if negative else ~deep)
    for channels in (3, 4):
        deep = picture(channels=channels, dtype=np.uint16)
        order = [2, 1, 0, 3][:channels]
        data = cv2.imencode(".tif", deep[:, :, order], [cv2.IMWRITE_TIFF_COMPRESSION, 5])[1].tobytes()
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            assert file.pages.first.compression == 5
        assert np.array_equal(images.read(data).samples, deep)


def test_kinds_of_alpha_are_kept() -> None:
    for kind, code in (("assocalpha", 1), ("unassalpha", 2)):
        for dtype in (np.uint8, np.uint16):
            photo = images.read(tiff(picture(channels=4, dtype=dtype), "rgb", extrasamples=[kind]))
            assert [int(one) for one in content(images.encode(photo, photo.pixels))[1].extrasamples] == [code]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("separate", [False, True])
def test_orientations(orientation: int, dtype: Any, separate: bool) -> None:
    samples = picture(40, 56, dtype=dtype)
    data = tiff(samples, "rgb", separate, extratags=[(274, "H", 1, orientation, True)])
    photo = images.read(data)
    eight = np.rint(samples / 257).astype(np.uint8) if dtype == np.uint16 else samples
    exif = Image.Exif()
    exif[274] = orientation
    turned = Image.open(io.BytesIO(saved(Image.fromarray(eight), "PNG", exif=exif)))
    assert np.array_equal(photo.pixels, np.asarray(ImageOps.exif_transpose(turned)))
    if dtype == np.uint8:
        assert np.array_equal(images.read(Image.open(io.BytesIO(data))).pixels, photo.pixels)
    back, page = content(images.encode(photo, photo.pixels))
    assert np.array_equal(back, samples) and int(page.tags[274].value) == orientation


def test_samples_that_would_be_taken_for_others_are_refused() -> None:
    floating = tiff(picture().astype(np.float32), "rgb")
    signed = tiff(picture(channels=1, dtype=np.uint16).astype(np.int16), "minisblack")
    small = tiff(picture(channels=1).astype(np.int8), "minisblack")
    sixteen = tiff(picture(channels=1, dtype=np.uint16), "minisblack")
    with tifffile.TiffFile(io.BytesIO(sixteen)) as file:
        at = file.pages.first.tags[258].valueoffset
    twelve = sixteen[:at] + b"\x0c\0" + sixteen[at + 2 :]
    for data in (floating, signed, small, twelve):
        with pytest.raises(UnmaskError, match=r"convert it to (8|JPEG)|are not handled"):
            images.read(data)


def test_missing_strips_are_refused() -> None:
    whole = tiff(picture(), "rgb", rowsperstrip=8)
    images.read(whole)
    for tag in (273, 279):
        with tifffile.TiffFile(io.BytesIO(whole)) as file:
            entry = file.pages.first.tags[tag]
            at, size = entry.valueoffset, {3: 2, 4: 4}[int(entry.dtype)]
        data = whole[: at + size] + bytes(size) + whole[at + 2 * size :]
        with pytest.raises(UnmaskError, match="damaged or cut short"):
            images.read(data)


def test_an_orientation_that_is_no_number_is_ignored() -> None:
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    directory.tagtype[274] = 5
    directory[274] = TiffImagePlugin.IFDRational(1, 1)
    array = picture()
    photo = images.read(saved(Image.fromarray(array), "TIFF", tiffinfo=directory))
    assert photo.orientation == 1 and np.array_equal(photo.pixels, array)
    assert np.array_equal(images.read(images.encode(photo, photo.pixels)).pixels, array)
