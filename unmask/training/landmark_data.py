"""Wide crops for the landmarker: faces of all kinds at all angles with their points, and what is no face.

Faces come aligned (masked twins of the segmenter's pool, laid on scenes) or in their whole photos, with face masks
drawn on; the points are always those of the bare face. What is around candidates of a detector, away from all faces,
in the middle of nothing, drawn or printed is no face, and neither is a piece of one or a frame far too wide or narrow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ..data import augment, segmentation
from ..data.backgrounds import background, lay
from ..data.boxes import placed
from ..data.face_sets import cache_folder, keep
from ..data.photometric import GRAY, degrade
from ..data.photos import LabelledPhoto
from ..data.segmentation import GARMENT
from ..faces import align
from ..faces.detect import Detector
from ..faces.landmarks import MARGIN, TEMPLATE, frame, from_pixels
from ..simulation import simulate
from . import not_faces

# How far the middle of a face may lie from the crop's, in sides of the aligned face, and the log of its relative size:
# up to NEAR it is a face, from FAR on it is none, and up to REACH its points are asked for.
NEAR, FAR, REACH = (0.22, 0.4), (0.4, 0.7), (0.45, 0.75)
UNKNOWN = -1
TIGHT = 0.35  # share of aligned faces as cut from a photo that ends close to the face
LEAST_WORN = 40.0  # pixels, shorter side of the box: smaller ones stand behind the people in face masks


@dataclass(frozen=True)
class Shares:
    """How often each kind of crop is drawn (in proportion), and ``masked`` and ``occluded`` faces in whole photos."""

    aligned: float = 0.50
    photos: float = 0.10
    worn: float = 0.04
    candidates: float = 0.06
    pieces: float = 0.10
    empty: float = 0.10
    drawn: float = 0.05
    misused: float = 0.05
    masked: float = 0.6
    occluded: float = 0.1
    tinted: float = 0.12


@dataclass(frozen=True)
class Scene:
    """One photo: its faces' ``points`` [K,5,2] (``sure`` [K]), who wears a face mask (``garment`` [K], UNKNOWN if not
    known), whether the points can be trusted, and what a detector took for faces, points [M,5,2].
    """

    pixels: np.ndarray
    points: np.ndarray
    sure: np.ndarray
    garment: np.ndarray
    trusted: bool = True
    candidates: np.ndarray = field(default_factory=lambda: np.zeros((0, 5, 2)))


@dataclass(frozen=True)
class Material:
    """All that crops are made of: the pool with its points [N,5,2], whole photos, those of people in real face masks,
    photos to take backgrounds from, and pictures of things uint8 [M,S,S,3].
    """

    pool: segmentation.Pool
    points: np.ndarray
    photos: Sequence[Scene]
    worn: Sequence[Scene]
    grounds: Sequence[LabelledPhoto]
    things: np.ndarray


class Crop(NamedTuple):
    """``pixels`` uint8 [S,S,3]; ``points`` [5,2] in them or None; ``face`` and ``garment`` 0, 1 or UNKNOWN;
    ``trusted``: the points are those of the bare face, not just good enough to tell how the face is turned.
    """

    pixels: np.ndarray
    points: np.ndarray | None
    face: int
    garment: int
    trusted: bool = True


class Crops(NamedTuple):
    """Many crops, rendered: ``images`` uint8 [N,S,S,3], ``points`` float32 [N,5,2] in their pixels, ``face`` and
    ``garment`` int8 [N], ``turned`` and ``placed`` bool [N] (as in :class:`Batch`).
    """

    images: np.ndarray
    points: np.ndarray
    face: np.ndarray
    garment: np.ndarray
    turned: np.ndarray
    placed: np.ndarray


class Batch(NamedTuple):
    """x [N,3,S,S] in [-1,1]; ``face`` and ``garment`` [N] (UNKNOWN: do not ask); ``roll`` cosine and sine [N,2] and
    ``points`` [N,5,2] as the network gives them; ``turned`` and ``placed`` [N], 1 where these are known.
    """

    x: Tensor
    face: Tensor
    garment: Tensor
    roll: Tensor
    points: Tensor
    turned: Tensor
    placed: Tensor


def dressed(photo: LabelledPhoto, shares: Shares, rng: np.random.Generator) -> Scene:
    """The photo with a face mask on most of its faces, an object before some."""
    pixels, garment = photo.pixels, np.zeros(len(photo.points), int)
    if not photo.dressed:
        for i in np.flatnonzero(photo.sure):
            draw = rng.random()
            if draw < shares.masked:
                pixels, garment[i] = simulate.simulate(pixels, photo.points[i], rng).image, 1
            elif draw < shares.masked + shares.occluded:
                kind = str(rng.choice(segmentation.OCCLUDERS, p=segmentation.SHARES))
                pixels = simulate.occlude(pixels, photo.points[i], rng, kind).image
    else:
        garment[:] = 1
    large = (photo.boxes[:, 2:] - photo.boxes[:, :2]).min(1) >= LEAST_WORN
    sure = photo.sure & (large | (not photo.dressed))
    return Scene(pixels, photo.points, sure, garment, not photo.dressed)


def with_candidates(scenes: Sequence[Scene], detector: Detector, zooms: Sequence[float], seed: int) -> list[Scene]:
    """The scenes with what a detector takes for faces in each, enlarged by one of ``zooms``; its answers are cached."""
    digest = hashlib.sha256(f"{getattr(detector, 'name', detector)}|{zooms}|{seed}|1".encode())
    for scene in scenes:
        digest.update(np.ascontiguousarray(scene.pixels).tobytes())
    path = cache_folder() / f"candidates-{digest.hexdigest()[:16]}.npz"
    if not path.is_file():
        found = {}
        for i, scene in enumerate(tqdm(scenes, desc="mining candidates", mininterval=5)):
            zoom = zooms[int(np.random.default_rng([seed, i]).integers(len(zooms)))]
            large = cv2.resize(scene.pixels, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
            found[f"a{i}"] = np.array([(f.kps + 0.5) / zoom - 0.5 for f in detector.detect(large)]).reshape(-1, 5, 2)
        keep(path, found)
    with np.load(path) as stored:
        return [Scene(s.pixels, s.points, s.sure, s.garment, s.trusted, stored[f"a{i}"]) for i, s in enumerate(scenes)]


def things(grounds: Sequence[LabelledPhoto], count: int, size: int, seed: int) -> np.ndarray:
    """``count`` pictures of things that are no faces, uint8 [count,size,size,3]."""
    made = np.empty((count, size, size, 3), np.uint8)
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        made[i] = not_faces.thing(background(grounds, size, rng), rng)[:size, :size]
    return made


def relation(points: np.ndarray, matrix: np.ndarray, size: int) -> tuple[float, float]:
    """How far the middle of a face lies from that of the crop, in sides of the aligned face, and the log of its size
    relative to what it should be. ``matrix`` takes its points to the crop of ``size`` pixels.
    """
    inner = size / MARGIN
    whole = align.compose(matrix, align.invert(align.similarity(points, align.template(TEMPLATE, 128))))
    middle = align.transform_points(np.array([63.5, 63.5]), whole)
    off = float(np.hypot(*(middle - (size - 1) / 2))) / inner
    return off, float(np.log(align.scale_of(whole) * 128 / inner))


def verdict(off: float, grown: float) -> int:
    """Whether a face that far from the middle and that large counts as one: 1, 0, or UNKNOWN in between."""
    if off <= NEAR[0] and abs(grown) <= NEAR[1]:
        return 1
    return 0 if off >= FAR[0] or abs(grown) >= FAR[1] else UNKNOWN


def jitter(points: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A matrix [2,3] that takes a face about to the middle: as aligned before, as a detector's, or turned anyhow."""
    draw = rng.random()
    turn, off, grow = (5.0, 0.02, 0.05) if draw < 0.45 else (15.0, 0.06, 0.15) if draw < 0.7 else (180.0, 0.06, 0.16)
    angle = rng.uniform(-turn, turn) if turn > 90 else rng.normal(0, turn)
    return aimed(points, size, angle, rng.normal(0, off, 2), float(rng.normal(0, grow)))


