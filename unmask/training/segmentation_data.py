"""Faces with known regions for the segmenter: a rendered pool, and what is done to it anew at every step."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ..data import FaceSet, cache_folder, keep
from ..faces import simulate
from ..images import to_tensor
from . import pose
from .photometric import degrade

GARMENT, PLAIN, OCCLUDED = 1, 0, 2
OCCLUDERS, SHARES = ("hand", "microphone", "cup", "block"), (0.45, 0.2, 0.2, 0.15)
NOT_RENDERER = ("__init__", "blend", "detect", "patches", "segment", "tone")


@dataclass(frozen=True)
class PoolConfig:
    """How many faces are rendered, and which shares wear a face mask, a scarf over the mouth, or hide behind an object.

    ``handled`` is the share of garments with a hand in front: the hand is not part of the region. ``turned`` is the
    share of faces chosen for being turned to a side.
    """

    count: int = 12_000
    garments: float = 0.66
    scarves: float = 0.04
    occluded: float = 0.12
    handled: float = 0.08
    turned: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class AugmentConfig:
    """Misalignment (pixels, degrees and log scale: standard deviations at 128 px) and shares of new looks.

    ``tight`` is the share of faces that fill their photo: what lies outside is made up, as alignment does it.
    ``equipped`` is the share of face masks that get straps, valves or cloth down the neck.
    """

    shift: float = 3.0
    degrees: float = 4.0
    scale: float = 0.06
    restyle: float = 0.35
    transplant: float = 0.2
    tight: float = 0.3
    equipped: float = 0.0
    strength: float = 1.0


@dataclass(frozen=True)
class Pool:
    """``images`` uint8 [N,S,S,3], ``regions`` uint8 [N,S,S] (255 hidden), ``kinds`` [N] of GARMENT, PLAIN, OCCLUDED."""

    images: np.ndarray
    regions: np.ndarray
    kinds: np.ndarray

    def __len__(self) -> int:
        return len(self.kinds)


def build_pool(faces: FaceSet, config: PoolConfig, cache: str | Path | None = None) -> Pool:
    """Render the pool from aligned faces, or read it back; its key: the config, the faces and the renderer's source."""
    key = json.dumps([asdict(config), len(faces), faces.images.shape[1:], str(faces.names[-1]), renderer_digest(), 2])
    path = cache_folder(cache) / f"pool-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
    if not path.is_file():
        images, regions, kinds = _render(faces, config)
        keep(path, {"images": images, "regions": regions, "kinds": kinds})
    with np.load(path) as stored:
        return Pool(stored["images"], stored["regions"], stored["kinds"])


def extended(pool: Pool, images: np.ndarray, regions: np.ndarray, repeats: int) -> Pool:
    """The pool with further faces in face masks, each ``repeats`` times."""
    more = len(images) * repeats
    return Pool(
        np.concatenate([pool.images, *[images] * repeats]),
        np.concatenate([pool.regions, *[regions] * repeats]),
        np.concatenate([pool.kinds, np.full(more, GARMENT, np.uint8)]),
    )


def renderer_digest() -> str:
    """A digest of the source of the renderer of face masks: what it made before a change is not used after it."""
    folder = Path(simulate.__file__).parent
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.py")):
        if file.stem not in NOT_RENDERER:
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _render(faces: FaceSet, config: PoolConfig) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    size = faces.images.shape[1]
    images = np.empty((config.count, size, size, 3), np.uint8)
    regions = np.zeros((config.count, size, size), np.uint8)
    kinds = np.empty(config.count, np.uint8)
    order = _order(faces, config)
    for i in tqdm(range(config.count), desc="rendering faces", mininterval=5):
        face, points = faces.images[order[i]], faces.points[order[i]].astype(np.float64)
        images[i], region, kinds[i] = render(face, points, config, np.random.default_rng([config.seed, i]))
        regions[i] = (region * 255 + 0.5).astype(np.uint8)
    return images, regions, kinds


def _order(faces: FaceSet, config: PoolConfig) -> np.ndarray:
    """Which face each one of the pool is drawn on."""
    rng = np.random.default_rng(config.seed)
    order = rng.permutation(max(len(faces), config.count))[: config.count] % len(faces)
    if config.turned:
        chances = pose.turned(faces.points)
        aside = rng.random(config.count) < config.turned
        order[aside] = rng.choice(len(faces), int(aside.sum()), p=chances / chances.sum())
    return order


