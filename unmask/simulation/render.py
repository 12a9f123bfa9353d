"""Drawing a lit, colored surface: smooth mesh, normals, and a small rasteriser."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from unmask.simulation.compose import Layer
from unmask.simulation.drape import COLUMNS, ROWS
from unmask.simulation.shape3d import Array, Pose

Float = NDArray[np.float32]


@dataclass(frozen=True)
class Strap:
    """A strap to draw: `line` [n, >=2] in pixels, `color` [3] sRGB 0..255, `thickness` in pixels."""

    line: Array
    color: Float
    thickness: float


@lru_cache(maxsize=32)
def _spread(count: int, size: int) -> Float:
    """Catmull-Rom weights [size, count] that stretch `count` control values over `size` samples."""
    position = np.linspace(0.0, count - 1.0, size)
    start = np.minimum(position.astype(int), count - 2)
    f = position - start
    taps = np.stack([-f + 2 * f**2 - f**3, 2 - 5 * f**2 + 3 * f**3, f + 4 * f**2 - 3 * f**3, f**3 - f**2], 1) / 2
    weights = np.zeros((size, count))
    for k in range(4):
        index = np.clip(start + k - 1, 0, count - 1)
        np.add.at(weights, (np.arange(size), index), taps[:, k])
    return weights.astype(np.float32)


@lru_cache(maxsize=16)
def _texels(height: int, width: int, step: int) -> NDArray[np.int32]:
    """Texel numbers of a map [height, width], each 2 x 2 times, in painter's order (see `_chart`)."""
    texels = np.arange(height * width, dtype=np.int32).reshape(height, width).repeat(2, 0).repeat(2, 1)
    return np.ascontiguousarray(texels[::-1, ::step].T).ravel()


def surface(mesh: Array, height: int, width: int) -> Float:
    """Smooth surface [height, width, 3] through a control mesh [ROWS, COLUMNS, 3]."""
    down, across = _spread(ROWS, height), _spread(COLUMNS, width)
    stacked = np.ascontiguousarray(np.moveaxis(mesh, 2, 0), dtype=np.float32)  # [3, R, C]
    return np.ascontiguousarray(np.moveaxis(down @ stacked @ across.T, 0, 2))


def normals_of(points: Float) -> Float:
    """Unit normals [H, W, 3] of a surface of pixels and depth, turned towards the camera."""
    across, down = np.empty_like(points), np.empty_like(points)
    across[:, 1:-1] = points[:, 2:] - points[:, :-2]
    across[:, 0], across[:, -1] = across[:, 1], across[:, -2]
    down[1:-1] = points[2:] - points[:-2]
    down[0], down[-1] = down[1], down[-2]
    ax, ay, az = across[..., 0], across[..., 1], across[..., 2]
    dx, dy, dz = down[..., 0], down[..., 1], down[..., 2]
    nx, ny, nz = ay * dz - az * dy, az * dx - ax * dz, ax * dy - ay * dx
    scale = 1.0 / (np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9)
    return np.stack([nx * scale, ny * scale, nz * scale], -1)


def rasterise(
    points: Float,
    facing: NDArray[np.bool_],
    colors: Float,
    straps: list[Strap],
    pose: Pose,
    zoom: float,
    shape: tuple[int, ...],
) -> Layer | None:
    """Draw straps and surface into the part of the picture they touch, oversampled by `zoom`, and shrink.

    `points` [H, W, 3] and `colors` [H, W, 3] are the surface, `facing` [H, W] tells which of it shows its outside.
    None when nothing of it lies in a picture of this `shape`.
    """
    box = _box(points, straps, shape)
    if box is None:
        return None
    lo, size = box
    big = np.maximum(np.rint(size * zoom).astype(int), 1)
    factor = (big / size).astype(np.float32)
    canvas = np.zeros((big[1], big[0], 4), np.float32)
    for strap in straps:
        at = np.rint(((strap.line[:, :2] - lo + 0.5) * factor - 0.5) * 16).astype(np.int32)
        thickness = max(1, round(strap.thickness * zoom))
        cv2.polylines(canvas, [at[:, None]], False, (*strap.color.tolist(), 1.0), thickness, cv2.LINE_8, 4)
    chart = _chart(points, facing, lo, factor, big, far_right=pose.yaw > 0)
    # Close pinholes where the surface is steep. Texels are set down on the corners between pixels; a pixel is covered
    # when its four corners are: together an erosion by 4 x 4.
    grown = cv2.dilate(chart, np.ones((3, 3), np.uint8))
    covered = cv2.erode((grown >= 0).astype(np.uint8), np.ones((4, 4), np.uint8), anchor=(1, 1))[:-1, :-1]
    hit = np.flatnonzero(covered)
    chart = np.where(chart < 0, grown, chart)[:-1, :-1].ravel().astype(np.int32)
    sheet = canvas.reshape(-1, 4)
    sheet[hit, :3] = colors.reshape(-1, 3)[chart[hit]]
    sheet[hit, 3] = 1.0
    mode = cv2.INTER_AREA if zoom > 1 else cv2.INTER_LINEAR
    pixels = np.asarray(cv2.resize(canvas, size.tolist(), interpolation=mode), np.float32)
    return Layer(pixels, (int(lo[0]), int(lo[1])))


def _box(points: Float, straps: list[Strap], shape: tuple[int, ...]) -> tuple[NDArray[np.int64], ...] | None:
    """Upper left corner and size of the part of the picture that is drawn on, with a margin."""
    x, y = points[..., 0], points[..., 1]
    lo, hi = np.array([x.min(), y.min()]), np.array([x.max(), y.max()])
    for strap in straps:
        lo, hi = np.minimum(lo, strap.line[:, :2].min(0)), np.maximum(hi, strap.line[:, :2].max(0))
    corner = np.maximum(np.floor(lo).astype(np.int64) - 4, 0)
    end = np.minimum(np.ceil(hi).astype(np.int64) + 5, (shape[1], shape[0]))
    return None if (end <= corner).any() else (corner, end - corner)


def _chart(
    points: Float,
    facing: NDArray[np.bool_],
    lo: NDArray[np.int64],
    factor: Float,
    big: NDArray[np.int64],
    far_right: bool,
) -> Float:
    """For every corner between pixels [h + 1, w + 1] of the oversampled box the texel seen there, or -1.

    Painter's order: every texel is set down as 2 x 2 samples, far columns first, and in each column the rows under the
    chin first, so that what is near stays.
    """
    x = cv2.resize(np.ascontiguousarray(points[..., 0]), None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    y = cv2.resize(np.ascontiguousarray(points[..., 1]), None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    x = np.rint((x - np.float32(lo[0] - 0.5)) * factor[0]).astype(np.int32)
    y = np.rint((y - np.float32(lo[1] - 0.5)) * factor[1]).astype(np.int32)
    w, h = int(big[0]) + 1, int(big[1]) + 1
    outside = (x < 0) | (y < 0) | (x >= w) | (y >= h) | ~facing.repeat(2, 0).repeat(2, 1)
    place = np.where(outside, w * h, y * w + x)
    step = -1 if far_right else 1
    chart = np.full(w * h + 1, -1, np.int32)
    chart[place[::-1, ::step].T.ravel()] = _texels(points.shape[0], points.shape[1], step)
    return chart[:-1].reshape(h, w).astype(np.float32)  # whole numbers below 2 ** 24, as OpenCV wants them
