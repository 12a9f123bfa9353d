"""Opaque rectangles pasted on faces: the occluder protocol of FROM (Qiu et al. 2021), with pictures of our own.

The protocol works on 112 x 96 faces (template ``from``): an occluder picture, enlarged by a factor (one of
:data:`FACTORS` in training, 2 in tests), is pasted with its center anywhere in the face, so that it may hang over the
border; or it fills one of the fixed :data:`BOXES`. The published occluder pictures belong to others. Ours are drawn:
things from :mod:`.occluders` on plain grounds, and stripes and blotches. Their sizes are our choice too.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmask.faces import align
from unmask.simulation.compose import Simulated, check_image
from unmask.simulation.garments import any_color
from unmask.simulation.occluders import occlude
from unmask.simulation.textures import smooth_noise

Image = NDArray[np.uint8]
Box = tuple[int, int, int, int]

FRAME = (112, 96)  # height and width in which boxes and sizes are given
FACTORS = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0)
TEST_FACTOR = 2.0
# x1, y1, x2, y2 in the frame, ends excluded
BOXES: dict[str, Box] = {
    "left_eye": (10, 30, 50, 70),
    "right_eye": (50, 30, 90, 70),
    "twoeyes": (10, 30, 90, 70),
    "nose": (34, 48, 62, 86),
    "mouth": (25, 82, 75, 107),
    "down_face": (8, 60, 92, 110),
    "up_face": (8, 8, 92, 72),
    "left_face": (8, 8, 50, 100),
    "right_face": (50, 8, 92, 100),
}
_LEAST, _MOST = 16, 40  # sides of an occluder picture before its factor
_DRAWN = 0.5  # share of pictures that show a thing


def picture(rng: np.random.Generator) -> Image:
    """An occluder picture, uint8 [h, w, 3] with sides of 16 to 40 pixels."""
    height, width = (int(side) for side in rng.integers(_LEAST, _MOST + 1, 2))
    found = _thing(rng) if rng.random() < _DRAWN else _texture(rng, height, width)
    return np.asarray(cv2.resize(found, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _thing(rng: np.random.Generator) -> Image:
    """A hand, scarf, cup, ... on a plain ground, cut to its bounding rectangle."""
    side = 72
    ground = np.full((side, side, 3), any_color(rng), np.float64) + rng.normal(0, 4, (side, side, 3))
    put = occlude(ground.clip(0, 255).astype(np.uint8), align.template("arcface", side), rng)
    ys, xs = (np.flatnonzero((put.region > 0.5).any(axis)) for axis in (1, 0))
    if len(ys) < 8 or len(xs) < 8:
        return put.image
    return np.ascontiguousarray(put.image[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1])


def _texture(rng: np.random.Generator, height: int, width: int) -> Image:
    """Two colors in blotches, stripes or one flat, with grain."""
    first, second = (np.asarray(any_color(rng), np.float64) for _ in range(2))
    kind = rng.integers(3)
    if kind == 0:
        share = np.clip(0.5 + smooth_noise(rng, height, width, 3, 3), 0, 1)
    elif kind == 1:
        ys, xs = np.mgrid[:height, :width]
        angle = rng.uniform(0, np.pi)
        share = (np.sin((xs * np.cos(angle) + ys * np.sin(angle)) * rng.uniform(0.3, 1.5)) > 0).astype(np.float64)
    else:
        share = np.zeros((height, width))
    color = first + (second - first) * share[..., None] + rng.normal(0, rng.uniform(0, 12), (height, width, 1))
    return np.asarray(color.clip(0, 255), np.uint8)


def place(rng: np.random.Generator, patch: Image, factor: float, size: tuple[int, int] = FRAME) -> Box:
    """Where a picture goes at random: x1, y1, x2, y2 in a face of ``size`` (height, width), perhaps over its border."""
    height, width = size
    wide = min(width - 1, max(1, int(factor * patch.shape[1] * height / FRAME[0])))
    tall = min(height - 1, max(1, int(factor * patch.shape[0] * height / FRAME[0])))
    left, top = int(rng.integers(width)) - wide // 2, int(rng.integers(height)) - tall // 2
    return left, top, left + wide, top + tall


def paste(image: Image, patch: Image, box: Box) -> tuple[Image, Box]:
    """A new face [H, W, 3] with a picture stretched over a box, and the part of the box inside the face."""
    cut, inside = _cut(patch, box, image.shape[:2])
    out = image.copy()
    out[inside[1] : inside[3], inside[0] : inside[2]] = cut
    return out, inside


def _cut(patch: Image, box: Box, size: tuple[int, ...]) -> tuple[Image, Box]:
    """The picture at the size of the box, cut to a face of ``size``, and where that part lies."""
    x1, y1, x2, y2 = box
    whole = np.asarray(cv2.resize(patch, (x2 - x1, y2 - y1), interpolation=cv2.INTER_LINEAR), np.uint8)
    left, top, right, bottom = max(x1, 0), max(y1, 0), min(x2, size[1]), min(y2, size[0])
    return whole[top - y1 : bottom - y1, left - x1 : right - x1], (left, top, right, bottom)


def cover(
    image: Image, kps: ArrayLike, rng: np.random.Generator, box: str | None = None, factor: float = TEST_FACTOR
) -> Simulated:
    """Paste an occluder on the face in a photo, as if the photo had been aligned to the frame of the protocol.

    Args:
        image: uint8 RGB [H, W, 3], any size.
        kps: five points [5, 2] of the bare face.
        rng: source of everything random.
        box: a name of :data:`BOXES`; None puts the picture anywhere, at ``factor``.

    Returns:
        The photo, the region covered (a turned rectangle with soft edges), and no garment.

    Raises:
        ValueError: not such an image, or no such box.
    """
    check_image(image)
    if box is not None and box not in BOXES:
        raise ValueError(f"no box {box!r}; there are {', '.join(BOXES)}")
    patch = picture(rng)
    cut, inside = _cut(patch, BOXES[box] if box is not None else place(rng, patch, factor), FRAME)
    back = align.invert(align.similarity(kps, align.template("from", FRAME)))
    back = align.compose(back, [[1.0, 0.0, inside[0]], [0.0, 1.0, inside[1]]])
    color = align.warp(cut, back, image.shape[:2], border="replicate", filter="linear").astype(np.float32)
    region = align.warp(np.ones(cut.shape[:2], np.float32), back, image.shape[:2], border="constant", filter="linear")
    mixed = image + (color - image) * region[..., None]
    return Simulated(np.rint(mixed).clip(0, 255).astype(np.uint8), np.asarray(region, np.float32), None)
