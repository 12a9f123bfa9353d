"""Scenes for the detector, composed anew at every step.

Whole photos at many scales, aligned faces on backgrounds, faces too large for the scene, and nothing at all. The points
of a masked face are those of its unmasked version, since the mask is put on after they are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..config import Positive, SceneSide, Seed, Share, Variants, Weight
from ..faces import align
from ..simulation import simulate
from .backgrounds import background, lay
from .boxes import BoxRule, box_rule, moved_box, placed
from .face_sets import FaceSet
from .photometric import degrade, tinted
from .photos import LabelledPhoto
from .scene import MAX_FACES, Scene, Scenes


@dataclass(frozen=True)
class SceneConfig:
    """``least`` to ``most`` is a face's size (root of its box's area, log-uniform) at a scene of ``size`` pixels.

    The shares ``photos``, ``mosaics``, ``pasted``, ``inside`` (part of a face larger than the scene) and, what they
    leave, empty ones are of scenes; ``masked`` and ``occluded`` of faces. ``wardrobe`` is how many times a photo's
    faces are dressed. A face leans by ``degrees`` (standard deviation), ``leaning`` of them evenly by up to 75, and in
    ``inverted`` of the scenes they lie upside down, which is background. ``degraded`` scenes have other light, noise,
    blur or blocks.
    """

    size: SceneSide = 320
    photos: Share = 0.25
    pasted: Share = 0.15
    mosaics: Share = 0.3
    inside: Share = 0.1
    masked: Share = 0.55
    occluded: Share = 0.08
    wardrobe: Variants = 2
    least: Positive = 13.0
    most: Positive = 310.0
    degrees: Weight = 14.0
    leaning: Share = 0.3
    inverted: Share = 0.05
    degraded: Share = 0.6
    seed: Seed = 0

    def __post_init__(self) -> None:
        if not self.least <= self.most:
            raise ValueError("least is above most; it is the smallest face")


@dataclass(frozen=True)
class Material:
    """What scenes are made of: photos (dressed and bare), sets of aligned faces, sets of pictures without a face."""

    photos: Sequence[LabelledPhoto]
    faces: Sequence[FaceSet]
    empty: Sequence[Sequence[np.ndarray]]
    rule: BoxRule | None

    @cached_property
    def seen(self) -> list[LabelledPhoto]:
        """The photos in which there is a face."""
        return [photo for photo in self.photos if photo.sure.any()]

    def face(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """One aligned face, mirrored or not, and its points [5,2]."""
        faces = self.faces[int(rng.integers(len(self.faces)))]
        row = int(rng.integers(len(faces)))
        image, points = faces.images[row], faces.points[row].astype(np.float64)
        return mirror(image, points) if rng.random() < 0.5 else (image, points)


def gather(
    photos: Sequence[LabelledPhoto],
    faces: Sequence[FaceSet],
    empty: Sequence[Sequence[np.ndarray]],
    config: SceneConfig,
    rule: BoxRule | None = None,
) -> Material:
    """The material of scenes: photos as they are and ``wardrobe`` times dressed, faces dressed once.

    ``rule`` says where the boxes of aligned faces lie; without it, it is fitted to the bare photos.
    """
    rng = np.random.default_rng([config.seed, 77])
    worn = [photo for photo in photos if photo.dressed]
    bare = [photo for photo in photos if not photo.dressed]
    clad = [dressed(photo, config, rng) for _ in range(config.wardrobe) for photo in bare if photo.sure.any()]
    sets = []
    for known in faces:
        images = np.stack(
            [
                dress(image, points.astype(np.float64), config, rng)
                for image, points in zip(known.images, known.points, strict=True)
            ]
        )
        sets.append(replace(known, images=images))
    return Material([*worn, *bare, *clad], sets, empty, rule or (box_rule(bare) if sets else None))


def scenes(material: Material, config: SceneConfig, seeds: Sequence[Sequence[int]]) -> Scenes:
    """One scene for each seed."""
    n = len(seeds)
    images = np.empty((n, config.size, config.size, 3), np.uint8)
    boxes, points = np.zeros((n, MAX_FACES, 4), np.float32), np.zeros((n, MAX_FACES, 5, 2), np.float32)
    state = np.zeros((n, MAX_FACES), np.uint8)
    for i, seed in enumerate(seeds):
        scene = compose(material, config, np.random.default_rng(seed))
        images[i], k = scene.pixels, len(scene.boxes)
        if k:
            boxes[i, :k], points[i, :k], state[i, :k] = scene.boxes, scene.points, scene.state
    return Scenes(images, boxes, points, state)


def compose(material: Material, config: SceneConfig, rng: np.random.Generator) -> Scene:
    """One scene with its faces."""
    turn = rng.uniform(115, 245) if rng.random() < config.inverted else 0.0
    seen = material.seen
    shares = [
        config.photos * bool(seen),
        config.mosaics * bool(seen),
        config.pasted * bool(material.faces),
        config.inside * bool(seen),
    ]
    kind = int(np.searchsorted(np.cumsum(shares), rng.random(), side="right"))
    if kind == 0:
        scene = from_photo(seen[int(rng.integers(len(seen)))], config, rng, turn)
    elif kind == 1:
        scene = mosaic(seen, config, rng, turn)
    elif kind == 3:
        scene = inside(material, seen, config, rng)
    else:
        scene = Scene(background(material.photos, config.size, rng, material.empty))
        if kind == 2:
            paste_faces(scene, material, config, rng, turn)
    if rng.random() < config.degraded:
        scene.pixels = tinted(degrade(scene.pixels, rng), rng, 0.15)
    return scene


def dressed(photo: LabelledPhoto, config: SceneConfig, rng: np.random.Generator) -> LabelledPhoto:
    """The photo with its faces dressed as :func:`dress` does; the points stay those of the bare faces."""
    pixels = photo.pixels.copy()
    for box, points, sure in zip(photo.boxes, photo.points, photo.sure, strict=True):
        if sure:
            x1, y1, x2, y2 = _around(box, 0.5, pixels.shape)
            part = np.ascontiguousarray(pixels[y1:y2, x1:x2])
            pixels[y1:y2, x1:x2] = dress(part, points - (x1, y1), config, rng)
    return replace(photo, pixels=pixels)


def dress(pixels: np.ndarray, points: np.ndarray, config: SceneConfig, rng: np.random.Generator) -> np.ndarray:
    """The same picture with a face mask on the face, an object before it, or as it is."""
    draw = rng.random()
    if draw < config.masked:
        return np.asarray(simulate.simulate(pixels, points, rng).image)
    if draw < config.masked + config.occluded:
        return np.asarray(simulate.occlude(pixels, points, rng).image)
    return pixels


def from_photo(photo: LabelledPhoto, config: SceneConfig, rng: np.random.Generator, turn: float = 0.0) -> Scene:
    """A photo turned, scaled and cut so that one of its faces has a random size and place."""
    chosen = rng.choice(np.flatnonzero(photo.sure))
    box = photo.boxes[chosen]
    size = float(np.sqrt((box[2:] - box[:2]).prod()))
    scale = min(np.exp(rng.uniform(np.log(config.least), np.log(config.most))) / size, 5.0)
    reach = size * scale / 2
    place = np.array([_place(config.size, reach, rng), _place(config.size, reach, rng)])
    matrix = placed((box[:2] + box[2:]) / 2, place, scale, turn + _angle(config, rng))
    return _cut(photo, matrix, config, rng)


def inside(material: Material, seen: Sequence[LabelledPhoto], config: SceneConfig, rng: np.random.Generator) -> Scene:
    """Part of a face that is larger than the scene."""
    if material.faces and material.rule is not None and rng.random() < 0.6:
        image, points = material.face(rng)
        one = np.array([True])
        photo = LabelledPhoto("", image, material.rule(points)[None], points[None], one)
    else:
        photo = seen[int(rng.integers(len(seen)))]
    box = photo.boxes[rng.choice(np.flatnonzero(photo.sure))]
    size = float(np.sqrt((box[2:] - box[:2]).prod()))
    scale = config.size * np.exp(rng.uniform(np.log(1.3), np.log(5.0))) / size
    spot = box[:2] + (box[2:] - box[:2]) * rng.uniform(-0.1, 1.1, 2)
    return _cut(photo, placed(spot, np.full(2, config.size / 2), scale, _angle(config, rng)), config, rng)


def _cut(photo: LabelledPhoto, matrix: np.ndarray, config: SceneConfig, rng: np.random.Generator) -> Scene:
    """The photo after ``matrix`` in a scene, mirrored or not, with its faces."""
    if rng.random() < 0.5:
        border, value = "constant", float(rng.choice([0, 0, 255, int(rng.integers(256))]))
    else:
        border, value = "replicate", 0.0
    pixels = align.warp(photo.pixels, matrix, config.size, border=border, value=value, filter="linear")
    flip = rng.random() < 0.5
    scene = Scene(np.ascontiguousarray(pixels[:, ::-1]) if flip else pixels)
    for box, points, sure in zip(photo.boxes, photo.points, photo.sure, strict=True):
        box, points = moved_box(box, matrix), align.transform_points(points, matrix)
        if flip:
            box = (config.size - 1 - box)[[2, 1, 0, 3]] * (1, 0, 1, 0) + box * (0, 1, 0, 1)
            points = points[[1, 0, 2, 4, 3]] * (-1, 1) + (config.size - 1, 0)
        scene.add(box, points, bool(sure), not photo.dressed)
    return scene


def _place(size: int, reach: float, rng: np.random.Generator) -> float:
    """Where the middle of a face lies along one side: mostly so that all of it is in the picture."""
    margin = min(reach * 0.95, size / 2)
    return float(rng.uniform(margin, size - margin)) if size > 2 * margin else size / 2 + float(rng.normal(0, 8))


def _angle(config: SceneConfig, rng: np.random.Generator) -> float:
    return float(rng.uniform(-75, 75) if rng.random() < config.leaning else rng.normal(0, config.degrees))


def _around(box: np.ndarray, margin: float, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Whole pixels around a box grown by ``margin`` of its size on each side, inside the picture."""
    grow = (box[2:] - box[:2]) * margin
    low = np.maximum(np.floor(box[:2] - grow), 0).astype(int)
    high = np.minimum(np.ceil(box[2:] + grow), (shape[1], shape[0])).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def paste_faces(
    scene: Scene, material: Material, config: SceneConfig, rng: np.random.Generator, turn: float = 0.0
) -> None:
    """Put one to eight aligned faces on a background, largest first, none over another."""
    assert material.rule is not None
    wanted = 1 + min(7, int(rng.geometric(0.45)) - 1)
    sizes = np.sort(np.exp(rng.uniform(np.log(config.least), np.log(config.most), wanted)))[::-1]
    for size in sizes:
        face, points = material.face(rng)
        box = material.rule(points)
        scale = size / float(np.sqrt((box[2:] - box[:2]).prod()))
        for _ in range(8):
            place = np.array([_place(config.size, size / 2, rng), _place(config.size, size / 2, rng)])
            matrix = placed((box[:2] + box[2:]) / 2, place, scale, turn + _angle(config, rng))
            there = moved_box(box, matrix)
            if all(_apart(there, other) for other in scene.boxes):
                scene.pixels = lay(scene.pixels, face, matrix, rng)
                scene.add(there, align.transform_points(points, matrix))
                break


