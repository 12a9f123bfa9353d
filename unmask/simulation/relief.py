"""The relief of a garment: pleats, seams, wire, wrinkles, valves, as a height map over its surface."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from unmask.simulation.garments import Garment
from unmask.simulation.textures import Valve, grid, smooth_noise

Float = NDArray[np.float32]


def emboss(garment: Garment, rng: np.random.Generator, height: int, width: int, valves: Sequence[Valve] = ()) -> Float:
    """Relief [H, W] of the cloth in eye distances: pleats, seams, wire, wrinkles, edges."""
    u, v = grid(height, width)
    side = np.abs(u)
    relief = np.zeros((height, width), np.float32)
    if garment.style == "pleated":
        relief += _pleats(garment, rng, u, v)
    if garment.style in ("cup", "duckbill"):
        at = rng.uniform(0.45, 0.6)
        relief += 0.012 * np.exp(-(((v - at) / 0.015) ** 2)) * (rng.random() < 0.5)
        rim = rng.uniform(0.05, 0.1)
        relief -= 0.015 * np.exp(-(((np.maximum(side, np.abs(2 * v - 1)) - (1 - rim)) / 0.02) ** 2))
    if garment.style in ("fold", "contour", "flat", "sport") and rng.random() < 0.85:
        relief += rng.uniform(0.004, 0.016) * np.exp(-side / 0.018)
    if garment.style == "boat":
        for at in (rng.uniform(0.28, 0.38), rng.uniform(0.62, 0.72)):
            bow = at + 0.10 * np.sign(at - 0.5) * (1 - side**2)
            relief -= 0.016 * np.exp(-(((v - bow) / 0.018) ** 2))
    if garment.kind != "cloth" or rng.random() < 0.3:  # the wire over the nose
        depth = rng.uniform(0.003, 0.010)
        relief += depth * np.exp(-(((v - rng.uniform(0.04, 0.09)) / 0.022) ** 2)) * (side < rng.uniform(0.22, 0.4))
    seam = rng.uniform(0.02, 0.06)
    relief -= rng.uniform(0.0, 0.008) * np.exp(-(((np.minimum(v, 1 - v) - seam) / 0.010) ** 2))
    relief -= rng.uniform(0.0, 0.006) * np.exp(-(((1 - side - seam) / 0.012) ** 2))
    relief += _wrinkles(garment, rng, height, width)
    for valve in valves:
        distance = np.hypot((u - valve.u) * 1.25, (v - valve.v) * 1.5) / valve.radius
        inside = np.clip((1.0 - distance) * 6.0, 0.0, 1.0)
        dome = 0.07 - 0.05 * distance**2 + 0.02 * np.exp(-(((distance - 0.55) / 0.12) ** 2))
        relief += inside * (dome - relief)
    return relief


def _pleats(garment: Garment, rng: np.random.Generator, u: Float, v: Float) -> Float:
    """Three or so downward folds, pressed flat at the sides and opened in the middle."""
    count = int(rng.integers(3, 5)) if garment.kind == "surgical" else int(rng.integers(2, 4))
    places = np.linspace(0.22, 0.75, count) + rng.normal(0, 0.02, count)
    depth = rng.uniform(0.018, 0.05)
    relief = np.zeros((v.shape[0], u.shape[1]), np.float32)
    bow = rng.uniform(-0.04, 0.07)
    for at in places:
        line = v - at - bow * (1 - u**2) * (at - 0.3) * 2
        fold = np.where(line < 0, np.exp(line / 0.10), np.exp(-np.maximum(line, 0) / 0.018))
        relief += (depth * rng.uniform(0.6, 1.3) * fold * (0.45 + 0.55 * np.abs(u))).astype(np.float32)
    return relief


def _wrinkles(garment: Garment, rng: np.random.Generator, height: int, width: int) -> Float:
    """Waves of the cloth, folds under tension, creases that start at the corners, buckled side edges."""
    stiff = 0.35 if garment.kind in ("n95", "kn95") else 1.0
    rows, columns = height // 2, width // 2
    u, v = grid(rows, columns)
    crumple = garment.wrinkles * stiff
    relief = smooth_noise(rng, rows, columns, 4, 5) * (0.012 * stiff + 0.030 * crumple)
    relief += smooth_noise(rng, rows, columns, 9, 10) * 0.010 * crumple
    for _ in range(int(rng.poisson(1.5 + 3.0 * crumple))):  # short creases from the side edges
        _fold(
            relief,
            u,
            v,
            rng,
            rng.uniform(0.02, 0.05),
            rng.uniform(0.25, 0.7),
            0.026 * (0.25 * stiff + crumple),
        )
    for _ in range(int(rng.poisson(0.5 + 3.0 * crumple))):  # long soft folds, pulled by the straps
        _fold(relief, u, v, rng, rng.uniform(0.05, 0.11), rng.uniform(0.6, 1.6), 0.05 * (0.2 * stiff + crumple))
    buckle = rng.uniform(0.0, 0.06) * (0.3 + crumple) * stiff
    side = np.exp((np.abs(u) - 1.0) / 0.14)
    relief += (side * buckle * np.sin(v * rng.uniform(6, 16) + np.sign(u) + rng.uniform(0, 6))).astype(np.float32)
    return np.asarray(cv2.resize(relief, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _fold(
    relief: Float, u: Float, v: Float, rng: np.random.Generator, breadth: float, length: float, depth: float
) -> None:
    """Add one fold that starts at a side edge, mostly near a corner, and runs inward."""
    sign = np.float32(-1.0 if rng.random() < 0.5 else 1.0)
    start = float(rng.choice([rng.uniform(-0.05, 0.15), rng.uniform(0.85, 1.05), rng.uniform(0.1, 0.9)]))
    slope = np.float32((0.5 - start) * rng.uniform(0.0, 0.9) + rng.normal(0, 0.12))
    bend = np.float32(rng.normal(0, 0.12))
    along = (1 - sign * u).astype(np.float32)
    line = (v - np.float32(start) - slope * along - bend * along * along) * np.float32(1.0 / breadth)
    reach = np.exp(-along / np.float32(length)) * np.float32(rng.uniform(-1.0, 1.2) * depth)
    relief += np.exp(-line * line) * reach
