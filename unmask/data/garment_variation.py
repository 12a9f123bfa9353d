"""New looks of face masks in pictures that have one: other faces, colors and prints, straps, valves and neck cloth."""

from __future__ import annotations

import cv2
import numpy as np


def transplant(
    face: np.ndarray, donor: np.ndarray, region: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The donor's face mask, stretched and moved a little, on a bare face: shapes that fit less well."""
    size = face.shape[0]
    center = np.array([size / 2, size * 0.65])
    linear = np.diag(np.exp(rng.normal(0, 0.1, 2))) + rng.normal(0, 0.06, (2, 2))
    matrix = np.concatenate([linear, (center - linear @ center + rng.normal(0, size * 0.02, 2))[:, None]], 1)
    garment = cv2.warpAffine(donor, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    cover = cv2.warpAffine(region, matrix, (size, size), flags=cv2.INTER_LINEAR)
    return _mix(face, garment.astype(np.float32), cover), cover


def add_accessories(image: np.ndarray, region: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """What the renderer's garments lack, on one of them: straps around the head, large valves, cloth down the neck.

    All of it counts as region.
    """
    ys, xs = np.nonzero(region > 0.5)
    if len(ys) == 0:
        return image, region
    image, region = image.copy(), region.copy()
    kind = rng.integers(3)
    if kind == 0:
        return _neck(image, region, rng)
    size = region.shape[0]
    layer, cover = np.zeros_like(image), np.zeros_like(region)
    middle = (ys.min() + ys.max()) / 2
    for side in (-1, 1):
        if rng.random() < 0.15:
            continue  # this side's is hidden by hair, or the valve is on the other one
        at = int(np.argmax(side * xs + rng.normal(0, size * 0.02, len(xs)) - (kind == 2) * abs(ys - middle)))
        x, y = int(xs[at]), int(ys[at])
        if kind == 1:
            _straps(layer, cover, x, y, side, rng)
        else:
            inward = int(rng.integers(0, size // 8))
            _valve(layer, cover, x - side * inward, int(y + rng.normal(0, size / 32)), rng)
    cover = cv2.GaussianBlur(cover, (0, 0), 0.6)
    return _mix(image, layer.astype(np.float32), cover), np.maximum(region, cover)


def _straps(layer: np.ndarray, cover: np.ndarray, x: int, y: int, side: int, rng: np.random.Generator) -> None:
    """One or two straps from the edge of a garment to behind the head."""
    size = len(cover)
    color = _dull(rng)
    for _ in range(int(rng.integers(1, 3))):
        reach = float(rng.uniform(0.15, 0.5)) * size
        start = np.array([x - side * 2, y + rng.normal(0, size * 0.06)])
        end = start + np.array([side * reach, -reach * rng.uniform(-0.2, 1.6)])
        bend = (start + end) / 2 + rng.normal(0, size * 0.03, 2)
        k = np.linspace(0, 1, 9)[:, None]
        line = ((1 - k) ** 2 * start + 2 * k * (1 - k) * bend + k**2 * end).round().astype(np.int32)
        width = int(rng.integers(2, max(3, size // 18)))
        cv2.polylines(layer, [line], False, color, width + 2)
        cv2.polylines(cover, [line], False, 1.0, width)


def _valve(layer: np.ndarray, cover: np.ndarray, x: int, y: int, rng: np.random.Generator) -> None:
    """A round valve or filter of rubber, metal or plastic, with rings and a highlight."""
    size = len(cover)
    across = rng.uniform(0.04, 0.12) * size
    axes = (int(across * rng.uniform(0.7, 1.0)) + 1, int(across) + 1)
    tilt = float(rng.uniform(-30, 30))
    base = np.array(_dull(rng), np.float64)
    cv2.ellipse(cover, (x, y), axes, tilt, 0, 360, 1.0, -1)
    cv2.ellipse(layer, (x, y), (axes[0] + 1, axes[1] + 1), tilt, 0, 360, base.tolist(), -1)
    for share in np.sort(rng.uniform(0.2, 0.95, int(rng.integers(1, 4))))[::-1]:
        tone = np.clip(base * rng.uniform(0.5, 1.6) + rng.uniform(-15, 30), 0, 255).tolist()
        inner = (max(1, int(axes[0] * share)), max(1, int(axes[1] * share)))
        cv2.ellipse(layer, (x, y), inner, tilt, 0, 360, tone, -1 if rng.random() < 0.6 else 1)
    if rng.random() < 0.5:
        cv2.circle(layer, (x - axes[0] // 3, y - axes[1] // 3), max(1, axes[0] // 4), (235, 235, 235), -1)


def _dull(rng: np.random.Generator) -> list[float]:
    """Black, white, gray or any color."""
    gray = float(rng.choice([rng.uniform(10, 60), rng.uniform(90, 160), rng.uniform(190, 245)]))
    color = rng.uniform(0, 255, 3) if rng.random() < 0.35 else np.full(3, gray) + rng.normal(0, 6, 3)
    return [float(c) for c in np.clip(color, 0, 255)]


def _neck(image: np.ndarray, region: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The garment's cloth carried on down over the neck, as of a gaiter or a knotted scarf."""
    size = region.shape[0]
    solid = region > 0.5
    columns = np.flatnonzero(solid.any(0))
    lowest = size - 1 - np.argmax(solid[::-1], 0)  # of each column
    inset = rng.uniform(0.0, 0.2) * len(columns)
    end = int(min(size, lowest[columns].max() + 1 + rng.uniform(0.1, 0.6) * size))
    slant = rng.normal(0, 0.3)
    dark = rng.uniform(0.75, 1.05)
    cover = np.zeros_like(region)
    for x in columns:
        if not columns[0] + inset <= x <= columns[-1] - inset:
            continue
        low = int(lowest[x])
        stop = int(np.clip(end + slant * (x - columns.mean()), low, size))
        rows = np.arange(low + 1, stop)
        cover[rows, x] = 1
        back = low - (rows - low - 1) % np.count_nonzero(solid[:, x])  # up through the cloth, again and again
        image[rows, x] = np.clip(image[back, x] * dark, 0, 255)
    return image, np.maximum(region, cover)


def restyle(image: np.ndarray, region: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A new look of the garment inside its region: near black or white, like the skin, colored, a pattern, a print."""
    x = image.astype(np.float32)
    weight = region.sum() + 1e-3
    light = x.mean(2, keepdims=True)
    shading = light / max(float((light[..., 0] * region).sum() / weight), 20.0)  # around 1
    shading = np.clip(1 + (shading - 1) * rng.uniform(0.4, 1.3), 0.1, 2.0)
    kind = rng.integers(6)
    if kind == 0:
        color = np.full(3, rng.uniform(8, 60)) + rng.normal(0, 6, 3)
    elif kind == 1:
        color = np.full(3, rng.uniform(170, 250)) + rng.normal(0, 8, 3)
    elif kind == 5:
        around = cv2.dilate((region > 0.05).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        around &= region < 0.05
        color = np.median(x[around], 0) + rng.normal(0, 12, 3) if around.any() else rng.uniform(0, 255, 3)
    else:
        color = rng.uniform(0, 255, 3)
    styled = shading * color
    if kind == 3:
        styled = shading * _pattern(other, rng)
    if kind == 4:
        styled = _print(styled.astype(np.float32), region, other, rng)
    return _mix(image, styled, region)


def _pattern(other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A cloth made from a patch of another picture, tiled or enlarged: float32 [S,S,3]."""
    size = other.shape[0]
    patch = int(rng.integers(size // 10, size // 2))
    top, left = rng.integers(0, size - patch, 2)
    piece = other[top : top + patch, left : left + patch]
    if rng.random() < 0.6:
        repeats = -(-size // patch)
        cloth = np.tile(np.concatenate([piece, piece[:, ::-1]], 1), (repeats, repeats, 1))[:size, :size]
    else:
        cloth = cv2.resize(piece, (size, size), interpolation=cv2.INTER_LINEAR)
    cloth = cloth[..., rng.permutation(3)].astype(np.float32)
    return np.asarray((cloth - cloth.mean()) * rng.uniform(0.5, 2.0) + rng.uniform(40, 220), np.float32)


def _print(styled: np.ndarray, region: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shapes, letters or a picture on the garment."""
    ys, xs = np.nonzero(region > 0.5)
    if len(ys) == 0:
        return styled
    styled, size = np.ascontiguousarray(np.clip(styled, 0, 255).astype(np.uint8)), styled.shape[0]
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(len(ys)))
        x, y = int(xs[at]), int(ys[at])
        color, reach = rng.uniform(0, 255, 3).tolist(), int(rng.integers(size // 32, size // 6))
        kind = rng.integers(4)
        if kind == 0:
            cv2.circle(styled, (x, y), reach, color, -1, cv2.LINE_AA)
        elif kind == 1:
            end = (x + int(rng.integers(-3, 4)) * reach, y + int(rng.integers(-3, 4)) * reach)
            cv2.line(styled, (x, y), end, color, int(rng.integers(1, 6)), cv2.LINE_AA)
        elif kind == 2:
            text = "".join(rng.choice(list("AXO80WKMR?!*#"), int(rng.integers(1, 6))))
            cv2.putText(styled, text, (x - 2 * reach, y), int(rng.integers(4)), reach / 20, color, 2, cv2.LINE_AA)
        else:
            h, w = min(reach * 2, size - y), min(reach * 2, size - x)
            styled[y : y + h, x : x + w] = other[:h, :w]
    return styled.astype(np.float32)


def _mix(under: np.ndarray, over: np.ndarray, cover: np.ndarray) -> np.ndarray:
    mixed = under + cover[..., None] * (over - under)
    return np.asarray(np.clip(mixed + 0.5, 0, 255), np.uint8)
