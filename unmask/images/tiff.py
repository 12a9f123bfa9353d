"""TIFF where Pillow covers it only in part: 16 bit is read through tifffile, and written with the original's own tags.

tifffile writes no EXIF directory, so writing goes through Pillow's directories; what comes out is held against
tifffile by the tests.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffTags
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from unmask.errors import UnmaskError
from unmask.images import previews

_ORIENTATION, _XMP, _ICC, _RESOURCES, _LAYERS = 274, 700, 34675, 34377, 37724
# Tags that describe how the pixels are laid out: they follow from the new encoding.
_LAYOUT = {
    254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 277, 278, 279, 280, 281, 284, 288, 289, 290,
    291, 292, 293, 317, 320, 322, 323, 324, 325, 330, 332, 333, 334, 336, 337, 338, 339, 340, 341, 342, 347,
    512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532, 559,
}  # fmt: skip
_PHOTOMETRIC = {"1": 1, "L": 1, "LA": 1, "P": 3, "RGB": 2, "RGBA": 2, "CMYK": 5}
_WHITE_IS_ZERO = 0
# (photometric interpretation, samples a pixel) of what is read through tifffile
_DEEP = {(0, 1): "L", (0, 2): "LA", (1, 1): "L", (1, 2): "LA", (2, 3): "RGB", (2, 4): "RGBA", (5, 4): "CMYK"}

Tags = Mapping[int, tuple[int | None, Any]]


def tags_of(directory: ImageFileDirectory_v2, sub_directories: Mapping[int, Mapping[int, Any]]) -> Tags:
    """The tags of a TIFF worth keeping, ``{tag: (type, value)}``; EXIF and GPS directories become dicts."""
    kept: dict[int, tuple[int | None, Any]] = {}
    for tag in directory:
        if tag in _LAYOUT or tag in TiffTags.TAGS_V2_GROUPS:
            continue
        kept[tag] = (directory.tagtype.get(tag), directory[tag])
    for tag, content in sub_directories.items():
        if content:
            kept[tag] = (TiffTags.LONG, dict(content))
    return kept


def without_previews(tags: Tags) -> Tags:
    """The tags without pictures in them: Photoshop's layers and thumbnails, previews in makers' notes."""
    return {tag: (kind, _bare(tag, value)) for tag, (kind, value) in tags.items() if tag != _LAYERS}


def _bare(tag: int, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _bare(0, inner) for key, inner in value.items()}
    if isinstance(value, tuple) and value and all(isinstance(one, bytes) for one in value):
        return tuple(_bare(tag, one) for one in value)
    if not isinstance(value, bytes):
        return value
    return previews.without_resources(value) if tag == _RESOURCES else previews.wiped(value)


def refuse(directory: ImageFileDirectory_v2, name: str) -> None:
    """UnmaskError for samples that would be taken for something else, and for pictures that are not all there."""
    bits, kinds = directory.get(258, (1,)), directory.get(339, (1,))
    if set(kinds) - {1, 4}:  # unsigned, undefined
        raise UnmaskError(f"{name}: its samples are signed or floating; convert it to 8-bit or 16-bit RGB")
    if set(bits) - {1, 2, 4, 8, 16} or len(set(bits)) > 1:
        raise UnmaskError(f"{name}: its samples have {'+'.join(map(str, bits))} bits; convert it to 8 or 16 bits")
    parts = [directory.get(tag) for tag in (273, 324)]
    counts = [directory.get(tag) for tag in (279, 325)]
    for where, length in zip(parts, counts, strict=True):
        if (where and not all(where)) or (length and not all(length)):
            raise UnmaskError(f"{name}: damaged or cut short (parts of the picture are missing); fetch the file again")


def wants_tifffile(image: Image.Image) -> bool:
    """Whether Pillow would lose something: the lower half of 16 bits, or the alpha of separate planes."""
    directory = image.tag_v2  # type: ignore[attr-defined]
    return max(directory.get(258, (1,))) == 16 or (directory.get(284) == 2 and image.mode == "LA")


def decode(data: bytes, name: str, pixels: int) -> tuple[NDArray[Any], str]:
    """The samples of an 8-bit or 16-bit TIFF as stored, white high, and their mode: L, LA, RGB, RGBA or CMYK.

    Args:
        pixels: how many the picture has, as far as it was checked; another number is refused.

    Raises:
        UnmaskError: a layout or a compression that is not read.
    """
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        mode = _DEEP.get((int(page.photometric), page.samplesperpixel))
        whole = page.imagelength * page.imagewidth * page.imagedepth == pixels
        if mode is None or page.dtype not in (np.uint8, np.uint16) or not whole:
            raise UnmaskError(f"{name}: cannot read this kind of TIFF; save it as 16-bit or 8-bit RGB")
        shape = page.imagelength, page.imagewidth, page.samplesperpixel
        together = page.samplesperpixel == 1 or int(page.planarconfig) == 1
        try:
            found = page.asarray()
        except ValueError as error:
            found = None
            if "imagecodecs" not in str(error):
                raise
        if found is None and together and mode in ("L", "RGB", "RGBA"):
            found = _through_opencv(data)
        if found is None or found.size != np.prod(shape):
            raise UnmaskError(
                f"{name}: cannot read this compression of TIFF; install imagecodecs, or save it uncompressed"
            )
        samples = found.reshape(shape) if together else np.moveaxis(found.reshape(shape[2], *shape[:2]), 0, -1)
        samples = samples.astype(samples.dtype.newbyteorder("="))
        samples = _turned(samples, mode) if int(page.photometric) == _WHITE_IS_ZERO else samples
    return np.ascontiguousarray(samples[:, :, 0] if mode == "L" else samples), mode


def _through_opencv(data: bytes) -> NDArray[Any] | None:
    """Interleaved samples in RGB order; OpenCV brings libtiff, and with it LZW, but scrambles separate planes."""
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if found is None or found.dtype != np.uint16 or found.ndim == 2:
        return found
    return found[:, :, [2, 1, 0, 3][: found.shape[2]]]


def _turned(samples: NDArray[Any], mode: str) -> NDArray[Any]:
    """Gray samples with black and white exchanged, alpha as it is."""
    turned = ~samples
    if mode == "LA":
        turned[:, :, 1] = samples[:, :, 1]
    return turned


def _fill(directory: ImageFileDirectory_v2, tags: Tags) -> None:
    """Copy tags; one that cannot be written again (a type its maker misused) is left out."""
    for tag, (kind, value) in tags.items():
        trial = ImageFileDirectory_v2(prefix=b"II")
        for target in (trial, directory):
            if kind is not None:
                target.tagtype[tag] = kind
            try:
                target[tag] = value
                if target is trial:
                    trial.tobytes(8)
            except Exception:
                break


def encode(
    samples: NDArray[Any],
    mode: str,
    tags: Tags,
    orientation: int = 1,
    icc: bytes | None = None,
    xmp: bytes | None = None,
    palette: NDArray[np.uint8] | None = None,
    compress: bool = True,
    white_is_zero: bool = False,
    alpha: int = 2,
) -> bytes:
    """A TIFF file of one page and one strip.

    Args:
        samples: ``[H, W]`` or ``[H, W, C]`` as stored (before any rotation), bool, uint8 or uint16.
        mode: Pillow's name of the layout, without any depth: 1, L, LA, P, RGB, RGBA or CMYK.
        palette: ``[256, 3]`` for mode P.
        compress: deflate with horizontal differences (lossless) instead of plain samples.
        white_is_zero: store gray as a negative (photometric interpretation 0).
        alpha: what kind the last of LA and RGBA is: 0 unknown, 1 multiplied into the colors, 2 not.
    """
    white_is_zero = white_is_zero and mode in ("1", "L", "LA")
    if white_is_zero:
        samples = _turned(samples.astype(bool) if mode == "1" else samples, mode)
    height, width = samples.shape[:2]
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    bits = 1 if mode == "1" else samples.dtype.itemsize * 8
    differences = compress and mode not in ("1", "P")
    rows = samples
    if mode == "1":
        rows = np.packbits(samples.astype(bool), axis=1)
    elif differences:
        rows = samples.copy()
        rows[:, 1:] -= samples[:, :-1]
    if bits == 16:
        rows = rows.astype("<u2")
    data = zlib.compress(rows.tobytes(), 6) if compress else rows.tobytes()

    directory = ImageFileDirectory_v2(prefix=b"II")
    _fill(directory, tags)
    directory[256], directory[257] = width, height
    directory[258] = (bits,) * channels
    directory[259] = 8 if compress else 1
    directory[262] = _WHITE_IS_ZERO if white_is_zero else _PHOTOMETRIC[mode]
    directory[_ORIENTATION] = orientation
    directory[277], directory[278] = channels, height
    directory[273], directory[279] = 0, len(data)
    directory[284] = 1
    if differences:
        directory[317] = 2
    if mode in ("LA", "RGBA"):
        directory[338] = alpha
    if palette is not None:
        directory[320] = tuple(int(v) * 257 for v in palette.T.reshape(-1))
    if icc:
        directory.tagtype[_ICC] = TiffTags.UNDEFINED
        directory[_ICC] = icc
    if xmp:
        directory.tagtype[_XMP] = TiffTags.BYTE
        directory[_XMP] = xmp
    out = io.BytesIO()
    directory.save(out)
    out.write(data)
    return out.getvalue()
