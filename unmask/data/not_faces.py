"""Pictures that a detector may take for faces and that are none: drawn shapes and signs, cloth, things without a face
behind them, and faces that are drawings, prints or pieces.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..faces import align
from ..simulation import patches, simulate, textures
from ..simulation.garments import any_color

SIGNS = list("AXO8WKMRB?!*#@&%0")


def drawn(under: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shapes, signs or a face of circles and lines, drawn over a copy of the picture uint8 [S,S,3]."""
    out = under.copy() if rng.random() < 0.5 else np.full_like(under, any_color(rng))
    if rng.random() < 0.4:
        _smiley(out, rng)
    for _ in range(int(rng.integers(1, 9))):
        _shape(out, rng)
    return cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.3, 1.2))) if rng.random() < 0.5 else out


def _shape(out: np.ndarray, rng: np.random.Generator) -> None:
    """One filled or outlined shape, line or row of signs."""
    size = len(out)
    x, y = (int(v) for v in rng.integers(0, size, 2))
    reach, color = int(rng.uniform(0.04, 0.45) * size) + 1, any_color(rng)
    thick = -1 if rng.random() < 0.6 else int(rng.integers(1, 2 + size // 16))
    kind = rng.integers(5)
    if kind == 0:
        axes = (reach, max(1, int(reach * rng.uniform(0.3, 1))))
        cv2.ellipse(out, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, color, thick, cv2.LINE_AA)
    elif kind == 1:
        cv2.rectangle(out, (x - reach, y - reach // 2), (x + reach // 2, y + reach), color, thick, cv2.LINE_AA)
    elif kind == 2:
        corners = (np.array([x, y]) + rng.normal(0, reach, (int(rng.integers(3, 7)), 2))).astype(np.int32)
        cv2.fillPoly(out, [corners], color, cv2.LINE_AA)
    elif kind == 3:
        end = (np.array([x, y]) + rng.normal(0, 2 * reach, 2)).astype(int).tolist()
        cv2.line(out, (x, y), end, color, int(rng.integers(1, 2 + size // 12)), cv2.LINE_AA)
    else:
        text = "".join(rng.choice(SIGNS, int(rng.integers(1, 6))))
        at = (int(x * 0.6), int(size / 2 + (y - size / 2) * 0.7))
        cv2.putText(out, text, at, int(rng.integers(8)), reach / 18, color, int(rng.integers(1, 5)), cv2.LINE_AA)


def _smiley(out: np.ndarray, rng: np.random.Generator) -> None:
    """A head, two eyes and a mouth of plain shapes, some with a patch where a face mask would be."""
    size = len(out)
    middle = size / 2 + rng.normal(0, 0.05, 2) * size
    unit = size * float(rng.uniform(0.16, 0.3))
    line = max(1, int(unit / rng.uniform(6, 20)))

    def at(x: float, y: float) -> tuple[int, int]:
        return int(middle[0] + x * unit), int(middle[1] + y * unit)

    cv2.ellipse(
        out,
        at(0, 0),
        (int(unit * rng.uniform(1, 1.4)), int(unit * 1.4)),
        0,
        0,
        360,
        any_color(rng),
        -1 if rng.random() < 0.8 else line,
        cv2.LINE_AA,
    )
    eye, pupil = any_color(rng), any_color(rng)
    for side in (-1, 1):
        axes = (max(1, int(unit * rng.uniform(0.08, 0.26))), max(1, int(unit * rng.uniform(0.08, 0.26))))
        cv2.ellipse(out, at(0.45 * side, -0.3), axes, 0, 0, 360, eye, -1, cv2.LINE_AA)
        if rng.random() < 0.5:
            cv2.circle(out, at(0.45 * side, -0.3), max(1, axes[0] // 2), pupil, -1, cv2.LINE_AA)
    if rng.random() < 0.5:
        cv2.line(out, at(0, -0.1), at(rng.uniform(-0.2, 0.2), 0.25), any_color(rng), line, cv2.LINE_AA)
    if rng.random() < 0.4:
        cv2.rectangle(out, at(-0.8, 0.1), at(0.8, 1.0), any_color(rng), -1, cv2.LINE_AA)
    else:
        bow = (int(unit * 0.5), max(1, int(unit * rng.uniform(0, 0.4))))
        cv2.ellipse(out, at(0, 0.5), bow, 0, 0, 180 if rng.random() < 0.7 else 360, any_color(rng), line, cv2.LINE_AA)


def thing(under: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A picture without a face uint8 [S,S,3] with a face mask or a thing before nothing, or all of it cloth."""
    size, kind = len(under), rng.random()
    points = align.template("ffhq", size) + rng.normal(0, 0.02 * size, 2)
    if kind < 0.4:
        return simulate.simulate(under, points, rng).image
    if kind < 0.6:
        return simulate.occlude(under, points, rng).image
    if kind < 0.85:
        garment = simulate.sample_garment(rng)
        cloth = textures.paint(garment, rng, size, size, textures.place_valves(garment, rng))
        return np.ascontiguousarray(cloth[..., :3])
    patch = patches.picture(rng)
    box = patches.place(rng, patch, float(rng.uniform(2, 5)), (size, size))
    return patches.paste(under, patch, box)[0]


def depicted(face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A real face uint8 [S,S,3] as a cartoon, poster, ink drawing or print on cloth."""
    way = (_cartoon, _poster, _ink, _print)[int(rng.integers(4))]
    return np.asarray(way(face, rng), np.uint8)


def _cartoon(face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    flat = cv2.bilateralFilter(cv2.bilateralFilter(face, 9, 60, 5), 9, 60, 5).astype(np.float32)
    step = 256 / int(rng.integers(4, 7))
    flat = (np.floor(flat / step) + 0.5) * step
    mean = flat.mean(2, keepdims=True)
    flat = mean + (flat - mean) * rng.uniform(1.2, 2.5)
    return np.clip(flat * (1 - 0.9 * _lines(face, rng)[..., None]), 0, 255)


def _poster(face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    gray = cv2.GaussianBlur(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), (0, 0), float(rng.uniform(0.8, 2)))
    levels = int(rng.integers(2, 4))
    shares = np.linspace(0.25, 0.75, levels - 1) + rng.uniform(-0.2, 0.2, levels - 1)
    cuts = np.quantile(gray, shares.clip(0.05, 0.95))
    colors = np.array([any_color(rng) for _ in range(levels)], np.float32)
    if rng.random() < 0.5:
        colors = colors[np.argsort(colors.sum(1))]
    return colors[np.digitize(gray, np.sort(cuts))]


def _ink(face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    paper, ink = rng.uniform(200, 255, 3).astype(np.float32), np.asarray(any_color(rng), np.float32) * 0.4
    if rng.random() < 0.2:
        paper, ink = ink, paper
    return paper + _lines(face, rng)[..., None] * (ink - paper)


def _lines(face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Where an artist would draw lines, float32 [S,S] in [0,1]."""
    gray = cv2.GaussianBlur(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), (0, 0), float(rng.uniform(0.7, 1.5)))
    block = int(rng.choice([7, 9, 13]))
    dark = cv2.adaptiveThreshold(gray, 1, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, block, rng.uniform(4, 10))
    return cv2.GaussianBlur(dark.astype(np.float32), (0, 0), 0.5)


def _print(face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One ink through a dotted screen."""
    size = len(face)
    gray = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    ys, xs = np.mgrid[:size, :size]
    pitch, angle = size / rng.uniform(14, 30), rng.uniform(0, np.pi)
    u, v = xs * np.cos(angle) + ys * np.sin(angle), ys * np.cos(angle) - xs * np.sin(angle)
    screen = 0.5 + 0.25 * (np.cos(2 * np.pi * u / pitch) + np.cos(2 * np.pi * v / pitch))
    share = np.clip((gray - screen) * 3 + 0.5, 0, 1)[..., None]
    dark, light = np.asarray(any_color(rng), np.float32) * 0.5, np.asarray(any_color(rng), np.float32) * 0.4 + 150
    return dark + share * (light - dark)


def pieces(face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The quarters or stripes of a face uint8 [S,S,3] in a wrong order."""
    half = len(face) // 2
    if rng.random() < 0.5:
        order = rng.permutation(4)
        if (order == np.arange(4)).all():
            order = order[::-1]
        parts = [face[y : y + half, x : x + half] for y in (0, half) for x in (0, half)]
        parts = [parts[i] for i in order]
        return np.concatenate([np.concatenate(parts[:2], 1), np.concatenate(parts[2:], 1)], 0)
    bands = np.array_split(face, int(rng.integers(3, 6)), axis=0)
    order = np.roll(np.arange(len(bands))[::-1], int(rng.integers(len(bands))))
    return np.concatenate([bands[i] for i in order], 0)


def misused(face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A real face made none, by :func:`depicted` or :func:`pieces`."""
    return depicted(face, rng) if rng.random() < 0.75 else pieces(face, rng)
