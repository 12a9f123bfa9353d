"""What the landmarker's crops are cut from: aligned faces, whole photos with face masks drawn on, and things."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from .. import files, progress
from ..config import Share, Weight
from ..faces.detect import Detector
from ..simulation import simulate
from . import not_faces, segmentation
from .backgrounds import background
from .face_sets import keep
from .photos import LabelledPhoto

LEAST_WORN = 40.0  # pixels, shorter side of the box: smaller ones stand behind the people in face masks


@dataclass(frozen=True)
class Shares:
    """How often each kind of crop is drawn (in proportion).

    Beside that, shares: of faces in whole photos that are ``masked`` and ``occluded``, of crops that are ``tinted``,
    and of faces that are ``close`` to where an earlier look would have put them.
    """

    aligned: Weight = 0.50
    photos: Weight = 0.10
    worn: Weight = 0.04
    candidates: Weight = 0.06
    pieces: Weight = 0.10
    empty: Weight = 0.10
    drawn: Weight = 0.05
    misused: Weight = 0.05
    masked: Share = 0.6
    occluded: Share = 0.1
    tinted: Share = 0.12
    close: Share = 0.45


@dataclass(frozen=True)
class Scene:
    """One photo with what is known of it.

    Its faces' ``points`` [K,5,2] (``sure`` [K]), who wears a face mask (``garment`` [K], UNKNOWN if not known), whether
    the points can be trusted, and what a detector took for faces, points [M,5,2].
    """

    pixels: np.ndarray
    points: np.ndarray
    sure: np.ndarray
    garment: np.ndarray
    trusted: bool = True
    candidates: np.ndarray = field(default_factory=lambda: np.zeros((0, 5, 2)))


@dataclass(frozen=True)
class Material:
    """All that crops are made of.

    The pool with its points [N,5,2], whole photos, those of people in real face masks, photos to take backgrounds from,
    things uint8 [M,S,S,3], and the share of faces ``close`` to their place.
    """

    pool: segmentation.Pool
    points: np.ndarray
    photos: Sequence[Scene]
    worn: Sequence[Scene]
    grounds: Sequence[LabelledPhoto]
    things: np.ndarray
    close: float = 0.45


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
    path = files.cache_folder() / f"candidates-{digest.hexdigest()[:16]}.npz"
    if not path.is_file():
        found = {}
        for i, scene in enumerate(progress.bar(scenes, what="scenes searched", unit="scene")):
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
