"""Faces with simulated face masks, rendered once and kept in the cache folder, and batches drawn from them."""

from __future__ import annotations

import hashlib
import itertools
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .. import files, progress
from ..simulation import simulate
from . import augment, face_sets, garment_variation, pose
from .segmentation import renderer_digest

CHUNK = 64
OCCLUDERS = 0.08  # of the faces that networks learn to fill, those with another thing than a face mask
GROW = 0.3  # of the regions, those that are grown by one pixel, and as many by two


@dataclass(frozen=True)
class Part:
    """One source: ``images`` uint8 [V,N,S,S,3] masked faces, ``regions`` uint8 [V,N,S,S] (255: hidden)."""

    images: np.ndarray
    regions: np.ndarray


class MaskedFaces:
    """Masked versions of a face set, V variants of each face, read from disk face by face."""

    def __init__(self, parts: list[Part]) -> None:
        self.parts = parts
        self.variants = len(parts[0].images)
        self.starts = np.cumsum([0, *(p.images.shape[1] for p in parts)])

    def take(self, variants: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Those ``variants`` [n] of the faces ``indices`` [n]: images [n,S,S,3] and regions [n,S,S]."""
        owner = np.searchsorted(self.starts, indices, side="right") - 1
        pairs = [(self.parts[o], k, r - self.starts[o]) for o, k, r in zip(owner, variants, indices, strict=True)]
        return np.stack([p.images[k, i] for p, k, i in pairs]), np.stack([p.regions[k, i] for p, k, i in pairs])


def masked_faces(
    known: face_sets.FaceSet,
    variants: int,
    seed: int = 0,
    occluders: float = 0.1,
    workers: int = 1,
    cache: str | Path | None = None,
) -> MaskedFaces:
    """Render ``variants`` masked versions of every face (a share ``occluders`` of them with other things than masks).

    Each source is kept in a cache of its own, keyed by the faces, the arguments and the source of the renderer, so an
    improved renderer draws anew.
    """
    changes = np.flatnonzero(known.source[1:] != known.source[:-1]) + 1
    bounds = [0, *changes.tolist(), len(known)]
    return MaskedFaces(
        [
            _part(known, slice(start, stop), variants, seed, occluders, workers, files.cache_folder(cache))
            for start, stop in itertools.pairwise(bounds)
        ]
    )


def enough(known: face_sets.FaceSet, draws: int) -> face_sets.FaceSet:
    """As many faces as ``draws`` can show, spread over all; a short run has no face masks rendered for the others."""
    if draws >= len(known):
        return known
    return known.subset(np.linspace(0, len(known) - 1, draws).round().astype(int))


def _part(
    known: face_sets.FaceSet, span: slice, variants: int, seed: int, occluders: float, workers: int, cache: Path
) -> Part:
    faces_, points = known.images[span], known.points[span]
    stem = cache / f"masked-{_key(known, span, variants, seed, occluders)}"
    images, regions = stem.with_suffix(".images.npy"), stem.with_suffix(".regions.npy")
    if not (images.is_file() and regions.is_file()):
        with files.turn(stem.with_suffix(".lock")):  # other processes of the same training want the same
            if not (images.is_file() and regions.is_file()):
                drawn, hidden = _rendered(faces_, points, known.source[span.start], variants, seed, occluders, workers)
                for path, array in ((images, drawn), (regions, hidden)):
                    face_sets.keep(path, array)
    return Part(np.load(images, mmap_mode="r"), np.load(regions, mmap_mode="r"))


def _rendered(
    faces_: np.ndarray, points: np.ndarray, source: str, variants: int, seed: int, occluders: float, workers: int
) -> tuple[np.ndarray, np.ndarray]:
    """All versions of the faces of one source: images [V,N,S,S,3] and regions [V,N,S,S]."""
    shape = (variants, *faces_.shape)
    drawn, hidden = np.empty(shape, np.uint8), np.empty(shape[:-1], np.uint8)
    progress.foretell(
        f"face masks for {source}",
        variants * len(faces_),
        lambda i: _render(faces_[i : i + 1], points[i : i + 1], seed, 0, i, occluders),
        workers,
    )
    jobs = [(v, at) for v in range(variants) for at in range(0, len(faces_), CHUNK)]
    with ProcessPoolExecutor(workers) as pool:
        work = [
            pool.submit(_render, faces_[at : at + CHUNK], points[at : at + CHUNK], seed, v, at, occluders)
            for v, at in jobs
        ]
        with progress.bar(total=variants * len(faces_), what="face masks rendered", unit="face") as bar:
            for (v, at), done in zip(jobs, work, strict=True):
                drawn[v, at : at + CHUNK], hidden[v, at : at + CHUNK] = done.result()
                bar.update(len(done.result()[0]))
    return drawn, hidden


def _render(
    images: np.ndarray, points: np.ndarray, seed: int, variant: int, at: int, occluders: float
) -> tuple[np.ndarray, np.ndarray]:
    drawn, hidden = np.empty_like(images), np.empty(images.shape[:-1], np.uint8)
    for i, (image, kps) in enumerate(zip(images, points, strict=True)):
        rng = np.random.default_rng([seed, variant, at + i])
        put = simulate.occlude if rng.random() < occluders else simulate.simulate
        found = put(image, kps.astype(np.float64), rng)
        drawn[i], hidden[i] = found.image, np.round(found.region * 255)
    return drawn, hidden


def _key(known: face_sets.FaceSet, span: slice, variants: int, seed: int, occluders: float) -> str:
    files = known.names[span]
    digest = hashlib.sha256(f"{len(files)}|{known.images.shape[1:]}|{variants}|{seed}|{occluders}".encode())
    digest.update("\n".join(f"{s}/{n}" for s, n in zip(known.source[span], files, strict=True)).encode())
    digest.update(known.images[span].tobytes())
    digest.update(known.points[span].tobytes())
    digest.update(renderer_digest().encode())
    return digest.hexdigest()[:16]


class Batch(NamedTuple):
    """x, y [N,3,S,S] in [-1,1], region [N,1,S,S] in [0,1]."""

    x: Tensor
    y: Tensor
    region: Tensor


class Sampler:
    """Draws training batches from faces and their masked versions.

    Of the faces, a share ``aside`` is drawn among those that are turned to a side, the more so the further
    (:func:`.pose.turned`); the rest evenly.
    """

    def __init__(self, faces: face_sets.FaceSet, masked_faces: MaskedFaces, aside: float = 0.0) -> None:
        self.faces, self.masked_faces, self.aside = faces, masked_faces, aside
        self.chances = pose.turned(faces.points) if aside else np.zeros(0)

    def indices(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """``n`` faces [n] to train on."""
        indices = rng.integers(0, len(self.faces), n)
        return pose.prefer(indices, self.aside, self.chances, rng) if self.aside else indices

    def draw(
        self,
        rng: np.random.Generator,
        n: int,
        grow: float,
        jitter: float = 0.0,
        indices: np.ndarray | None = None,
        light: float = 0.0,
        accessories: float = 0.0,
    ) -> Batch:
        """``n`` faces (those of ``indices``, if given), mirrored at random.

        A share ``grow`` of the regions is wider by one pixel, and as many by two. A share ``jitter`` of the faces is
        shifted, turned and zoomed, by more than a detector's points differ from masked to bare faces (0.01 of the
        width, 3 degrees, 5 % on LFW). A share ``light`` is made darker, brighter or of another cast, with and without
        face mask alike. A share ``accessories`` of the face masks gets straps, valves or cloth down the neck
        (:func:`.garment_variation.add_accessories`).
        """
        indices = self.indices(rng, n) if indices is None else indices
        variants = rng.integers(0, self.masked_faces.variants, n)
        flip = rng.random(n) < 0.5
        y = augment.to_float(augment.mirror(self.faces.images[indices], flip))
        drawn, hidden = self.masked_faces.take(variants, indices)
        for i in np.flatnonzero(rng.random(n) < accessories) if accessories else ():
            drawn[i], cover = garment_variation.add_accessories(drawn[i], hidden[i].astype(np.float32) / 255, rng)
            hidden[i] = np.round(cover * 255)
        x = augment.to_float(augment.mirror(drawn, flip))
        region = torch.from_numpy(augment.mirror(hidden, flip))[:, None].float() / 255
        for radius in (1, 2):
            grown = rng.random(n) < grow
            region[grown] = functional.max_pool2d(region[grown], 2 * radius + 1, 1, radius)
        moved = np.flatnonzero(rng.random(n) < jitter)
        if len(moved):
            together = augment.affine(torch.cat([x, y, region], 1)[moved], rng, 0.02, 3.5, 0.05, mode="bicubic")
            x[moved], y[moved], region[moved] = together.clamp(-1, 1).split([3, 3, 1], 1)
            region.clamp_(min=0)
        lit = np.flatnonzero(rng.random(n) < light) if light else np.zeros(0, int)
        if len(lit):
            x[lit], y[lit] = augment.light(torch.cat([x, y], 3)[lit], rng, 0.25).split(x.shape[3], 3)
        return Batch(x, y, region)