def astray(points: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A matrix [2,3] that shows a piece of a face, or a face far too small."""
    angle = rng.uniform(-180, 180) if rng.random() < 0.3 else rng.normal(0, 12)
    bearing, off, grow = rng.uniform(0, 2 * np.pi), float(rng.uniform(0, 0.3)), float(rng.normal(0, 0.25))
    if rng.random() < 0.55:
        off = float(rng.uniform(FAR[0], 0.9))
    else:
        grow = float(rng.choice([-1, 1], p=[0.35, 0.65]) * rng.uniform(FAR[1], 1.5))
        off *= max(1.0, float(np.exp(grow)))
    return aimed(points, size, angle, off * np.array([np.cos(bearing), np.sin(bearing)]), grow)


def aimed(points: np.ndarray, size: int, angle: float, off: np.ndarray, grow: float) -> np.ndarray:
    """The matrix [2,3] that shows a face turned by ``angle``, its middle ``off`` and its size ``grow`` as in
    :func:`relation`.
    """
    inner = size / MARGIN
    upright = align.similarity(points, align.template(TEMPLATE, 128))
    target = (size - 1) / 2 + np.asarray(off) * inner
    return align.compose(placed(np.array([63.5, 63.5]), target, inner / 128 * np.exp(grow), angle), upright)


def sample(material: Material, shares: Shares, size: int, rng: np.random.Generator) -> Crop:
    """One crop of a random kind, with light, color and camera of its own."""
    makers = (_aligned, _photo, _worn, _candidate, _piece, _empty, _drawn, _misused)
    weights = np.array([shares.aligned, shares.photos, shares.worn, shares.candidates, shares.pieces, shares.empty,
                        shares.drawn, shares.misused])  # fmt: skip
    faced = any(scene.sure.any() for scene in material.photos)
    weights *= [True, faced, bool(material.worn), bool(material.photos), True, True, True, True]
    crop = makers[int(rng.choice(len(makers), p=weights / weights.sum()))](material, size, rng)
    pixels, points = crop.pixels, crop.points
    if rng.random() < 0.5:
        pixels = np.ascontiguousarray(pixels[:, ::-1])
        if points is not None:
            points = points[[1, 0, 2, 4, 3]] * [-1, 1] + [size - 1, 0]
    if rng.random() < shares.tinted:
        pixels = tinted(pixels, rng)
    return crop._replace(pixels=degrade(pixels, rng, 0.8), points=points)


def render(gather: Callable[[], Material], shares: Shares, size: int, count: int, seed: int, key: str) -> Crops:
    """``count`` crops of the material that ``gather`` makes and ``key`` names; kept in the cache folder."""
    about = (key, shares, size, count, seed, _source(), segmentation.renderer_digest())
    path = cache_folder() / f"crops-{hashlib.sha256(repr(about).encode()).hexdigest()[:16]}.npz"
    if not path.is_file():
        material = gather()
        crops = Crops(
            np.empty((count, size, size, 3), np.uint8),
            np.zeros((count, 5, 2), np.float32),
            np.empty(count, np.int8),
            np.empty(count, np.int8),
            np.zeros(count, bool),
            np.zeros(count, bool),
        )
        for i in tqdm(range(count), desc="rendering crops", mininterval=5):
            one = sample(material, shares, size, np.random.default_rng([seed, i]))
            crops.images[i], crops.face[i], crops.garment[i] = one.pixels, one.face, one.garment
            if one.points is not None:
                crops.points[i], crops.turned[i], crops.placed[i] = one.points, True, one.trusted
        keep(path, crops._asdict())
    with np.load(path) as stored:
        return Crops(*(stored[name] for name in Crops._fields))


def _source() -> str:
    """A digest of what makes the crops beside the renderer."""
    files = (__file__, not_faces.__file__)
    return hashlib.sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest()


def batch(crops: Crops, rows: np.ndarray) -> Batch:
    """Some crops as the network takes them."""
    images, points = crops.images[rows], crops.points[rows].astype(np.float64)
    return _batch(images, points, *(a[rows].astype(np.float32) for a in crops[2:]))


def varied(crops: Crops, rows: np.ndarray, rng: np.random.Generator, quarter: float = 0.2) -> Batch:
    """Some crops, half of them mirrored, a share ``quarter`` turned by quarters of a circle, all in new light."""
    images, points, size = crops.images[rows], crops.points[rows].astype(np.float64), crops.images.shape[1]
    for i in range(len(rows)):
        if rng.random() < 0.5:
            images[i] = images[i, :, ::-1].copy()
            points[i] = points[i, [1, 0, 2, 4, 3]] * [-1, 1] + [size - 1, 0]
        if rng.random() < quarter:
            for _ in range(int(rng.integers(1, 4))):  # clockwise each
                images[i] = np.rot90(images[i], -1).copy()
                points[i] = np.stack([size - 1 - points[i, :, 1], points[i, :, 0]], 1)
    made = _batch(images, points, *(a[rows].astype(np.float32) for a in crops[2:]))
    return made._replace(x=augment.light(made.x, rng, 0.1))


def _batch(
    images: np.ndarray, points: np.ndarray, face: np.ndarray, garment: np.ndarray, turned: np.ndarray, there: np.ndarray
) -> Batch:
    size = images.shape[1]
    roll, found = np.zeros((len(images), 2), np.float32), np.zeros((len(images), 5, 2), np.float32)
    for i in np.flatnonzero(turned):
        upright = align.similarity(points[i], frame(size))
        roll[i] = np.array([upright[0, 0], -upright[1, 0]]) / align.scale_of(upright)
        found[i] = from_pixels(points[i], size)
    numbers = [torch.from_numpy(a) for a in (face, garment, roll, found, turned, there)]
    return Batch(augment.to_float(images), *numbers)


def tinted(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sepia, cyanotype, night green, stage light: the picture in one hue, or under light of one."""
    x = pixels.astype(np.float32) / 255
    if rng.random() < 0.6:
        gray = (x @ GRAY)[..., None]
        dark, light = rng.uniform(0, 0.35, 3), rng.uniform(0.3, 1, 3)
        x = dark + gray * (light - dark) if rng.random() < 0.7 else np.broadcast_to(gray, x.shape)
    else:
        x = x * rng.uniform(0.15, 1, 3)
    return np.asarray(np.clip(x * 255 + 0.5, 0, 255), np.uint8)


def _shown(pixels: np.ndarray, matrix: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """The crop of a photo; what lies outside it is repeated mostly."""
    border = str(rng.choice(["replicate", "reflect", "constant"], p=[0.75, 0.1, 0.15]))
    value = float(rng.choice([0, 255, 128]))
    return align.warp(pixels, matrix, size, border=border, value=value, filter="linear")


def _face(material: Material, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int]:
    """An aligned face of the pool, perhaps with a new look of its garment: picture, points and garment."""
    pool, row = material.pool, int(rng.integers(len(material.pool)))
    image, _, kind = segmentation.restyled(pool, row, segmentation.AugmentConfig(equipped=0.15), rng)
    return image, material.points[row], int(kind == GARMENT)


def _laid(material: Material, image: np.ndarray, matrix: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """An aligned picture in a wide crop: on something else, or as if the photo ended there."""
    if rng.random() < 0.55:
        return lay(background(material.grounds, size, rng), image, matrix, rng)
    return _shown(image, matrix, size, rng)


def _aligned(material: Material, size: int, rng: np.random.Generator) -> Crop:
    image, points, garment = _face(material, rng)
    if rng.random() < TIGHT:
        image, _ = segmentation.tighten(image, np.zeros(image.shape[:2], np.float32), rng)
    matrix = jitter(points, size, rng)
    return _seen(_laid(material, image, matrix, size, rng), points, matrix, size, garment)


def _piece(material: Material, size: int, rng: np.random.Generator) -> Crop:
    scene = material.photos[int(rng.integers(len(material.photos)))] if material.photos else None
    if scene is not None and scene.sure.any() and rng.random() < 0.5:
        points = scene.points[int(rng.choice(np.flatnonzero(scene.sure)))]
        matrix = astray(points, size, rng)
        return _judged(scene, _shown(scene.pixels, matrix, size, rng), matrix, size)
    image, points, garment = _face(material, rng)
    matrix = astray(points, size, rng)
    return _seen(_laid(material, image, matrix, size, rng), points, matrix, size, garment)


def _photo(material: Material, size: int, rng: np.random.Generator) -> Crop:
    return _of_scene(material.photos, size, rng)


def _worn(material: Material, size: int, rng: np.random.Generator) -> Crop:
    return _of_scene(material.worn, size, rng)


def _of_scene(scenes: Sequence[Scene], size: int, rng: np.random.Generator) -> Crop:
    """A face of a whole photo in about the middle."""
    while not (scene := scenes[int(rng.integers(len(scenes)))]).sure.any():
        pass
    points = scene.points[int(rng.choice(np.flatnonzero(scene.sure)))]
    matrix = jitter(points, size, rng)
    return _judged(scene, _shown(scene.pixels, matrix, size, rng), matrix, size)


def _candidate(material: Material, size: int, rng: np.random.Generator) -> Crop:
    """What the detector took for a face, be it one or not, moved a little."""
    drawn = [material.photos[int(i)] for i in rng.integers(0, len(material.photos), 12)]
    some = [scene for scene in drawn if len(scene.candidates)]
    wrong = [s for s in some if _worst(s, size)[1] == 0]
    if not some:
        return _empty(material, size, rng)
    scene = (wrong or some)[0]
    middle = np.full(2, (size - 1) / 2)
    target = middle + rng.normal(0, 0.03, 2) * size
    moved = placed(middle, target, float(np.exp(rng.normal(0, 0.1))), float(rng.normal(0, 8)))
    matrix = align.compose(moved, _worst(scene, size)[0])
    return _judged(scene, _shown(scene.pixels, matrix, size, rng), matrix, size)


def _worst(scene: Scene, size: int) -> tuple[np.ndarray, int]:
    """The look at the first candidate of a scene that is no face, or else at the first one; and its verdict."""
    aims = [_aim(one, size) for one in scene.candidates]
    for matrix in aims:
        if _nearest(scene, matrix, size)[1] == 0:
            return matrix, 0
    return aims[0], 1


def _aim(points: np.ndarray, size: int) -> np.ndarray:
    return align.similarity(points, frame(size))


def _nearest(scene: Scene, matrix: np.ndarray, size: int) -> tuple[int, int]:
    """Which face of a scene lies nearest to the middle of a crop (-1: it has none), and the verdict on it."""
    if not len(scene.points):
        return -1, 0
    near = [relation(points, matrix, size) for points in scene.points]
    best = int(np.argmin([off + abs(grown) for off, grown in near]))
    return best, verdict(*near[best])


def _judged(scene: Scene, pixels: np.ndarray, matrix: np.ndarray, size: int) -> Crop:
    """A crop of a scene with what is true of the face nearest to its middle."""
    best, answer = _nearest(scene, matrix, size)
    if best < 0:
        return Crop(pixels, None, 0, 0)
    if not scene.sure[best]:
        return Crop(pixels, None, UNKNOWN if answer else 0, UNKNOWN if answer else 0)
    crop = _seen(pixels, scene.points[best], matrix, size, int(scene.garment[best]))
    return crop._replace(trusted=scene.trusted)


def _seen(pixels: np.ndarray, points: np.ndarray, matrix: np.ndarray, size: int, garment: int) -> Crop:
    """A crop that shows one face, with the points where they can be asked for."""
    off, grown = relation(points, matrix, size)
    answer = verdict(off, grown)
    near = off <= REACH[0] and abs(grown) <= REACH[1]
    there = align.transform_points(points, matrix) if near else None
    return Crop(pixels, there, answer, garment if answer == 1 else answer)


def _empty(material: Material, size: int, rng: np.random.Generator) -> Crop:
    """Part of a photo without a face in it, at any angle, some as if the photo ended there."""
    if rng.random() < 0.3 and len(material.things):
        picture = material.things[int(rng.integers(len(material.things)))]
    else:
        picture = background(material.grounds, size * 3 // 2, rng)
    return Crop(_about(material, picture, size, rng), None, 0, 0)


def _drawn(material: Material, size: int, rng: np.random.Generator) -> Crop:
    picture = not_faces.drawn(background(material.grounds, size * 4 // 3, rng), rng)
    return Crop(_about(material, picture, size, rng), None, 0, 0)


def _misused(material: Material, size: int, rng: np.random.Generator) -> Crop:
    image, _, _ = _face(material, rng)
    return Crop(_about(material, not_faces.misused(image, rng), size, rng), None, 0, 0)


def _about(material: Material, picture: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A square picture in the place of an aligned face."""
    n = len(picture)
    angle = rng.uniform(-180, 180) if rng.random() < 0.4 else rng.normal(0, 8)
    scale = size / MARGIN / n * np.exp(rng.normal(0.05, 0.15))
    target = (size - 1) / 2 + rng.normal(0, 0.05, 2) * size
    return _laid(material, picture, placed(np.full(2, (n - 1) / 2), target, scale, angle), size, rng)
