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

from .. import files, progress
from ..config import PoolSize, Seed, Share, Weight
from ..images import to_tensor
from ..simulation import simulate
from . import garment_variation, pose
from .face_sets import FaceSet, keep
from .photometric import degrade

GARMENT, PLAIN, OCCLUDED = 1, 0, 2
OCCLUDERS, SHARES = ("hand", "microphone", "cup", "block"), (0.45, 0.2, 0.2, 0.15)
NOT_RENDERER = ("__init__", "blend", "candidates", "detect", "patches", "segment", "tone")


@dataclass(frozen=True)
class PoolConfig:
    """How many faces are rendered, and which shares wear a face mask, a scarf over the mouth, or hide behind an object.

    ``handled`` is the share of garments with a hand in front: the hand is not part of the region. ``turned`` is the
    share of faces chosen for being turned to a side.
    """

    count: PoolSize = 12_000
    garments: Share = 0.66
    scarves: Share = 0.04
    occluded: Share = 0.12
    handled: Share = 0.08
    turned: Share = 0.0
    seed: Seed = 0


@dataclass(frozen=True)
class AugmentConfig:
    """Misalignment (pixels, degrees and log scale: standard deviations at 128 px) and shares of new looks.

    ``tight`` is the share of faces that fill their photo: what lies outside is made up, as alignment does it.
    ``accessories`` is the share of face masks that get straps, valves or cloth down the neck.
    """

    shift: Weight = 3.0
    degrees: Weight = 4.0
    scale: Weight = 0.07
    restyle: Share = 0.35
    transplant: Share = 0.2
    tight: Share = 0.3
    accessories: Share = 0.0
    strength: Weight = 1.0


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
    key = json.dumps([asdict(config), faces.digest, renderer_digest(), 3])
    path = files.cache_folder(cache) / f"pool-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
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
    chosen = order(faces, config)

    def one(i: int) -> tuple[np.ndarray, np.ndarray, int]:
        face, points = faces.images[chosen[i]], faces.points[chosen[i]].astype(np.float64)
        return render(face, points, config, np.random.default_rng([config.seed, i]))

    progress.foretell("face masks", config.count, one)
    for i in progress.bar(range(config.count), what="face masks rendered", unit="face"):
        images[i], region, kinds[i] = one(i)
        regions[i] = (region * 255 + 0.5).astype(np.uint8)
    return images, regions, kinds


def order(faces: FaceSet, config: PoolConfig) -> np.ndarray:
    """Which face each one of the pool is drawn on."""
    rng = np.random.default_rng(config.seed)
    indices = rng.permutation(max(len(faces), config.count))[: config.count] % len(faces)
    return pose.prefer(indices, config.turned, pose.turned(faces.points), rng) if config.turned else indices


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
    pool: Pool, config: AugmentConfig, count: int, rng: np.random.Generator, indices: np.ndarray | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """``count`` augmented faces [N,3,S,S] in [-1,1], regions [N,1,S,S] in [0,1] and garment flags [N]."""
    chosen = rng.integers(0, len(pool), count) if indices is None else indices
    size = pool.images.shape[1]
    images = np.empty((count, size, size, 3), np.uint8)
    regions = np.empty((count, 1, size, size), np.float32)
    garment = np.zeros(count, np.float32)
    for i, index in enumerate(chosen):
        images[i], regions[i, 0], garment[i] = sample(pool, int(index), config, rng)
    return to_tensor(images), torch.from_numpy(regions), torch.from_numpy(garment)


def sample(
    pool: Pool, index: int, config: AugmentConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, float]:
    """One augmented face: uint8 [S,S,3], region float32 [S,S], whether it wears a face mask."""
    image, region, kind = restyled(pool, index, config, rng)
    image, region = misalign(image, region, config, rng)
    if rng.random() < config.tight:
        image, region = tighten(image, region, rng)
    if rng.random() < 0.5:
        image, region = image[:, ::-1], region[:, ::-1]
    return degrade(image, rng, config.strength), region, float(kind == GARMENT)


def restyled(
    pool: Pool, index: int, config: AugmentConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, int]:
    """One face of the pool, a share of them with a new face mask or look of it: picture, region [S,S] and kind."""
    image, region = pool.images[index], pool.regions[index].astype(np.float32) / 255.0
    kind = int(pool.kinds[index])
    if kind == PLAIN and rng.random() < config.transplant:
        donor = int(rng.choice(np.flatnonzero(pool.kinds == GARMENT)))
        image, region = garment_variation.transplant(
            image, pool.images[donor], pool.regions[donor].astype(np.float32) / 255.0, rng
        )
        kind = GARMENT
    if kind == GARMENT and rng.random() < config.restyle:
        other = pool.images[int(rng.integers(len(pool)))]
        image = garment_variation.restyle(image, region, other, rng)
    if kind == GARMENT and rng.random() < config.accessories:
        image, region = garment_variation.add_accessories(image, region, rng)
    return image, region, kind


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
