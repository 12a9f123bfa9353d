"""Things other than face masks in front of a face: hands, scarves, blocks, blobs, microphones, cups.

Each is a list of rounded solids: a silhouette, a color map and a bulge; the light that the face shows falls on them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from unmask.simulation import lighting
from unmask.simulation.compose import Layer, Simulated, check_image, compose
from unmask.simulation.garments import any_color
from unmask.simulation.shape3d import Array, Pose, fit_pose
from unmask.simulation.textures import smooth_noise

Float = NDArray[np.float32]
Image = NDArray[np.uint8]

KINDS = ("hand", "scarf", "block", "blob", "microphone", "cup")
_SHARE = (0.34, 0.18, 0.14, 0.12, 0.12, 0.10)
_SIDE = 2.6  # half the side of the drawing board, in eye distances
_LARGEST = 640


@dataclass(frozen=True)
class _Board:
    """Drawing board over the face: RGB and alpha [S, S, 4], `unit` texels per eye distance, middle at the mouth."""

    pixels: Float
    unit: float
    light: lighting.Light
    rng: np.random.Generator

    def texel(self, points: Array) -> NDArray[np.int32]:
        """Eye distances (x right, y down, 0 = middle) -> texels times 16, for drawing with 4 bits of fraction."""
        return np.rint(((np.asarray(points) + _SIDE) * self.unit - 0.5) * 16).astype(np.int32)

    def solid(self, silhouette: Image, color: Float, bulge: float) -> None:
        """Lay a lit solid over the board. `color` is linear [3] or [S, S, 3]; `bulge` the radius of its rounding."""
        box = cv2.boundingRect(silhouette)
        if box[2] < 2 or box[3] < 2:
            return
        rows, columns = slice(box[1], box[1] + box[3]), slice(box[0], box[0] + box[2])
        cut = np.pad(silhouette[rows, columns], 1)
        depth = cv2.distanceTransform(cut, cv2.DIST_L2, 3)
        radius = max(bulge * self.unit, 1.0)
        rim = np.clip(1.0 - depth / radius, 0.0, 1.0)
        height = cv2.blur(radius * np.sqrt(np.clip(1.0 - rim**2, 0.0, 1.0)), (3, 3))
        dx, dy = (
            cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=0.125),
            cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=0.125),
        )
        norm = 1.0 / np.sqrt(1.0 + dx * dx + dy * dy)
        slope = self.light.slope
        shade = np.exp((-dx * slope[0] - dy * slope[1] + slope[2]) * norm - slope[2])[1:-1, 1:-1, None]
        albedo = color if color.ndim == 1 else color[rows, columns]
        lit = lighting.encode((albedo * self.light.level * shade).astype(np.float32))
        alpha = (cut[1:-1, 1:-1, None] > 0).astype(np.float32)
        target = self.pixels[rows, columns]
        target[..., :3] += alpha * (lit - target[..., :3])
        target[..., 3:] = np.maximum(target[..., 3:], alpha)

    def blank(self) -> Image:
        return np.zeros(self.pixels.shape[:2], np.uint8)


def occlude(image: Image, kps: Array, rng: np.random.Generator, kind: str | None = None) -> Simulated:
    """Put something that is no face mask in front of a face.

    Args:
        image: uint8 RGB [H, W, 3].
        kps: five points [5, 2] of the face.
        rng: source of everything random.
        kind: one of `KINDS`; random when None.

    Returns:
        The photo, the region that the thing covers, and no garment.

    Raises:
        ValueError: not such an image, no such kind, or the points are no face.
    """
    check_image(image)
    pose = fit_pose(kps)
    if kind is None:
        kind = KINDS[int(rng.choice(len(KINDS), p=np.asarray(_SHARE)))]
    if kind not in KINDS:
        raise ValueError(f"unknown occluder {kind!r}: one of {', '.join(KINDS)}")
    light = lighting.estimate_light(image, pose, rng)
    grain = lighting.estimate_grain(image, pose)
    size = int(np.clip(2 * _SIDE * pose.scale * 1.5, 48, _LARGEST))
    board = _Board(np.zeros((size, size, 4), np.float32), size / (2 * _SIDE), light, rng)
    _DRAW[kind](board, image, pose)
    layer = _place(board, pose, image.shape[:2])
    return Simulated(*compose(image, layer, grain, rng, pose.scale), None)


def _place(board: _Board, pose: Pose, shape: tuple[int, ...]) -> Layer | None:
    """Turn and scale the board into the picture."""
    mouth = pose.project(np.array([0.0, 1.0, 0.2]))[:2]
    zoom = pose.scale / board.unit
    a = np.radians(pose.roll)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) * zoom
    half = np.full(2, (board.pixels.shape[0] - 1) / 2)
    reach = 1.5 * _SIDE * pose.scale
    lo = np.maximum(np.floor(mouth - reach).astype(int), 0)
    hi = np.minimum(np.ceil(mouth + reach).astype(int), (shape[1], shape[0]))
    if (hi <= lo).any():
        return None
    board.pixels[..., :3] *= board.pixels[..., 3:]
    soft = cv2.GaussianBlur(board.pixels, (0, 0), max(0.45 / zoom, 0.3))
    matrix = np.concatenate([turn, (mouth - turn @ half - lo)[:, None]], 1)
    w, h = (hi - lo).tolist()
    pixels = np.asarray(cv2.warpAffine(soft, matrix, (w, h), flags=cv2.INTER_LINEAR), np.float32)
    return Layer(pixels, (int(lo[0]), int(lo[1])))


def _linear(color: object) -> Float:
    return lighting.to_linear_table()[np.clip(np.asarray(color), 0, 255).astype(np.uint8)]


def _turned(points: Array, angle: float, shift: Array) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    return points @ np.array([[c, s], [-s, c]]) + shift


def _skin(board: _Board, image: Image, pose: Pose) -> Float:
    """Linear albedo of a hand: the skin of this face or, now and then, another."""
    at = np.rint(pose.project(np.array([[-0.45, 0.35, 0.0], [0.45, 0.35, 0.0], [0.0, -0.4, 0.1]]))[:, :2]).astype(int)
    h, w = image.shape[:2]
    inside = (at >= 0).all(1) & (at < (w, h)).all(1)
    table = np.array([(224, 172, 140), (196, 140, 108), (150, 100, 72), (92, 60, 44)])
    albedo = _linear(table[int(board.rng.integers(4))])
    if inside.any() and board.rng.random() < 0.75:
        seen = _linear(np.median(image[at[inside, 1], at[inside, 0]], axis=0))
        albedo = np.clip(seen / board.light.level, 0.02, 0.8).astype(np.float32)
    return (albedo * board.rng.uniform(0.8, 1.15)).astype(np.float32)


def _hand(board: _Board, image: Image, pose: Pose) -> None:
    rng = board.rng
    skin = _skin(board, image, pose)
    side = 1.0 if rng.random() < 0.5 else -1.0
    angle = rng.uniform(-0.4, 1.7) * side  # 0: fingers up, the wrist below
    shift = np.array([rng.uniform(-0.5, 0.5) - 0.5 * side, rng.uniform(-0.4, 0.9)])
    size = rng.uniform(0.85, 1.2)
    sleeve = _linear(any_color(rng))
    arm = np.array([[-0.38, 0.9], [0.38, 0.9], [0.48, 4.0], [-0.48, 4.0]])
    _polygon(board, _turned(arm * size, angle, shift), skin, 0.4)
    if rng.random() < 0.5:
        cuff = arm + np.array([0.0, rng.uniform(0.3, 0.8)])
        _polygon(board, _turned(cuff * (1.2 * size, size), angle, shift), sleeve, 0.3)
    t = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    palm = np.stack([0.48 * np.sign(np.cos(t)) * np.abs(np.cos(t)) ** 0.7, 0.6 * np.sin(t) + 0.45], -1)
    _polygon(board, _turned(palm * size, angle, shift), skin, 0.35)
    curl = rng.uniform(0.35, 1.0)
    fan = rng.uniform(0.02, 0.16)
    for k in range(4):
        base = np.array([-0.36 + 0.24 * k, 0.02 + 0.05 * (k in (0, 3))])
        lean = (k - 1.5) * fan + rng.normal(0, 0.04)
        length = (0.78, 0.9, 0.85, 0.66)[k] * curl * rng.uniform(0.9, 1.1)
        _finger(board, base, lean, length, rng.uniform(-0.15, 0.15), size, angle, shift, skin)
    thumb = np.array([-0.42 * side, 0.55])
    _finger(board, thumb, -side * rng.uniform(0.5, 1.1), 0.6, 0.3 * side, size, angle, shift, skin)


def _finger(
    board: _Board, base: Array, lean: float, length: float, bend: float, size: float, angle: float, shift: Array,
    skin: Float,
) -> None:  # fmt: skip
    k = np.linspace(-0.15, 1.0, 9)
    direction = lean + bend * k
    spine = base + np.stack([np.sin(direction), -np.cos(direction)], -1) * (length * k)[:, None]
    line = board.texel(_turned(spine * size, angle, shift))
    silhouette = board.blank()
    thickness = max(2, round(0.225 * size * board.unit))
    cv2.polylines(silhouette, [line[:, None]], False, 255, thickness, cv2.LINE_8, 4)
    board.solid(silhouette, skin * np.float32(board.rng.uniform(0.85, 1.05)), 0.14)


def _polygon(board: _Board, points: Array, color: Float, bulge: float) -> None:
    silhouette = board.blank()
    cv2.fillPoly(silhouette, [board.texel(points)[:, None]], 255, cv2.LINE_8, 4)
    board.solid(silhouette, color, bulge)


def _cloth_color(board: _Board) -> Float:
    """Linear colors [S, S, 3] of cloth: plain or striped, in folds."""
    rng, size = board.rng, board.pixels.shape[0]
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    angle = rng.uniform(-0.5, 0.5)
    bend = smooth_noise(rng, size, size, 4, 4) * 0.05
    across = y * np.cos(angle) + x * np.sin(angle) + bend
    base = np.broadcast_to(_linear(any_color(rng)), (size, size, 3)).astype(np.float32)
    if rng.random() < 0.5:
        stripe = np.clip(np.sin(across * rng.uniform(40, 160)) * 3, 0, 1)[..., None]
        base = base + (_linear(any_color(rng)) - base) * stripe
    fold = 1.0 + rng.uniform(0.15, 0.4) * np.sin(across * rng.uniform(25, 70) + 3 * bend)
    knit = 1.0 + 0.10 * rng.standard_normal((size, size), np.float32)
    return (base * (fold * knit)[..., None]).astype(np.float32)


def _scarf(board: _Board, image: Image, pose: Pose) -> None:
    rng = board.rng
    x = np.linspace(-1.6, 1.6, 12)
    top = rng.uniform(-0.75, 0.45)
    edge = top + 0.12 * rng.standard_normal() * x + rng.uniform(-0.1, 0.25) * x**2 + rng.normal(0, 0.03, 12)
    low = np.full(12, rng.uniform(1.1, 2.2)) + rng.normal(0, 0.05, 12)
    width = rng.uniform(0.75, 1.0)
    outline = np.concatenate([np.stack([x * width, edge], -1), np.stack([x * width * 0.9, low], -1)[::-1]])
    _polygon(board, outline, _cloth_color(board), 0.5)


def _block(board: _Board, image: Image, pose: Pose) -> None:
    rng = board.rng
    w, h = rng.uniform(0.3, 1.5, 2)
    corners = np.array([[-w, -h], [w, -h], [w, h], [-w, h]]) * 0.6 + rng.normal(0, 0.05, (4, 2))
    corners = _turned(corners, rng.uniform(-0.8, 0.8), rng.uniform(-0.7, 0.7, 2))
    color = _cloth_color(board) if rng.random() < 0.4 else _linear(any_color(rng))
    _polygon(board, corners, color, 0.02)


def _blob(board: _Board, image: Image, pose: Pose) -> None:
    rng = board.rng
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    radius = rng.uniform(0.4, 0.9)
    wobble = np.zeros_like(t)
    for k in range(1, 5):
        wobble += rng.normal(0, 0.22 / k) * np.cos(k * t + rng.uniform(0, 6))
    outline = np.stack([np.cos(t) * rng.uniform(0.7, 1.3), np.sin(t)], -1) * (radius * (1 + wobble))[:, None]
    color = _cloth_color(board) if rng.random() < 0.5 else _linear(any_color(rng))
    _polygon(board, _turned(outline, rng.uniform(0, 6), rng.uniform(-0.6, 0.6, 2)), color, rng.uniform(0.05, 0.6))


def _microphone(board: _Board, image: Image, pose: Pose) -> None:
    rng = board.rng
    head = np.array([rng.uniform(-0.5, 0.5), rng.uniform(0.0, 0.7)])
    angle = rng.uniform(-0.9, 0.9)
    size = rng.uniform(0.8, 1.5)
    handle = np.array([[-0.14, 0.1], [0.14, 0.1], [0.10, 3.0], [-0.10, 3.0]]) * size
    _polygon(board, _turned(handle, angle, head), _linear(rng.integers(10, 60) + np.zeros(3)), 0.12)
    t = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    ball = np.stack([0.26 * np.cos(t), 0.32 * np.sin(t)], -1) * size
    tone = _linear(any_color(rng)) if rng.random() < 0.3 else _linear(rng.integers(15, 150) + np.zeros(3))
    side = board.pixels.shape[0]
    mesh = 1.0 + 0.25 * rng.standard_normal((side, side, 1), np.float32)
    _polygon(board, _turned(ball, angle, head), (tone * np.clip(mesh, 0.3, 2)).astype(np.float32), 0.3)


def _cup(board: _Board, image: Image, pose: Pose) -> None:
    rng = board.rng
    angle, size = rng.uniform(-0.5, 0.5), rng.uniform(0.8, 1.4)
    shift = np.array([rng.uniform(-0.4, 0.4), rng.uniform(-0.1, 0.6)])
    w = rng.uniform(0.4, 0.55)
    body = np.array([[-w, 0.0], [-0.5 * w, -0.06], [0.5 * w, -0.06], [w, 0.0], [0.75 * w, 1.5], [-0.75 * w, 1.5]])
    _polygon(board, _turned(body * size, angle, shift), _linear(any_color(rng)), 0.45)
    band = np.array([[-0.95 * w, 0.4], [0.95 * w, 0.4], [0.85 * w, 0.95], [-0.85 * w, 0.95]])
    if rng.random() < 0.5:
        _polygon(board, _turned(band * size, angle, shift), _linear(any_color(rng)), 0.4)


_DRAW: dict[str, Callable[[_Board, Image, Pose], None]] = {
    "hand": _hand,
    "scarf": _scarf,
    "block": _block,
    "blob": _blob,
    "microphone": _microphone,
    "cup": _cup,
}
