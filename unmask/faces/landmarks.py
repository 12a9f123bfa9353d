"""A second look at what a detector took for faces: is it one, how is it turned, where are its five points.

The look is taken at a crop around the candidate, wider than the aligned face, so that a piece of a face, an elbow or a
print shows what it belongs to. The crop is then aligned by the points found in it and looked at again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import images
from ..engines import networks
from . import align
from .detect import Face

MARGIN = 1.3  # the crop's side in sides of the aligned face
TEMPLATE = "ffhq"
# Looks at each candidate: of faces turned anyhow, one in nine lies askew after two looks, one in twenty after three.
ROUNDS = 3
LOST = 0.02  # a first look this sure that there is no face is the last one
# What the last look is the mean of: turned by degrees, log of growth, shift in pixels of 96; every second one mirrored.
VIEWS = ((0, 0, 0, 0), (0, 0, 0, 0), (6, 0.05, 2, 1), (-6, -0.05, -2, -1))
MIN_FACE_SCORE = 0.5
SAME = 0.3  # faces nearer to each other than this, in sides of the aligned crop, are one
# The box of a face whose detected one no longer fits: left, top, right and bottom in sides of the aligned crop.
_BOX = np.array([0.2, 0.22, 0.8, 0.92])

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Landmarks:
    """What the second look says of one candidate.

    Attributes:
        face: how likely it is the face of a real person, in [0,1].
        kps: eyes, nose and mouth corners in the photo's pixels, float64 [5,2], as on the bare face.
        roll: degrees by which the face is turned clockwise in the photo, in (-180, 180].
        garment: how likely it wears a face mask, in [0,1].
    """

    face: float
    kps: FloatArray
    roll: float
    garment: float


def frame(size: int) -> FloatArray:
    """Where the five points of an aligned face lie in a wide crop of ``size`` pixels, float64 [5,2]."""
    inner = size / MARGIN
    return align.template(TEMPLATE, 512) * (inner / 512) + (size - inner) / 2


def to_pixels(points: NDArray[np.floating], size: int) -> FloatArray:
    """The network's points (0 the middle, -1 and 1 the edges) in pixels of the crop."""
    return (np.asarray(points, np.float64) * size + size - 1) / 2


def from_pixels(points: NDArray[np.floating], size: int) -> FloatArray:
    """The inverse of :func:`to_pixels`."""
    return (2 * np.asarray(points, np.float64) + 1 - size) / size


def degrees(matrix: FloatArray) -> float:
    """By how many degrees a face that ``matrix`` [2,3] takes to its template is turned clockwise, in (-180, 180]."""
    return float(np.degrees(np.arctan2(-matrix[1, 0], matrix[0, 0])))


def shift(found: FloatArray, true: FloatArray, size: int = 128) -> float:
    """How far a crop of ``size`` pixels aligned by ``found`` lies from that aligned by ``true``: mean over its pixels.

    Both are five points [5,2] of one photo.
    """
    target = align.template(TEMPLATE, size)
    moved = align.compose(align.similarity(found, target), align.invert(align.similarity(true, target)))
    ys, xs = np.mgrid[:size, :size].astype(np.float64)
    spots = np.stack([xs, ys], -1).reshape(-1, 2)
    return float(np.linalg.norm(align.transform_points(spots, moved) - spots, axis=1).mean())


