"""Drawing a lit, coloured surface: smooth mesh, normals, and a small rasteriser."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from unmask.faces.compose import Layer
from unmask.faces.drape import COLUMNS, ROWS
from unmask.faces.shape3d import Array, Pose

Float = NDArray[np.float32]


@lru_cache(maxsize=32)
def _spread(count: int, size: int) -> Float:
    """Catmull-Rom weights [size, count] that stretch `count` control values over `size` samples."""
    position = np.linspace(0.0, count - 1.0, size)
    start = np.minimum(position.astype(int), count - 2)
    f = position - start
    taps = (
        np.stack([-f + 2 * f**2 - f**3, 2 - 5 * f**2 + 3 * f**3, f + 4 * f**2 - 3 * f**3, f**3 - f**2], 1) / 2
    )
    weights = np.zeros((size, count))
    for k in range(4):
        index = np.clip(start + k - 1, 0, count - 1)
        np.add.at(weights, (np.arange(size), index), taps[:, k])
    return weights.astype(np.float32)


@lru_cache(maxsize=16)
def _texels(height: int, width: int) -> NDArray[np.int32]:
    """Texel numbers of a map [height, width], each repeated 2 x 2: [2 height, 2 width]."""
    return np.arange(height * width, dtype=np.int32).reshape(height, width).repeat(2, 0).repeat(2, 1)


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
    normal = np.stack([ay * dz - az * dy, az * dx - ax * dz, ax * dy - ay * dx], -1)
    return normal / (np.sqrt((normal * normal).sum(-1, keepdims=True)) + 1e-9)


def rasterise(
    points: Float, facing: NDArray[np.bool_], colours: Float, straps: list[Array], strap_colour: Float, pose: Pose,
    zoom: float, shape: tuple[int, ...], rng: np.random.Generator,
) -> Layer | None:  # fmt: skip
    """Draw straps and surface into the part of the picture they touch, oversampled, and shrink.

    `points` [H, W, 3] and `colours` [H, W, 3] are the surface, `facing` [H, W] tells which of it shows its outside.
    """
    everything = np.concatenate([points[..., :2].reshape(-1, 2), *[line[:, :2] for line in straps]])
    lo = np.maximum(np.floor(everything.min(0)).astype(int) - 4, 0)
    hi = np.minimum(np.ceil(everything.max(0)).astype(int) + 5, (shape[1], shape[0]))
    if (hi <= lo).any():
        return None
    size = hi - lo
    big = np.maximum(np.rint(size * zoom).astype(int), 1)
    factor = (big / size).astype(np.float32)
    canvas = np.zeros((big[1], big[0], 4), np.float32)
    thickness = max(1, round(pose.scale * zoom * float(rng.uniform(0.02, 0.05))))
    for line in straps:
        at = np.rint(((line[:, :2] - lo + 0.5) * factor - 0.5) * 16).astype(np.int32)
        tone = (strap_colour * rng.uniform(0.8, 1.1)).tolist()
        cv2.polylines(canvas, [at[:, None]], False, (*tone, 1.0), thickness, cv2.LINE_8, 4)
    flat = cv2.resize(points[..., :2], None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    flat = (flat - (lo - 0.5).astype(np.float32)) * factor
    # painter's order: far columns first, and in each the rows under the chin first
    step = -1 if pose.yaw > 0 else 1
    column = flat[::-1, ::step].transpose(1, 0, 2).reshape(-1, 2)
    texel = _texels(*points.shape[:2])[::-1, ::step].T.reshape(-1)
    inside = (column[:, 0] >= 0) & (column[:, 1] >= 0) & (column[:, 0] < big[0]) & (column[:, 1] < big[1])
    seen = inside & facing.ravel()[texel]
    x, y = column[:, 0].astype(np.int32), column[:, 1].astype(np.int32)
    chart = np.full(int(big[0] * big[1]), -1, np.int32)
    chart[y[seen] * big[0] + x[seen]] = texel[seen]
    hit = np.flatnonzero(chart >= 0)
    sheet = canvas.reshape(-1, 4)
    sheet[hit, :3] = colours.reshape(-1, 3)[chart[hit]]
    sheet[hit, 3] = 1.0
    mode = cv2.INTER_AREA if zoom > 1 else cv2.INTER_LINEAR
    canvas[..., :3] *= canvas[..., 3:]
    return Layer(cv2.resize(canvas, size.tolist(), interpolation=mode), (int(lo[0]), int(lo[1])))
