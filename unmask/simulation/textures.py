"""Cloth: the colors (`paint`) and the relief (`emboss`) of a garment as maps over its surface.

Maps are [H, W] over v (down) and u (across). One unit of u is about 1.3 eye distances, the whole of v about 1.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from unmask.simulation.garments import Color, Garment, any_color

Float = NDArray[np.float32]
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Valve:
    """An exhalation valve at (u, v); `radius` in eye distances."""

    u: float
    v: float
    radius: float


def place_valves(garment: Garment, rng: np.random.Generator) -> list[Valve]:
    """Where the valves of a garment sit: one beside or on the middle, or a pair."""
    radius, v = rng.uniform(0.13, 0.21), rng.uniform(0.45, 0.68)
    if garment.valve == 1:
        return [Valve(float(rng.choice([0.0, rng.uniform(-0.5, 0.5)])), v, radius)]
    apart = rng.uniform(0.32, 0.5)
    return [Valve(sign * apart, v, radius) for sign in (-1.0, 1.0)][: garment.valve]


@lru_cache(maxsize=16)
def grid(height: int, width: int) -> tuple[Float, Float]:
    """u in [-1, 1] as [1, W] and v in [0, 1] as [H, 1]."""
    u = np.linspace(-1.0, 1.0, width, dtype=np.float32)[None, :]
    v = np.linspace(0.0, 1.0, height, dtype=np.float32)[:, None]
    return u, v


def smooth_noise(rng: np.random.Generator, height: int, width: int, rows: int, columns: int) -> Float:
    """Smooth random field [H, W], unit variance at its knots."""
    knots = rng.standard_normal((rows, columns)).astype(np.float32)
    return np.asarray(cv2.resize(knots, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def paint(garment: Garment, rng: np.random.Generator, height: int, width: int, valves: Sequence[Valve] = ()) -> Image:
    """Colors of the garment, sRGB [H, W, 3], before any light falls on it."""
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = garment.color
    _PAINTERS[garment.pattern](canvas, garment, rng)
    if garment.kind == "cloth" and rng.random() < (0.7 if garment.style == "sport" else 0.06):
        _panels(canvas, garment, rng)
    if garment.kind == "cloth" and rng.random() < (0.5 if garment.style == "sport" else 0.2):
        _trim(canvas, garment, rng)
    if garment.kind == "surgical" and rng.random() < 0.6:
        _binding(canvas, garment, rng)
    if garment.kind in ("n95", "kn95") or garment.style == "sport":
        if rng.random() < 0.3:
            _clip(canvas, rng)
        if rng.random() < 0.15:
            _print(canvas, garment, rng, small=True)
    for valve in valves:
        _paint_valve(canvas, garment, rng, valve)
    return canvas


def _scaled(color: Color, factor: float) -> Color:
    r, g, b = (int(np.clip(c * factor, 0, 255)) for c in color)
    return (r, g, b)


def _plain(canvas: Image, garment: Garment, rng: np.random.Generator) -> None:
    """Nothing but the main color."""


def _heather(canvas: Image, garment: Garment, rng: np.random.Generator) -> None:
    height, width = canvas.shape[:2]
    fleck = rng.standard_normal((height, width // 2 + 1)).astype(np.float32).repeat(2, 1)[:, :width]
    fleck *= rng.uniform(8, 26)
    canvas[:] = np.clip(canvas + fleck[..., None], 0, 255).astype(np.uint8)


def _weave(canvas: Image, garment: Garment, rng: np.random.Generator) -> None:
    u, v = grid(*canvas.shape[:2])
    f = rng.uniform(45, 90)
    woven = np.sin(u * 1.3 * f) * np.sin(v * 1.5 * f) * rng.uniform(8, 22)
    canvas[:] = np.clip(canvas + woven[..., None], 0, 255).astype(np.uint8)


def _mix(canvas: Image, color: Color, amount: Float) -> None:
    canvas[:] = (canvas + (np.asarray(color, np.float32) - canvas) * amount[..., None]).astype(np.uint8)


def _stripes(canvas: Image, garment: Garment, rng: np.random.Generator) -> None:
    u, v = grid(*canvas.shape[:2])
    angle = rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)])
    f = rng.uniform(8, 34)
    wave = np.sin((u * 1.3 * np.cos(angle) + v * 1.5 * np.sin(angle)) * f + rng.uniform(0, 6))
    _mix(
        canvas,
        garment.accent,
        np.clip(wave * 4 + rng.uniform(-2, 1), 0, 1).astype(np.float32) * rng.uniform(0.4, 1),
    )


def _plaid(canvas: Image, garment: Garment, rng: np.random.Generator) -> None:
    u, v = grid(*canvas.shape[:2])
    f = rng.uniform(10, 30)
    for color, share in ((garment.accent, 0.5), (any_color(rng), 0.35)):
        a, b = rng.uniform(0, 6, 2)
        across = np.clip(np.sin(u * 1.3 * f + a) * 4 - 1, 0, 1) + 0 * v
        down = np.clip(np.sin(v * 1.5 * f + b) * 4 - 1, 0, 1) + 0 * u
        _mix(canvas, color, (share * 0.5 * (across + down)).astype(np.float32))
        f *= rng.uniform(0.4, 2.2)


def _places(rng: np.random.Generator, height: int, width: int, spacing: float) -> NDArray[np.int64]:
    """Jittered lattice of points (x, y) about `spacing` texels apart."""
    rows, columns = int(height / spacing) + 2, int(width / spacing) + 2
    y, x = np.mgrid[:rows, :columns].astype(np.float64)
    x = x + 0.5 * (y % 2)
    points = np.stack([x, y], -1).reshape(-1, 2) - 0.5
    return np.rint(points * spacing + rng.normal(0, 0.12 * spacing, points.shape)).astype(np.int64)


def _dots(canvas: Image, garment: Garment, rng: np.random.Generator) -> None:
    height, width = canvas.shape[:2]
    spacing = width * rng.uniform(0.045, 0.11)
    radius = max(1, round(spacing * rng.uniform(0.15, 0.3)))
    for x, y in _places(rng, height, width, spacing).tolist():
        cv2.circle(canvas, (x, y), radius, garment.accent, -1)


def _flowers(canvas: Image, garment: Garment, rng: np.random.Generator) -> None:
    height, width = canvas.shape[:2]
    spacing = width * rng.uniform(0.09, 0.17)
    palette = [garment.accent, any_color(rng), any_color(rng), (245, 240, 235)]
    for x, y in _places(rng, height, width, spacing).tolist():
        color = palette[int(rng.integers(4))]
        size = spacing * rng.uniform(0.16, 0.3)
        petals = int(rng.integers(3, 6))
        start = rng.uniform(0, 6.3)
        for k in range(petals):
            a = start + k * 2 * np.pi / petals
            center = (round(x + size * np.cos(a)), round(y + size * np.sin(a)))
            cv2.circle(canvas, center, max(1, round(size * 0.7)), color, -1)
        cv2.circle(canvas, (x, y), max(1, round(size * 0.45)), palette[2], -1)


def _print(canvas: Image, garment: Garment, rng: np.random.Generator, small: bool = False) -> None:
    """A motif or a few, anywhere: letters, a cross, a disc, a smile, a bundle of strokes."""
    for _ in range(1 if small or rng.random() < 0.6 else int(rng.integers(2, 6))):
        _motif(canvas, garment, rng, rng.uniform(0.015, 0.04) if small else rng.uniform(0.04, 0.16))


def _motif(canvas: Image, garment: Garment, rng: np.random.Generator, share: float) -> None:
    height, width = canvas.shape[:2]
    x, y = round(width * rng.uniform(0.2, 0.8)), round(height * rng.uniform(0.25, 0.8))
    size = width * share
    s, line = max(2, round(size)), max(1, round(size * rng.uniform(0.12, 0.35)))
    choice = int(rng.integers(5))
    if choice == 0:
        text = "".join(rng.choice(list("ABCDEFGHKLMNOPRSTUVWXYZ"), int(rng.integers(2, 8))))
        cv2.putText(canvas, text, (x - 2 * s, y), int(rng.integers(4)), size / 22, garment.accent, line, cv2.LINE_AA)
    elif choice == 1:
        cv2.line(canvas, (x - s, y - s), (x + s, y + s), garment.accent, line, cv2.LINE_AA)
        cv2.line(canvas, (x - s, y + s), (x + s, y - s), garment.accent, line, cv2.LINE_AA)
    elif choice == 2:
        cv2.circle(canvas, (x, y), s, garment.accent, -1, cv2.LINE_AA)
        cv2.circle(canvas, (x + s // 3, y), s // 2, any_color(rng), -1, cv2.LINE_AA)
    elif choice == 3:
        cv2.ellipse(canvas, (x, y), (2 * s, s), 0, 10, 170, garment.accent, line, cv2.LINE_AA)
    else:
        for _ in range(int(rng.integers(4, 14))):
            a, b = rng.normal(0, size, (2, 2)) + np.array([x, y])
            cv2.line(canvas, tuple(a.astype(int).tolist()), tuple(b.astype(int).tolist()), garment.accent, line)


def _camo(canvas: Image, garment: Garment, rng: np.random.Generator) -> None:
    height, width = canvas.shape[:2]
    for color in (garment.accent, _scaled(garment.color, 0.5), _scaled(garment.color, 1.5)):
        field = smooth_noise(rng, height, width, int(rng.integers(5, 10)), int(rng.integers(7, 16)))
        canvas[field > 0.5] = color


_PAINTERS = {
    "plain": _plain,
    "heather": _heather,
    "weave": _weave,
    "stripes": _stripes,
    "plaid": _plaid,
    "dots": _dots,
    "flowers": _flowers,
    "print": _print,
    "camo": _camo,
}


def _panels(canvas: Image, garment: Garment, rng: np.random.Generator) -> None:
    """Seams and side panels of a sports mask."""
    u, v = grid(*canvas.shape[:2])
    a = rng.uniform(0.3, 0.6)
    edge = np.abs(u) - (a + rng.uniform(-0.25, 0.25) * (v - 0.5))
    panel = garment.accent if rng.random() < 0.3 else _scaled(garment.color, rng.uniform(0.6, 1.7))
    _mix(canvas, panel, np.clip(edge * 40, 0, 1))


def _trim(canvas: Image, garment: Garment, rng: np.random.Generator) -> None:
    """A border of another color along all edges, or along the upper and lower ones."""
    height = canvas.shape[0]
    dark: Color = (24, 24, 26)
    tone = (garment.accent, dark, _scaled(garment.color, 0.65), _scaled(garment.color, 1.3))[int(rng.integers(4))]
    band = max(1, round(height * rng.uniform(0.025, 0.07)))
    canvas[:band] = canvas[-band:] = tone
    if rng.random() < 0.5:
        canvas[:, :band] = canvas[:, -band:] = tone


def _clip(canvas: Image, rng: np.random.Generator) -> None:
    """The metal or foam strip over the nose, worn outside."""
    height, width = canvas.shape[:2]
    half, top = width * rng.uniform(0.07, 0.16), height * rng.uniform(0.01, 0.05)
    tone = ((205, 208, 212), (150, 152, 156), (230, 200, 60), (40, 40, 44))[int(rng.integers(4))]
    low = top + height * rng.uniform(0.04, 0.09)
    cv2.rectangle(canvas, (round(width / 2 - half), round(top)), (round(width / 2 + half), round(low)), tone, -1)


def _binding(canvas: Image, garment: Garment, rng: np.random.Generator) -> None:
    """The welded or bound edges of a surgical mask, a little lighter or darker than its face."""
    height, width = canvas.shape[:2]
    band = max(1, round(height * rng.uniform(0.02, 0.05)))
    tone = np.asarray(garment.color, np.float32) * rng.uniform(0.88, 1.0) + rng.uniform(0, 22)
    color = np.clip(tone, 0, 255).astype(np.uint8)
    canvas[:band] = canvas[-band:] = color
    sides = max(1, round(width * 0.02))
    canvas[:, :sides] = canvas[:, -sides:] = color


def _paint_valve(canvas: Image, garment: Garment, rng: np.random.Generator, valve: Valve) -> None:
    height, width = canvas.shape[:2]
    x, y = round((valve.u + 1) / 2 * width), round(valve.v * height)
    a, b = max(1, round(valve.radius / 2.5 * width)), max(1, round(valve.radius / 1.5 * height))
    dark: Color = (40, 40, 44)
    body = (garment.accent, dark, _scaled(garment.color, 0.85), (225, 225, 225))[int(rng.integers(4))]
    cv2.ellipse(canvas, (x, y), (a, b), 0, 0, 360, body, -1)
    slot = _scaled(body, 0.55)
    if rng.random() < 0.5:
        for k in (-0.4, 0.0, 0.4):
            cv2.line(canvas, (x - a // 2, y + round(k * b)), (x + a // 2, y + round(k * b)), slot, 1)
    else:
        cv2.ellipse(canvas, (x, y), (max(1, a // 2), max(1, b // 2)), 0, 0, 360, slot, 1)