def mosaic(seen: Sequence[LabelledPhoto], config: SceneConfig, rng: np.random.Generator, turn: float = 0.0) -> Scene:
    """Four scenes of half the size side by side: many faces and much that is none, for few pixels."""
    part = replace(config, size=config.size // 2, most=config.most / 2)
    quarters = [from_photo(seen[int(rng.integers(len(seen)))], part, rng, turn) for _ in range(4)]
    rows = [np.concatenate([q.pixels for q in quarters[k : k + 2]], 1) for k in (0, 2)]
    scene = Scene(np.concatenate(rows))
    for i, quarter in enumerate(quarters):
        shift = np.array([i % 2, i // 2]) * part.size
        for box, points, state in zip(quarter.boxes, quarter.points, quarter.state, strict=True):
            seen_box = np.clip(box, 0, part.size) if state == 3 else box
            if len(scene.boxes) < MAX_FACES:
                scene.boxes.append(seen_box + np.tile(shift, 2))
                scene.points.append(points + shift)
                scene.state.append(state)
    return scene


def mirror(image: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left and right exchanged, in the picture and in the names of the points."""
    flipped = points[[1, 0, 2, 4, 3]].copy()
    flipped[:, 0] = image.shape[1] - 1 - flipped[:, 0]
    return np.ascontiguousarray(image[:, ::-1]), flipped


def _apart(a: np.ndarray, b: np.ndarray) -> bool:
    gap = 0.35 * float((b[2:] - b[:2]).max())  # hair and neck come along with a pasted face
    return bool((a[0] > b[2] + gap) or (b[0] > a[2] + gap) or (a[1] > b[3] + gap) or (b[1] > a[3] + gap))
