"""TIFF writing with the original's own tags: 8 and 16 bit, gray to CMYK; Pillow covers this only in part."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import TiffTags
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from unmask.images import previews

_ORIENTATION, _XMP, _ICC, _RESOURCES, _LAYERS = 274, 700, 34675, 34377, 37724
# Tags that describe how the pixels are laid out: they follow from the new encoding.
_LAYOUT = {
    254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 277, 278, 279, 280, 281, 284, 288, 289, 290,
    291, 292, 293, 317, 320, 322, 323, 324, 325, 330, 332, 333, 334, 336, 337, 338, 339, 340, 341, 342, 347,
    512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532, 559,
}  # fmt: skip
_PHOTOMETRIC = {"1": 1, "L": 1, "LA": 1, "P": 3, "RGB": 2, "RGBA": 2, "CMYK": 5}

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
) -> bytes:
    """A TIFF file of one page and one strip.

    Args:
        samples: ``[H, W]`` or ``[H, W, C]`` as stored (before any rotation), bool, uint8 or uint16.
        mode: Pillow's name of the layout, without any depth: 1, L, LA, P, RGB, RGBA or CMYK.
        palette: ``[256, 3]`` for mode P.
        compress: deflate with horizontal differences (lossless) instead of plain samples.
    """
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
    directory[262] = _PHOTOMETRIC[mode]
    directory[_ORIENTATION] = orientation
    directory[277], directory[278] = channels, height
    directory[273], directory[279] = 0, len(data)
    directory[284] = 1
    if differences:
        directory[317] = 2
    if mode in ("LA", "RGBA"):
        directory[338] = 2  # alpha, not multiplied into the colors
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
