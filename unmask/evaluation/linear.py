"""A Gaussian model of aligned faces: principal components, and hidden pixels that follow from the visible ones.

Faces are ``x = mean + U z + e`` with ``z ~ N(0, diag(variances))`` and white ``e`` (Tipping and Bishop,
1999). Given the visible pixels v, the expected face is the linear regression of all pixels on them, ``z =
(noise / variances + U_v' U_v)^-1 U_v' (x_v - mean_v)``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from .. import files
from ..data import face_sets
from ..errors import UnmaskError

__all__ = ["SOURCES", "LinearFaces", "fit", "principal"]

SOURCES = ("faces128/celebw", "faces256/meb", "faces256/aaf", "faces128/utk")
SIDE = 64
COMPONENTS = 300
FACES = 8000  # at most so many are used
# What the components leave is not white (neighboring pixels err together), so it counts this much more.
NOISE_FACTOR = 32.0
_VERSION = 2

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class LinearFaces:
    """A fitted model; pixels are RGB in [-1,1], flattened from [side, side, 3]."""

    mean: Floats  # [D]
    basis: Floats  # [D,K], orthonormal columns
    variances: Floats  # [K]
    noise: float
    side: int
    fingerprint: str

    def fill(self, face: Floats, hidden: NDArray[np.bool_]) -> Floats:
        """The expected face [side,side,3] given the pixels of ``face`` that are not ``hidden`` [side,side]."""
        shape = (self.side, self.side, 3)
        gone = np.repeat(hidden.reshape(-1), 3)
        offset = np.where(gone, 0, face.reshape(-1) - self.mean)
        unseen = self.basis[gone]
        precision = np.diag(self.noise / self.variances + 1) - unseen.T @ unseen  # U'U = 1
        codes = np.linalg.solve(precision, self.basis.T @ offset)
        return (self.mean + self.basis @ codes).astype(np.float32).reshape(shape)


def principal(rows: Floats, components: int, seed: int = 0) -> tuple[Floats, Floats]:
    """The leading principal components of centerd rows [N,D]: basis [D,K] and variances [K].

    By a randomized range finder with two power iterations (Halko et al., 2011).
    """
    wide = min(components + 16, *rows.shape)
    drawn = np.random.default_rng(seed).standard_normal((rows.shape[1], wide), dtype=np.float32)
    span = np.linalg.qr(rows @ drawn)[0]
    for _ in range(2):
        span = np.linalg.qr(rows.T @ span)[0]
        span = np.linalg.qr(rows @ span)[0]
    _, sizes, basis = np.linalg.svd(span.T @ rows, full_matrices=False)
    kept = min(components, len(sizes))
    variances = np.square(sizes[:kept]) / max(1, len(rows) - 1)
    return np.ascontiguousarray(basis[:kept].T), variances.astype(np.float32)


def fit(
    root: str | Path,
    sources: Sequence[str] = SOURCES,
    components: int = COMPONENTS,
    cache: str | Path | None = None,
) -> LinearFaces:
    """Fit on the training split of ``sources`` below ``root`` (those that exist), or read the fit of the same data."""
    names = there(Path(root), sources)
    packs = [face_sets.pack(Path(root), name, 128, "ffhq", cache)["images"] for name in names]
    digest = hashlib.sha256(f"{_VERSION}|{SIDE}|{components}|{FACES}|{NOISE_FACTOR}".encode())
    for name, images in zip(names, packs, strict=True):
        digest.update(f"|{name}|{len(images)}|".encode())
        for start in range(0, len(images), 1024):
            digest.update(images[start : start + 1024].tobytes())
    fingerprint = digest.hexdigest()
    path = files.cache_folder(cache) / f"linear-{fingerprint[:16]}.npz"
    if not path.is_file():
        face_sets.keep(path, _fit(packs, components))
    with np.load(path) as stored:
        return LinearFaces(
            stored["mean"],
            np.ascontiguousarray(stored["basis"]),
            stored["variances"],
            float(stored["noise"]),
            SIDE,
            fingerprint,
        )


def there(root: Path, sources: Sequence[str]) -> list[str]:
    """Those of ``sources`` that are below ``root``; UnmaskError if none is."""
    found = [name for name in sources if (root / f"{name}.zip").is_file() or (root / name).is_dir()]
    if not found:
        raise UnmaskError(f"{root}: none of {', '.join(sources)} is here; give the folder of face data")
    return found


def _fit(packs: list[np.ndarray], components: int) -> dict[str, np.ndarray]:
    total = sum(len(images) for images in packs)
    stride = max(1, total // FACES)
    rows = []
    for images in packs:
        training = [i for i in range(len(images)) if i % face_sets.HELD_OUT_EVERY]
        for i in training[::stride]:
            rows.append(cv2.resize(images[i], (SIDE, SIDE), interpolation=cv2.INTER_AREA).reshape(-1))
    table = np.stack(rows).astype(np.float32) / 127.5 - 1
    mean = table.mean(0)
    table -= mean
    basis, variances = principal(table, components)
    left = float(np.square(table).sum() / max(1, len(table) - 1)) - float(variances.sum())
    noise = max(NOISE_FACTOR * left / max(1, table.shape[1] - len(variances)), 1e-6)
    return {"mean": mean, "basis": basis, "variances": variances, "noise": np.array(noise)}
