"""Scenes for the detector: whole photos at many scales, and aligned faces on backgrounds, with simulated face masks.

The points of a masked face are those of its unmasked twin, since the mask is put on after they are known. Scenes are
composed once and kept in the cache folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .. import files
from ..config import PoolSize, Positive, SceneSide, Seed, Share, Weight
from ..faces import align
from ..simulation import simulate
from .backgrounds import background, lay
from .boxes import BoxRule, box_rule, moved_box, placed
from .face_sets import FaceSet, keep
from .photometric import degrade
from .photos import LabelledPhoto
from .segmentation import renderer_digest

MAX_FACES = 12
LEAST_SIZE = 9.0  # smaller faces are neither faces nor background


@dataclass(frozen=True)
class SceneConfig:
    """``least`` to ``most`` is a face's size (root of its box's area, log-uniform); shares are of scenes or faces."""

    count: PoolSize = 5000
    size: SceneSide = 320
    photos: Share = 0.55
    empty: Share = 0.05
    masked: Share = 0.55
    occluded: Share = 0.08
    least: Positive = 16.0
    most: Positive = 290.0
    most_pasted: Positive = 170.0
    degrees: Weight = 14.0
    crowd: bool = False
    seed: Seed = 0

    def __post_init__(self) -> None:
        if not self.least <= min(self.most, self.most_pasted):
            raise ValueError("least is above most or most_pasted; it is the smallest face")


@dataclass(frozen=True)
class Scenes:
    """``images`` uint8 [N,S,S,3]; ``boxes`` float32 [N,M,4]; ``points`` [N,M,5,2]; ``state`` uint8 [N,M]:
    0 nothing, 1 face, 2 face whose points are not trusted, 3 to be ignored.
    """

    images: np.ndarray
    boxes: np.ndarray
    points: np.ndarray
    state: np.ndarray

    def __len__(self) -> int:
        return len(self.images)


def joined(sets: Sequence[Scenes]) -> Scenes:
    """Several sets of scenes of one size as one (read into memory where there are several)."""
    if len(sets) == 1:
        return sets[0]
    return Scenes(
        *(np.concatenate([getattr(s, name) for s in sets]) for name in ("images", "boxes", "points", "state"))
    )


@dataclass
class Scene:
    """One scene while it is made."""

    pixels: np.ndarray
    boxes: list[np.ndarray] = field(default_factory=list)
    points: list[np.ndarray] = field(default_factory=list)
    state: list[int] = field(default_factory=list)

    def add(self, box: np.ndarray, points: np.ndarray, sure: bool = True, trusted: bool = True) -> None:
        """Add a face if a good part of it can be seen; what is doubtful or hardly seen is to be ignored."""
        size = self.pixels.shape[0]
        seen = np.clip(np.minimum(box[2:], size) - np.maximum(box[:2], 0), 0, None).prod()
        share = seen / max(float((box[2:] - box[:2]).prod()), 1e-6)
        if share <= 0 or len(self.boxes) >= MAX_FACES:
            return
        small = np.sqrt((box[2:] - box[:2]).prod()) < LEAST_SIZE
        self.boxes.append(box)
        self.points.append(points)
        self.state.append(3 if small or share < 0.5 or not sure else 1 if trusted else 2)


def build_scenes(photos: Sequence[LabelledPhoto], faces: FaceSet | None, config: SceneConfig) -> Scenes:
    """Compose all scenes, or read them back: the key is the config, the pictures and the renderer's source."""
    renderer = [renderer_digest(), files.sha256(__file__)]
    pictures = hashlib.sha256()
    for photo in photos:
        for part in (photo.pixels, photo.boxes, photo.points, photo.sure):
            pictures.update(repr((photo.name, part.shape)).encode() + np.ascontiguousarray(part).tobytes())
    key = json.dumps([asdict(config), pictures.hexdigest(), faces.digest if faces else 0, renderer])
    stem = files.cache_folder() / f"scenes-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    table, images = stem.with_suffix(".npz"), stem.with_suffix(".npy")
    if not (table.is_file() and images.is_file()):
        _compose_all(photos, faces, config, table, images)
    with np.load(table) as stored:
        return Scenes(np.load(images, mmap_mode="r"), stored["boxes"], stored["points"], stored["state"])


