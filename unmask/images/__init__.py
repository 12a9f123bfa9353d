"""Image files and arrays: read, write, convert; the only room that knows BGR.

Everywhere else a photo is uint8 ``[H, W, 3]`` RGB, upright, and a batch is float32 ``[N, 3, H, W]`` in [-1,
1].
"""

import logging

from unmask.images.photo import MAX_PIXELS, Photo, read
from unmask.images.tensors import bgr, sheet, to_float, to_tensor, to_uint8
from unmask.images.write import encode, in_colors_of, like_source, write
from unmask.images.xmp import read_note

for _name in ("PIL", "tifffile"):  # damaged files are told in our one line, not in theirs
    logging.getLogger(_name).addHandler(logging.NullHandler())

__all__ = [
    "MAX_PIXELS",
    "Photo",
    "bgr",
    "encode",
    "in_colors_of",
    "like_source",
    "read",
    "read_note",
    "sheet",
    "to_float",
    "to_tensor",
    "to_uint8",
    "write",
]
