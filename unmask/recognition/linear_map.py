"""The simplest rival of a masked-face recognizer: another's embeddings, moved by one linear map where masked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import Recognizer, array_of, like, unit

__all__ = ["LinearMap", "MappedRecognizer", "fit"]

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class LinearMap:
    """A linear map from masked to clean embeddings, and when it is used.

    ``weight`` [D+1,D] takes a masked embedding (with a one appended) to the clean one; ``gate`` [D+1] times it is
    positive where the embedding looks like that of a masked face.
    """

    weight: Matrix
    gate: Matrix


def fit(masked: NDArray[np.floating], clean: NDArray[np.floating], ridge: float = 1e-2) -> LinearMap:
    """Least squares with a penalty ``ridge * N * |w|^2`` (the constant is free), from pairs of embeddings [N,D].

    The map goes from masked to clean; the gate goes from both to +1 (masked) and -1 (clean).
    """
    both = np.concatenate([masked, clean])
    sides = np.repeat([1.0, -1.0], len(masked))
    return LinearMap(_solve(masked, clean, ridge), _solve(both, sides[:, None], ridge)[:, 0])


def _solve(rows: NDArray[np.floating], wanted: NDArray[np.floating], ridge: float) -> Matrix:
    x = np.asarray(rows, np.float64)
    middle, target = x.mean(0), np.asarray(wanted, np.float64)
    offset = target.mean(0)
    centerd = x - middle
    # the penalty is relative to the mean variance of an entry
    penalty = ridge * len(x) * max(float(centerd.var()), 1e-12) * np.eye(x.shape[1])
    weight = np.linalg.solve(centerd.T @ centerd + penalty, centerd.T @ (target - offset))
    return np.concatenate([weight, (offset - middle @ weight)[None]])  # the constant last


class MappedRecognizer:
    """``base`` with its embeddings moved by a :class:`LinearMap` where its gate says that the face is masked."""

    differentiable = False

    def __init__(self, base: Recognizer, mapping: LinearMap, name: str = "linear-map") -> None:
        self.base, self.mapping, self.name = base, mapping, name
        self.template, self.size = base.template, base.size
        digest = hashlib.sha256(base.fingerprint.encode())
        for part in (mapping.weight, mapping.gate):
            digest.update(np.ascontiguousarray(part).tobytes())
        self.fingerprint = digest.hexdigest()

    def embed(self, faces: Any) -> Any:
        """Embed ``faces`` [N,3,H,W] RGB in [-1,1] as [N,D] of unit length, an array or a tensor as ``faces`` are."""
        found = self.base.embed(array_of(faces)).astype(np.float64)
        ones = np.concatenate([found, np.ones((len(found), 1))], 1)
        masked = (ones @ self.mapping.gate).reshape(-1, 1) > 0
        return like(faces, unit(np.where(masked, ones @ self.mapping.weight, found)))
