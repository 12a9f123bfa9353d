"""How a garment lies on the face: a control mesh in face coordinates, and its straps.

Rows run from the upper edge (v = 0) to the lower edge (v = 1), columns from the left of the picture (u = -1) to the
right (u = 1). Lengths are in eye distances (see `shape3d`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unmask.simulation.garments import Garment
from unmask.simulation.shape3d import Array, face_surface, jaw_height, nose

ROWS, COLUMNS = 9, 15
U = np.linspace(-1.0, 1.0, COLUMNS)
V = np.linspace(0.0, 1.0, ROWS)


@dataclass(frozen=True)
class Cut:
    """Where the edges of a garment run.

    Attributes:
        reach: azimuth of the side edges, degrees.
        bow: degrees by which the middle of the side edge bows outward (negative: inward).
        nose, side_top, side_bottom: heights y of the upper edge at the nose, and of the corners at the side.
        dip: how far the upper edge sags between nose and corner.
        arch: exponent of the upper edge (small = it drops quickly beside the nose).
        under: `t` of the lower edge below the chin (1 = jaw line).
        lower: exponent of the lower edge from chin to corner.
        wrap: 1 = the lower edge turns under the chin, 0 = hangs.
        tent: how far cloth spans from the nose tip to the chin.
        breadth: breadth of the nose under the cloth.
        ridge, dome, bill: height of a vertical center fold, of a cup, of a duckbill.
    """

    reach: float
    bow: float
    nose: float
    side_top: float
    side_bottom: float
    dip: float
    arch: float
    under: float
    lower: float
    wrap: float
    tent: float
    breadth: float
    ridge: float = 0.0
    dome: float = 0.0
    bill: float = 0.0


def sample_cut(garment: Garment, rng: np.random.Generator) -> Cut:
    """Edges for a garment, with the spread that real ones show."""
    span = {"high": (0.10, 0.30), "medium": (0.32, 0.47), "low": (0.56, 0.76)}[garment.coverage]
    nose_y = rng.uniform(*span)
    drop = {"high": 0.0, "medium": 0.10, "low": 0.26}[garment.coverage]
    u = rng.uniform
    style = garment.style
    if style == "pleated":
        return Cut(u(60, 76), u(-5, 4), nose_y, u(0.48, 0.66) + drop, u(1.02, 1.25), u(0.0, 0.08), u(1.0, 1.7),
                   u(1.03, 1.20), u(1.6, 2.6), u(0.7, 1.0), u(0.6, 1.0), u(0.34, 0.50))  # fmt: skip
    if style == "cup":
        return Cut(u(52, 62), u(4, 9), nose_y, u(0.66, 0.80) + 0.7 * drop, u(0.95, 1.15), u(0.0, 0.05), u(1.3, 2.0),
                   u(0.99, 1.10), u(2.0, 2.8), u(0.6, 1.0), u(0.7, 1.0), u(0.32, 0.45), dome=u(0.12, 0.26))  # fmt: skip
    if style == "duckbill":
        return Cut(u(56, 66), u(-6, 0), nose_y, u(0.66, 0.80) + drop, u(0.95, 1.10), u(0.0, 0.05), u(0.8, 1.2),
                   u(1.02, 1.12), u(1.4, 2.0), u(0.8, 1.0), u(0.8, 1.0), u(0.35, 0.5), bill=u(0.22, 0.4))  # fmt: skip
    if style == "boat":
        return Cut(u(60, 74), u(-4, 2), nose_y, u(0.55, 0.70) + drop, u(0.90, 1.10), u(0.0, 0.06), u(0.9, 1.4),
                   u(1.03, 1.15), u(1.5, 2.2), u(0.8, 1.0), u(0.8, 1.0), u(0.4, 0.6), dome=u(0.05, 0.12))  # fmt: skip
    if style == "fold":
        return Cut(u(62, 76), u(-3, 3), nose_y, u(0.50, 0.66) + drop, u(0.84, 1.05), u(0.02, 0.12), u(0.7, 1.3),
                   u(1.03, 1.16), u(1.3, 2.0), u(0.8, 1.0), u(0.8, 1.0), u(0.3, 0.45), ridge=u(0.05, 0.16))  # fmt: skip
    if style == "bandana":
        return Cut(u(72, 86), u(-2, 2), nose_y, u(0.30, 0.46) + 0.7 * drop, u(0.9, 1.3), u(0.0, 0.10), u(1.0, 1.6),
                   u(1.15, 1.5), u(1.2, 2.4), u(0.0, 0.4), u(0.7, 1.0), u(0.28, 0.4))  # fmt: skip
    if style == "flat":
        return Cut(u(62, 80), u(-6, 4), nose_y, u(0.48, 0.64) + drop, u(0.92, 1.2), u(0.0, 0.10), u(0.9, 1.6),
                   u(1.03, 1.20), u(1.4, 2.4), u(0.6, 1.0), u(0.6, 1.0), u(0.3, 0.45), ridge=u(0.0, 0.08))  # fmt: skip
    # contour and sport: cut close, running out towards the ears
    return Cut(u(70, 86), u(-3, 2), nose_y, u(0.36, 0.56) + drop, u(0.66, 0.86), u(0.02, 0.14), u(0.7, 1.3),
               u(1.03, 1.15), u(1.5, 2.4), u(0.8, 1.0), u(0.5, 0.9), u(0.28, 0.42), ridge=u(0.0, 0.07))  # fmt: skip


@dataclass(frozen=True)
class Drape:
    """The garment on the face: `mesh` [ROWS, COLUMNS, 3] and `straps`, each [n, 3], in face coordinates."""

    mesh: Array
    straps: list[Array]


def drape(garment: Garment, rng: np.random.Generator, width: float = 1.0, chin: float = 1.0) -> Drape:
    """Lay the garment over a face of the given width and chin length (factors, 1 = mean face)."""
    cut = sample_cut(garment, rng)
    bend = rng.normal(0.0, 0.025, 4)
    side = np.abs(U)
    size = garment.size
    reach = min(cut.reach * (0.5 + 0.5 * size), 88.0)
    theta = reach * U[None, :] + cut.bow * np.sign(U) * side**2 * np.sin(np.pi * V[:, None])  # [R, C]
    theta[:, side < 1e-9] = 0.0
    jaw = jaw_height(theta[0])
    rise = np.sqrt(side**2 + 0.012) - np.sqrt(0.012)
    top = cut.nose + (cut.side_top - cut.nose) * rise**cut.arch + cut.dip * np.sin(np.pi * side) ** 2
    low = 1.0 + (cut.under - 1.0) * (0.4 + 0.6 * size) + 0.6 * (size - 1.0)
    bottom = low + (cut.side_bottom / jaw[-1] - low) * side**cut.lower
    top = top + bend[0] * U + bend[1] * (1 - side)
    bottom = bottom + bend[2] * U + bend[3] * 0.5 * (1 - side)
    tilt = np.tan(np.radians(garment.tilt)) * np.sin(np.radians(reach)) * U
    t_top = (top + tilt) / jaw
    t_bottom = np.maximum(bottom + 0.6 * tilt / jaw, t_top + 0.12)
    t = t_top + (t_bottom - t_top) * V[:, None]
    mesh = face_surface(theta, t, cut.wrap, width, chin)
    mesh = mesh + _relief(mesh, theta, cut, garment)
    return Drape(mesh, _straps(garment, rng, mesh, width))


def _relief(mesh: Array, theta: Array, cut: Cut, garment: Garment) -> Array:
    """Offsets [R, C, 3]: the nose under the cloth, its standing off the face, folds, cups and bills."""
    x, y = mesh[..., 0], mesh[..., 1]
    inner = np.clip(1.0 - U**2, 0.0, 1.0)[None, :] * np.sin(np.pi * np.clip(V, 0.02, 0.98))[:, None] ** 0.7
    forward = nose(x, y, cut.breadth, cut.tent) + 0.03
    forward = forward + inner * (0.02 + 0.10 * garment.slack)
    forward = forward + cut.ridge * np.exp(-np.abs(x) / 0.22) * np.sin(np.pi * V)[:, None] ** 0.5
    forward = forward + cut.dome * np.clip(1.0 - U**2, 0, 1)[None, :] ** 0.6 * np.sin(np.pi * V)[:, None] ** 0.6
    bill = np.clip(1.0 - np.abs(V - 0.55) / 0.5, 0.0, 1.0)[:, None]
    forward = forward + cut.bill * bill * np.clip(1.25 - np.abs(U) * 1.3, 0.0, 1.0)[None, :]
    azimuth = np.radians(theta)
    outward = 0.02 + 0.03 * garment.slack
    offset = np.zeros_like(mesh)
    offset[..., 2] = forward * np.cos(azimuth) ** 0.5 + outward * np.cos(azimuth)
    offset[..., 0] = outward * np.sin(azimuth) * np.sin(np.pi * np.clip(V, 0.1, 0.9))[:, None] ** 0.5
    return offset


def _straps(garment: Garment, rng: np.random.Generator, mesh: Array, width: float) -> list[Array]:
    if garment.loops == "none":
        return []
    straps = []
    seen = 1.0 if rng.random() < 0.5 else float(rng.uniform(0.3, 1.0))  # hair hides the rest
    for sign, column in ((-1.0, 0), (1.0, -1)):
        upper, lower = mesh[0, column], mesh[-1, column]
        if garment.loops == "head":
            ends = ((88.0, rng.uniform(-0.45, 0.0)), (88.0, rng.uniform(0.45, 0.95)))
        else:
            ends = ((89.0, rng.uniform(0.04, 0.32)), (89.0, rng.uniform(0.40, 0.62)))
        for start, (azimuth, y) in zip((upper, lower), ends, strict=True):
            x0, z0 = start[0], start[2]
            end = np.array([sign * 1.14 * width, y, -1.15])
            k = np.linspace(0.0, seen, 7)[:, None]
            line = start + (end - start) * k
            # follow the round of the cheek rather than cut through it
            a0 = np.arctan2(abs(x0), z0 + 1.15)
            a = a0 + (np.radians(azimuth) - a0) * k[:, 0]
            radius = np.hypot(x0, z0 + 1.15) * (1 - k[:, 0]) + 1.14 * width * k[:, 0]
            line[:, 0] = sign * radius * np.sin(a)
            line[:, 2] = radius * np.cos(a) - 1.15
            line[:, 1] += 0.05 * np.sin(np.pi * k[:, 0]) * rng.uniform(-0.5, 1.0)
            straps.append(line)
    return straps