def _compose_all(
    photos: Sequence[LabelledPhoto], faces: FaceSet | None, config: SceneConfig, table: Path, images: Path
) -> None:
    rule = box_rule(photos) if faces else None
    boxes = np.zeros((config.count, MAX_FACES, 4), np.float32)
    points = np.zeros((config.count, MAX_FACES, 5, 2), np.float32)
    state = np.zeros((config.count, MAX_FACES), np.uint8)
    with files.replacing(images) as part:
        out = np.lib.format.open_memmap(part, "w+", np.uint8, (config.count, config.size, config.size, 3))
        for i in tqdm(range(config.count), desc="composing scenes", mininterval=5):
            scene = compose(photos, faces, rule, config, np.random.default_rng([config.seed, i]))
            out[i], n = scene.pixels, len(scene.boxes)
            if n:
                boxes[i, :n], points[i, :n], state[i, :n] = scene.boxes, scene.points, scene.state
        out.flush()
    keep(table, {"boxes": boxes, "points": points, "state": state})


def compose(
    photos: Sequence[LabelledPhoto],
    faces: FaceSet | None,
    rule: BoxRule | None,
    config: SceneConfig,
    rng: np.random.Generator,
) -> Scene:
    """One scene with its faces."""
    draw = rng.random()
    if config.crowd and faces is not None and rule is not None:
        scene = Scene(background(photos, config.size, rng))
        crowd(scene, faces, rule, config, rng)
        scene.pixels = degrade(scene.pixels, rng, 0.7)
        return scene
    with_faces = [p for p in photos if p.sure.any()]
    if draw < config.empty or (faces is None and not with_faces):
        scene = Scene(background(photos, config.size, rng))
    elif with_faces and (faces is None or draw < config.empty + config.photos):
        scene = from_photo(with_faces[rng.integers(len(with_faces))], config, rng)
    else:
        assert faces is not None and rule is not None
        scene = Scene(background(photos, config.size, rng))
        paste_faces(scene, faces, rule, config, rng)
    scene.pixels = degrade(scene.pixels, rng, 0.7)
    return scene


def dress(pixels: np.ndarray, points: np.ndarray, config: SceneConfig, rng: np.random.Generator) -> np.ndarray:
    """The same picture with a face mask on the face, an object before it, or as it is."""
    draw = rng.random()
    if draw < config.masked:
        return np.asarray(simulate.simulate(pixels, points, rng).image)
    if draw < config.masked + config.occluded:
        return np.asarray(simulate.occlude(pixels, points, rng).image)
    return pixels


def from_photo(photo: LabelledPhoto, config: SceneConfig, rng: np.random.Generator) -> Scene:
    """A photo turned, scaled and cut so that one of its faces has a random size and place."""
    pixels = photo.pixels.copy()
    for box, points, sure in zip(photo.boxes, photo.points, photo.sure, strict=True):
        if sure and not photo.dressed:
            x1, y1, x2, y2 = _around(box, 0.5, pixels.shape)
            part = np.ascontiguousarray(pixels[y1:y2, x1:x2])
            pixels[y1:y2, x1:x2] = dress(part, points - (x1, y1), config, rng)
    chosen = rng.choice(np.flatnonzero(photo.sure))
    box = photo.boxes[chosen]
    size = float(np.sqrt((box[2:] - box[:2]).prod()))
    scale = min(np.exp(rng.uniform(np.log(config.least), np.log(config.most))) / size, 4.0)
    reach = size * scale / 2
    place = np.array([_place(config.size, reach, rng), _place(config.size, reach, rng)])
    matrix = placed((box[:2] + box[2:]) / 2, place, scale, _angle(config, rng))
    if rng.random() < 0.5:
        border, value = "constant", float(rng.choice([0, 0, 255, int(rng.integers(256))]))
    else:
        border, value = "replicate", 0.0
    scene = Scene(align.warp(pixels, matrix, config.size, border=border, value=value, filter="linear"))
    for box, points, sure in zip(photo.boxes, photo.points, photo.sure, strict=True):
        scene.add(moved_box(box, matrix), align.transform_points(points, matrix), bool(sure), not photo.dressed)
    return scene