class Landmarker:
    """The network of a checkpoint, ready for candidates in photos of any size."""

    def __init__(
        self,
        name_or_path: str | Path = "landmarker",
        device: str = "cpu",
        engine: str = "auto",
        folder: str | Path | None = None,
    ) -> None:
        """Load one by its name in the table of weights or by path; raises UnmaskError where it is none.

        ``device`` and ``engine`` are those of :func:`unmask.engines.choose`.
        """
        self.network = networks.load(name_or_path, "landmarker", engine, device, folder)
        self.size, self.sha256 = self.network.size, self.network.sha256

    def verify(
        self, pixels: NDArray[np.uint8], faces: Sequence[Face], min_score: float = MIN_FACE_SCORE
    ) -> list[tuple[Face, Landmarks]]:
        """Those of a detector's faces that the second look takes for faces, largest first, with the points of both.

        Candidates that turn out to be the same face are one: the likeliest. Where the detector saw a face lie as the
        look does, its points are the mean of what the two found, which under face masks is nearer than either.

        Args:
            pixels: the photo, RGB uint8 [H,W,3].
            faces: what a detector found in it.
            min_score: what :attr:`Look.face` has to be at least.
        """
        results = self.predict(pixels, [face.kps for face in faces])
        likely = sorted(zip(faces, results, strict=True), key=lambda pair: -pair[1].face)
        kept: list[tuple[Face, Landmarks]] = []
        for face, result in likely:
            if result.face >= min_score and not any(same(result.kps, other.kps) for _, other in kept):
                kps = (face.kps + result.kps) / 2 if _agree(face.kps, result.kps) else result.kps
                kept.append((Face(_box(face.bbox, kps), kps, face.det_score), result))
        return sorted(kept, key=lambda pair: -pair[0].area)

    def predict(self, pixels: NDArray[np.uint8], kps: Sequence[FloatArray], rounds: int = ROUNDS) -> list[Landmarks]:
        """What candidates are.

        Args:
            pixels: the photo, RGB uint8 [H,W,3].
            kps: the candidates' five points [N,5,2] as a detector gave them; they fix where to look first.
            rounds: how often to look, each time at a crop aligned by the points found before; the last look is the
                mean over several views (:data:`VIEWS`).

        Returns:
            one :class:`Look` each.
        """
        points = [np.asarray(one, np.float64) for one in kps]
        results: list[Landmarks | None] = [None] * len(points)
        place = frame(self.size)
        for left in reversed(range(rounds)):
            views = _views(self.size) if left == 0 else _views(self.size)[:1]
            for i, result in enumerate(results):
                if result is None or result.face >= LOST:
                    results[i] = self._seen(pixels, _similarity(points[i], place), views)
                    points[i] = results[i].kps  # type: ignore[union-attr]
        return [result for result in results if result is not None]

    def _seen(self, pixels: NDArray[np.uint8], aim: FloatArray, views: Sequence[FloatArray]) -> Landmarks:
        """One candidate, which ``aim`` [2,3] takes to its place in the crop: the mean over some views."""
        matrices = [align.compose(view, aim) for view in views]
        crops = [align.warp(pixels, m, self.size, border="replicate", filter="linear") for m in matrices]
        flat = [crop[:, ::-1] if k % 2 else crop for k, crop in enumerate(crops)]
        faces, _, points, garments = self.network(images.to_float(np.stack(flat)))
        places = to_pixels(points, self.size)
        places[1::2] = places[1::2, [1, 0, 2, 4, 3]] * [-1, 1] + [self.size - 1, 0]
        found = [align.transform_points(p, align.invert(m)) for p, m in zip(places, matrices, strict=True)]
        kps = np.mean(found, axis=0)
        face, garment = (_mean(scores) for scores in (faces, garments))
        return Landmarks(face, kps, degrees(_similarity(kps, frame(self.size))), garment)


def _mean(scores: NDArray[np.float32]) -> float:
    """The mean of scores in [0,1] by what they stand for: of their log odds."""
    sure = scores.astype(np.float64).clip(1e-9, 1 - 1e-9)
    return float(1 / (1 + np.exp(-np.log(sure / (1 - sure)).mean())))


def _views(size: int) -> list[FloatArray]:
    """Small changes [2,3] of a crop; every second one is mirrored beside."""
    middle, views = (size - 1) / 2, []
    for angle, grow, x, y in VIEWS:
        c, s = np.exp(grow) * np.cos(np.radians(angle)), np.exp(grow) * np.sin(np.radians(angle))
        linear = np.array([[c, -s], [s, c]])
        shift = middle + np.array([x, y]) * size / 96 - linear @ np.full(2, middle)
        views.append(np.concatenate([linear, shift[:, None]], axis=1))
    return views


def same(a: FloatArray, b: FloatArray) -> bool:
    """Whether two sets of five points are of one face: their aligned crops lie over each other."""
    (middle_a, side_a), (middle_b, side_b) = _whole(a), _whole(b)
    return float(np.hypot(*(middle_a - middle_b))) < SAME * max(side_a, side_b)


def _agree(a: FloatArray, b: FloatArray) -> bool:
    """Whether two sets of five points show a face in about the same place, turned alike and of a size."""
    moved = align.compose(_similarity(a, frame(128)), align.invert(_similarity(b, frame(128))))
    far = float(np.abs(align.transform_points(frame(128), moved) - frame(128)).max())
    return far < SAME / 2 * 128 / MARGIN


def _whole(points: FloatArray) -> tuple[FloatArray, float]:
    """The middle and the side of the aligned crop of a face, in the photo's pixels."""
    back = align.invert(_similarity(points, align.template(TEMPLATE, 128)))
    return align.transform_points(np.array([63.5, 63.5]), back), 128 * align.scale_of(back)


def _box(bbox: FloatArray, points: FloatArray) -> FloatArray:
    """The detector's box where it fits the points, else the one that the points tell."""
    middle, side = _whole(points)
    center, extent = (bbox[:2] + bbox[2:4]) / 2, float(np.sqrt(max((bbox[2:4] - bbox[:2]).prod(), 1e-6)))
    if float(np.abs(center - middle).max()) < SAME * side and 0.35 * side < extent < side:
        return np.asarray(bbox[:4], np.float64)
    back = align.invert(align.similarity(points, align.template(TEMPLATE, 1)))
    x1, y1, x2, y2 = _BOX
    corners = align.transform_points(np.array([(x1, y1), (x2, y1), (x1, y2), (x2, y2)]), back)
    return np.concatenate([corners.min(0), corners.max(0)])


def _similarity(points: FloatArray, place: FloatArray) -> FloatArray:
    """The alignment by points; where they lie on top of each other, one that looks at a spot of that place."""
    try:
        return align.similarity(points, place)
    except ValueError:
        return np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
