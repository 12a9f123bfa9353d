"""Wide crops for the landmarker: faces of all kinds at all angles with their points, and what is no face.

Faces come aligned (masked versions of the segmenter's pool, laid on scenes) or in their whole photos, with face masks
drawn on; the points are always those of the bare face. What is around candidates of a detector, away from all faces,
in the middle of nothing, drawn or printed is no face, and neither is a piece of one or a frame far too wide or narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..faces import align
from ..faces.landmarks import MARGIN, frame
from . import not_faces, segmentation
from .backgrounds import background, lay
from .boxes import placed
from .framing import REACH, UNKNOWN, astray, jitter, relation, verdict
from .landmark_material import Material, Scene, Shares
from .photometric import GRAY, degrade
from .segmentation import GARMENT

TIGHT = 0.35  # share of aligned faces as cut from a photo that ends close to the face


class Crop(NamedTuple):
    """``pixels`` uint8 [S,S,3]; ``points`` [5,2] in them or None; ``face`` and ``garment`` 0, 1 or UNKNOWN;
    ``trusted``: the points are those of the bare face, not just good enough to tell how the face is turned.
    """

    pixels: np.ndarray
    points: np.ndarray | None
    face: int
    garment: int
    trusted: bool = True


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
    image, _, kind = segmentation.restyled(pool, row, segmentation.AugmentConfig(accessories=0.15), rng)
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
    matrix = jitter(points, size, rng, material.close)
    return _seen(_laid(material, image, matrix, size, rng), points, matrix, size, garment)


def _piece(material: Material, size: int, rng: np.random.Generator) -> Crop:
    scene = material.photos[int(rng.integers(len(material.photos)))] if material.photos else None
    if scene is not None and scene.sure.any() and rng.random() < 0.5:
        points = scene.points[int(rng.choice(np.flatnonzero(scene.sure)))]
        matrix = astray(points, size, rng)
        return _labeled(scene, _shown(scene.pixels, matrix, size, rng), matrix, size)
    image, points, garment = _face(material, rng)
    matrix = astray(points, size, rng)
    return _seen(_laid(material, image, matrix, size, rng), points, matrix, size, garment)


def _photo(material: Material, size: int, rng: np.random.Generator) -> Crop:
    return _of_scene(material.photos, size, rng, material.close)


def _worn(material: Material, size: int, rng: np.random.Generator) -> Crop:
    return _of_scene(material.worn, size, rng, material.close)


def _of_scene(scenes: Sequence[Scene], size: int, rng: np.random.Generator, close: float) -> Crop:
    """A face of a whole photo in about the middle."""
    while not (scene := scenes[int(rng.integers(len(scenes)))]).sure.any():
        pass
    points = scene.points[int(rng.choice(np.flatnonzero(scene.sure)))]
    matrix = jitter(points, size, rng, close)
    return _labeled(scene, _shown(scene.pixels, matrix, size, rng), matrix, size)


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
    return _labeled(scene, _shown(scene.pixels, matrix, size, rng), matrix, size)


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


def _labeled(scene: Scene, pixels: np.ndarray, matrix: np.ndarray, size: int) -> Crop:
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