def render(
    face: np.ndarray, points: np.ndarray, config: PoolConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, int]:
    """One face of the pool: picture, region float32 [S,S] and kind.

    A scarf drawn over the mouth hides a face as a face mask does and counts as one; hands and things do not.
    """
    bare = np.zeros(face.shape[:2], np.float32)
    draw = rng.random()
    if draw < config.garments:
        made = simulate.simulate(face, points, rng)
        if rng.random() >= config.handled:
            return made.image, made.region, GARMENT
        hand = simulate.occlude(made.image, points, rng, "hand")
        return hand.image, made.region * (1 - hand.region), GARMENT
    draw -= config.garments
    if draw < config.scarves:
        scarf = simulate.occlude(face, points, rng, "scarf")
        x, y = np.clip(points[3:].mean(0).round().astype(int), 0, len(face) - 1)
        return (scarf.image, scarf.region, GARMENT) if scarf.region[y, x] > 0.5 else (face, bare, PLAIN)
    if draw - config.scarves < config.occluded:
        return simulate.occlude(face, points, rng, str(rng.choice(OCCLUDERS, p=SHARES))).image, bare, OCCLUDED
    return face, bare, PLAIN


def batch(
    pool: Pool, config: AugmentConfig, count: int, rng: np.random.Generator, rows: np.ndarray | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """``count`` augmented faces [N,3,S,S] in [-1,1], regions [N,1,S,S] in [0,1] and garment flags [N]."""
    chosen = rng.integers(0, len(pool), count) if rows is None else rows
    size = pool.images.shape[1]
    images = np.empty((count, size, size, 3), np.uint8)
    regions = np.empty((count, 1, size, size), np.float32)
    garment = np.zeros(count, np.float32)
    for i, row in enumerate(chosen):
        images[i], regions[i, 0], garment[i] = sample(pool, int(row), config, rng)
    return to_tensor(images), torch.from_numpy(regions), torch.from_numpy(garment)


def sample(
    pool: Pool, row: int, config: AugmentConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, float]:
    """One augmented face: uint8 [S,S,3], region float32 [S,S], whether it wears a face mask."""
    image, region = pool.images[row], pool.regions[row].astype(np.float32) / 255.0
    kind = int(pool.kinds[row])
    if kind == PLAIN and rng.random() < config.transplant:
        donor = int(rng.choice(np.flatnonzero(pool.kinds == GARMENT)))
        image, region = transplant(image, pool.images[donor], pool.regions[donor].astype(np.float32) / 255.0, rng)
        kind = GARMENT
    if kind == GARMENT and rng.random() < config.restyle:
        other = pool.images[int(rng.integers(len(pool)))]
        image = restyle(image, region, other, rng)
    if kind == GARMENT and rng.random() < config.equipped:
        image, region = equip(image, region, rng)
    image, region = misalign(image, region, config, rng)
    if rng.random() < config.tight:
        image, region = tighten(image, region, rng)
    if rng.random() < 0.5:
        image, region = image[:, ::-1], region[:, ::-1]
    return degrade(image, rng, config.strength), region, float(kind == GARMENT)


def misalign(
    image: np.ndarray, region: np.ndarray, config: AugmentConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Both moved, turned and scaled alike, as by the points of a real detector."""
    size = image.shape[0]
    turned = cv2.getRotationMatrix2D(
        (size / 2, size / 2), float(rng.normal(0, config.degrees)), float(np.exp(rng.normal(0, config.scale)))
    )
    matrix = np.asarray(turned, np.float64)
    matrix[:, 2] += rng.normal(0, config.shift * size / 128, 2)
    border = int(rng.choice([cv2.BORDER_REFLECT_101, cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT]))
    moved = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=border)
    inside = cv2.warpAffine(
        region,
        matrix,
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT if border == cv2.BORDER_CONSTANT else border,
    )
    return moved, inside


def tighten(image: np.ndarray, region: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Both as cut from a photo that ends close to the face: beyond its edges it is repeated or mirrored."""
    size = image.shape[0]
    edges = rng.uniform(0.0, 0.26, 4) * (rng.random(4) < 0.5)
    top, bottom, left, right = (int(e * size) for e in edges)
    around = ((top, bottom), (left, right))
    inner = (slice(top, size - bottom), slice(left, size - right))
    if rng.random() < 0.4:
        return np.pad(image[inner], (*around, (0, 0)), "reflect"), np.pad(region[inner], around, "reflect")
    return np.pad(image[inner], (*around, (0, 0)), "edge"), np.pad(region[inner], around, "edge")


def transplant(
    face: np.ndarray, donor: np.ndarray, region: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The donor's face mask, stretched and moved a little, on a bare face: shapes that fit less well."""
    size = face.shape[0]
    centre = np.array([size / 2, size * 0.65])
    linear = np.diag(np.exp(rng.normal(0, 0.1, 2))) + rng.normal(0, 0.06, (2, 2))
    matrix = np.concatenate([linear, (centre - linear @ centre + rng.normal(0, size * 0.02, 2))[:, None]], 1)
    garment = cv2.warpAffine(donor, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    cover = cv2.warpAffine(region, matrix, (size, size), flags=cv2.INTER_LINEAR)
    return _mix(face, garment.astype(np.float32), cover), cover


def equip(image: np.ndarray, region: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
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
    colour = _dull(rng)
    for _ in range(int(rng.integers(1, 3))):
        reach = float(rng.uniform(0.15, 0.5)) * size
        start = np.array([x - side * 2, y + rng.normal(0, size * 0.06)])
        end = start + np.array([side * reach, -reach * rng.uniform(-0.2, 1.6)])
        bend = (start + end) / 2 + rng.normal(0, size * 0.03, 2)
        k = np.linspace(0, 1, 9)[:, None]
        line = ((1 - k) ** 2 * start + 2 * k * (1 - k) * bend + k**2 * end).round().astype(np.int32)
        width = int(rng.integers(2, max(3, size // 18)))
        cv2.polylines(layer, [line], False, colour, width + 2)
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
    """Black, white, grey or any colour."""
    grey = float(rng.choice([rng.uniform(10, 60), rng.uniform(90, 160), rng.uniform(190, 245)]))
    colour = rng.uniform(0, 255, 3) if rng.random() < 0.35 else np.full(3, grey) + rng.normal(0, 6, 3)
    return [float(c) for c in np.clip(colour, 0, 255)]


def _neck(image: np.ndarray, region: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The garment's cloth carried on down over the neck, as of a gaiter or a knotted scarf."""
    size = region.shape[0]
    solid = region > 0.5
    columns = np.flatnonzero(solid.any(0))
    lowest = size - 1 - np.argmax(solid[::-1], 0)  # of each column
    height = np.ptp(np.flatnonzero(solid.any(1))) + 1
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
        if len(rows):
            cover[rows, x] = 1
            back = low - (rows - low - 1) % max(1, int(min(height, np.count_nonzero(solid[:, x]))))
            image[rows, x] = np.clip(image[np.maximum(back, 0), x] * dark, 0, 255)
    return image, np.maximum(region, cover)


def restyle(image: np.ndarray, region: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A new look of the garment inside its region: near black or white, like the skin, coloured, a pattern, a print."""
    x = image.astype(np.float32)
    weight = region.sum() + 1e-3
    light = x.mean(2, keepdims=True)
    shading = light / max(float((light[..., 0] * region).sum() / weight), 20.0)  # around 1
    shading = np.clip(1 + (shading - 1) * rng.uniform(0.4, 1.3), 0.1, 2.0)
    kind = rng.integers(6)
    if kind == 0:
        colour = np.full(3, rng.uniform(8, 60)) + rng.normal(0, 6, 3)
    elif kind == 1:
        colour = np.full(3, rng.uniform(170, 250)) + rng.normal(0, 8, 3)
    elif kind == 5:
        around = cv2.dilate((region > 0.05).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        around &= region < 0.05
        colour = np.median(x[around], 0) + rng.normal(0, 12, 3) if around.any() else rng.uniform(0, 255, 3)
    else:
        colour = rng.uniform(0, 255, 3)
    look = shading * colour
    if kind == 3:
        look = shading * _pattern(other, rng)
    if kind == 4:
        look = _print(look.astype(np.float32), region, other, rng)
    return _mix(image, look, region)


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


def _print(look: np.ndarray, region: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shapes, letters or a picture on the garment."""
    ys, xs = np.nonzero(region > 0.5)
    if len(ys) == 0:
        return look
    look, size = np.ascontiguousarray(np.clip(look, 0, 255).astype(np.uint8)), look.shape[0]
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(len(ys)))
        x, y = int(xs[at]), int(ys[at])
        colour, reach = rng.uniform(0, 255, 3).tolist(), int(rng.integers(size // 32, size // 6))
        kind = rng.integers(4)
        if kind == 0:
            cv2.circle(look, (x, y), reach, colour, -1, cv2.LINE_AA)
        elif kind == 1:
            end = (x + int(rng.integers(-3, 4)) * reach, y + int(rng.integers(-3, 4)) * reach)
            cv2.line(look, (x, y), end, colour, int(rng.integers(1, 6)), cv2.LINE_AA)
        elif kind == 2:
            text = "".join(rng.choice(list("AXO80WKMR?!*#"), int(rng.integers(1, 6))))
            cv2.putText(look, text, (x - 2 * reach, y), int(rng.integers(4)), reach / 20, colour, 2, cv2.LINE_AA)
        else:
            h, w = min(reach * 2, size - y), min(reach * 2, size - x)
            look[y : y + h, x : x + w] = other[:h, :w]
    return look.astype(np.float32)


def _mix(under: np.ndarray, over: np.ndarray, cover: np.ndarray) -> np.ndarray:
    mixed = under + cover[..., None] * (over - under)
    return np.asarray(np.clip(mixed + 0.5, 0, 255), np.uint8)
