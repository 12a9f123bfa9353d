"""Pictures drawn by program that show no face: what a face detector takes for one unless it is told."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

Canvas = np.ndarray  # uint8 [S,S,3], drawn on in place
Color = tuple[int, int, int]
FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)
LETTERS = np.array(list("ABCDEFGHIKLMNOPRSTUVWXYZabcdeghkmnopqrstu0123456789&@%8OQB"))


def drawn(size: int, rng: np.random.Generator) -> np.ndarray:
    """A ground with some shapes on it, uint8 [size,size,3]: balls, plates, cups, letters, sockets, polygons."""
    canvas = ground(size, rng)
    for _ in range(int(rng.integers(0, 9))):
        shape = SHAPES[int(rng.integers(len(SHAPES)))]
        reach = int(size * np.exp(rng.uniform(np.log(0.04), np.log(0.6))))
        x, y = (int(v) for v in rng.integers(0, size, 2))
        shape(canvas, x, y, max(reach, 4), rng)
    return canvas


def ground(size: int, rng: np.random.Generator) -> np.ndarray:
    """A plain, graded, striped, checkered, dotted or noisy ground, uint8 [size,size,3]."""
    ends = rng.uniform(0, 255, (2, 3))
    angle = rng.uniform(0, 2 * np.pi)
    ys, xs = np.mgrid[:size, :size].astype(np.float32)
    along = np.cos(angle) * xs + np.sin(angle) * ys
    across = np.cos(angle) * ys - np.sin(angle) * xs
    period = size * np.exp(rng.uniform(np.log(0.02), np.log(0.5)))
    kind = int(rng.integers(6))
    if kind == 0:
        part = np.clip(along / size * 0.5 + 0.5, 0, 1)
    elif kind == 1:
        part = (np.sin(along * 2 * np.pi / period) > rng.uniform(-0.8, 0.8)).astype(np.float32)
    elif kind == 2:
        part = (np.sin(along * 2 * np.pi / period) * np.sin(across * 2 * np.pi / period) > 0).astype(np.float32)
    elif kind == 3:
        part = np.sin(along * 2 * np.pi / period) * np.sin(across * 2 * np.pi / period) * 0.5 + 0.5
        part = (part > rng.uniform(0.6, 0.95)).astype(np.float32)
    elif kind == 4:
        coarse = int(rng.choice([3, 6, 12, 40, 120]))
        part = cv2.resize(rng.random((coarse, coarse)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    else:
        part = np.full((size, size), rng.random(), np.float32)
    noise = rng.normal(0, rng.choice([0.0, 2.0, 8.0]), (size, size, 1))
    return np.asarray(np.clip(ends[0] + part[..., None] * (ends[1] - ends[0]) + noise, 0, 255), np.uint8)


def ball(canvas: Canvas, x: int, y: int, reach: int, rng: np.random.Generator) -> None:
    """A shaded ball or egg: fruit, a bulb, a head without a face."""
    size = canvas.shape[0]
    ys, xs = np.mgrid[:size, :size].astype(np.float32)
    turn, squeeze = rng.uniform(0, np.pi), rng.uniform(0.6, 1.0)
    u = (np.cos(turn) * (xs - x) + np.sin(turn) * (ys - y)) / reach
    v = (np.cos(turn) * (ys - y) - np.sin(turn) * (xs - x)) / (reach * squeeze)
    inside = u * u + v * v
    light = rng.uniform(-0.6, 0.6, 2)
    height = np.sqrt(np.clip(1 - inside, 0, 1))
    shade = np.clip(0.35 + 0.65 * (height + light[0] * u + light[1] * v), 0.05, 1.2)[..., None]
    cover = np.clip((1 - inside) * reach / 2, 0, 1)[..., None]
    lit = np.array(_color(rng), np.float32) * shade
    canvas[:] = np.clip(canvas + cover * (lit - canvas), 0, 255).astype(np.uint8)
    if rng.random() < 0.5:  # a stalk or a stain
        end = (x + int(rng.normal(0, reach / 4)), y - int(reach * rng.uniform(0.2, 1.2)))
        cv2.line(canvas, (x, y - reach // 2), end, _color(rng), max(1, reach // 12), cv2.LINE_AA)


def plate(canvas: Canvas, x: int, y: int, reach: int, rng: np.random.Generator) -> None:
    """Rings within rings: a plate, a wheel, a lens, a clock."""
    flat, turn = rng.uniform(0.3, 1.0), float(rng.uniform(0, 180) if rng.random() < 0.3 else 0.0)
    share = 1.0
    for _ in range(int(rng.integers(2, 6))):
        axes = (max(1, int(reach * share)), max(1, int(reach * share * flat)))
        width = -1 if rng.random() < 0.7 else max(1, reach // 15)
        cv2.ellipse(canvas, (x, y), axes, turn, 0, 360, _color(rng), width, cv2.LINE_AA)
        share *= rng.uniform(0.5, 0.95)


def cup(canvas: Canvas, x: int, y: int, reach: int, rng: np.random.Generator) -> None:
    """A cup, a pot or a bottle with its handle."""
    color, wide = _color(rng), max(2, int(reach * rng.uniform(0.4, 1.0)))
    foot = max(1, int(wide * rng.uniform(0.5, 1.0)))
    side = int(rng.choice([-1, 1]))
    cv2.ellipse(canvas, (x + side * wide, y), (wide // 2 + 1, reach // 2 + 1), 0, 0, 360, color, max(1, reach // 8))
    corners = [(x - wide, y - reach), (x + wide, y - reach), (x + foot, y + reach), (x - foot, y + reach)]
    cv2.fillPoly(canvas, [np.array(corners, np.int32)], color, cv2.LINE_AA)
    lip = max(1, int(wide * rng.uniform(0.1, 0.35)))
    cv2.ellipse(canvas, (x, y - reach), (wide, lip), 0, 0, 360, _color(rng), -1, cv2.LINE_AA)
    if rng.random() < 0.5:
        label(canvas, x, y, max(reach // 2, 4), rng)


def label(canvas: Canvas, x: int, y: int, reach: int, rng: np.random.Generator) -> None:
    """A line or two of letters: a sign, a logo, a print."""
    for row in range(int(rng.integers(1, 4))):
        text = "".join(rng.choice(LETTERS, int(rng.integers(1, 8))))
        font, scale = FONTS[int(rng.integers(len(FONTS)))], reach / 40
        place = (x - int(reach * len(text) / 3), y + int(row * reach * 0.9))
        cv2.putText(canvas, text, place, font, scale, _color(rng), max(1, int(rng.uniform(0.02, 0.2) * reach)))


def socket(canvas: Canvas, x: int, y: int, reach: int, rng: np.random.Generator) -> None:
    """A frame with two dots and a bar: power sockets, car fronts, buttons, smileys."""
    if rng.random() < 0.5:
        cv2.rectangle(canvas, (x - reach, y - reach), (x + reach, y + reach), _color(rng), -1)
    else:
        cv2.circle(canvas, (x, y), reach, _color(rng), -1, cv2.LINE_AA)
    color = _color(rng)
    apart, up = int(reach * rng.uniform(0.2, 0.7)), int(reach * rng.uniform(-0.3, 0.5))
    for side in (-1, 1):
        axes = (max(1, int(reach * rng.uniform(0.05, 0.3))), max(1, int(reach * rng.uniform(0.05, 0.3))))
        cv2.ellipse(canvas, (x + side * apart, y - up), axes, 0, 0, 360, color, -1, cv2.LINE_AA)
    if rng.random() < 0.7:
        half, below = int(reach * rng.uniform(0.1, 0.7)), int(reach * rng.uniform(0.1, 0.7))
        bow, width = max(1, int(reach * rng.uniform(0, 0.4))), max(1, reach // 10)
        cv2.ellipse(canvas, (x, y + below), (max(half, 1), bow), 0, 0, 180, color, width, cv2.LINE_AA)


def polygon(canvas: Canvas, x: int, y: int, reach: int, rng: np.random.Generator) -> None:
    """A polygon of three to nine corners, filled or not."""
    turns = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 10))))
    radii = reach * rng.uniform(0.4, 1.0, len(turns))
    corners = np.stack([x + radii * np.cos(turns), y + radii * np.sin(turns)], 1).astype(np.int32)
    if rng.random() < 0.7:
        cv2.fillPoly(canvas, [corners], _color(rng), cv2.LINE_AA)
    else:
        cv2.polylines(canvas, [corners], True, _color(rng), max(1, reach // 10), cv2.LINE_AA)


def _color(rng: np.random.Generator) -> Color:
    """Any color; every third one between pale and brown, as skin, wood and clay are."""
    if rng.random() < 0.35:
        light = rng.uniform(0.25, 1.0)
        red, green, blue = (int(255 * light * part) for part in (1.0, rng.uniform(0.6, 0.9), rng.uniform(0.4, 0.8)))
        return red, green, blue
    red, green, blue = (int(v) for v in rng.integers(0, 256, 3))
    return red, green, blue


SHAPES: tuple[Callable[[Canvas, int, int, int, np.random.Generator], None], ...] = (
    ball,
    plate,
    cup,
    label,
    socket,
    polygon,
)