def _place(size: int, reach: float, rng: np.random.Generator) -> float:
    """Where the middle of a face lies along one side: mostly so that all of it is in the picture."""
    margin = min(reach * 0.95, size / 2)
    return float(rng.uniform(margin, size - margin)) if size > 2 * margin else size / 2 + float(rng.normal(0, 8))


def _angle(config: SceneConfig, rng: np.random.Generator) -> float:
    return float(rng.uniform(-50, 50) if rng.random() < 0.1 else rng.normal(0, config.degrees))


def _around(box: np.ndarray, margin: float, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Whole pixels around a box grown by ``margin`` of its size on each side, inside the picture."""
    grow = (box[2:] - box[:2]) * margin
    low = np.maximum(np.floor(box[:2] - grow), 0).astype(int)
    high = np.minimum(np.ceil(box[2:] + grow), (shape[1], shape[0])).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def paste_faces(scene: Scene, faces: FaceSet, rule: BoxRule, config: SceneConfig, rng: np.random.Generator) -> None:
    """Put one to eight aligned faces on a background, largest first, none over another."""
    wanted = 1 + min(7, int(rng.geometric(0.45)) - 1)
    sizes = np.sort(np.exp(rng.uniform(np.log(config.least), np.log(config.most_pasted), wanted)))[::-1]
    for size in sizes:
        row = int(rng.integers(len(faces)))
        face, points = faces.images[row], faces.points[row].astype(np.float64)
        face = dress(face, points, config, rng)
        if rng.random() < 0.5:
            face, points = mirror(face, points)
        box = rule(points)
        scale = size / float(np.sqrt((box[2:] - box[:2]).prod()))
        for _ in range(8):
            place = np.array([_place(config.size, size / 2, rng), _place(config.size, size / 2, rng)])
            matrix = placed((box[:2] + box[2:]) / 2, place, scale, _angle(config, rng))
            there = moved_box(box, matrix)
            if all(_apart(there, other) for other in scene.boxes):
                scene.pixels = lay(scene.pixels, face, matrix, rng)
                scene.add(there, align.transform_points(points, matrix))
                break


def crowd(scene: Scene, faces: FaceSet, rule: BoxRule, config: SceneConfig, rng: np.random.Generator) -> None:
    """Fill a grid of two by two or three by three cells with aligned faces, each about as large as its cell allows."""
    cells = int(rng.integers(2, 4))
    side = config.size / cells
    for cell in range(cells * cells):
        row = int(rng.integers(len(faces)))
        face, points = faces.images[row], faces.points[row].astype(np.float64)
        face = dress(face, points, config, rng)
        if rng.random() < 0.5:
            face, points = mirror(face, points)
        middle = (np.array([cell % cells, cell // cells]) + 0.5) * side + rng.uniform(-0.1, 0.1, 2) * side
        scale = side / face.shape[0] * rng.uniform(0.6, 1.15)
        matrix = placed(np.array([64.0, 70.0]) * face.shape[0] / 128, middle, scale, _angle(config, rng))
        scene.pixels = lay(scene.pixels, face, matrix, rng)
        scene.add(moved_box(rule(points), matrix), align.transform_points(points, matrix))


def mirror(image: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left and right exchanged, in the picture and in the names of the points."""
    flipped = points[[1, 0, 2, 4, 3]].copy()
    flipped[:, 0] = image.shape[1] - 1 - flipped[:, 0]
    return np.ascontiguousarray(image[:, ::-1]), flipped


def _apart(a: np.ndarray, b: np.ndarray) -> bool:
    gap = 0.35 * float((b[2:] - b[:2]).max())  # hair and neck come along with a pasted face
    return bool((a[0] > b[2] + gap) or (b[0] > a[2] + gap) or (a[1] > b[3] + gap) or (b[1] > a[3] + gap))
