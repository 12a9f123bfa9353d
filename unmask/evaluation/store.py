"""Vectors kept on disk by content, so that a second run of an evaluation takes seconds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import files
from ..data import face_sets

__all__ = ["Store", "content", "source_hash"]

Vector = NDArray[np.float32]


def content(*parts: object) -> str:
    """A hash of byte strings and plain values, in order."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part if isinstance(part, bytes) else repr(part).encode()
        digest.update(len(raw).to_bytes(8, "little") + raw)
    return digest.hexdigest()


def source_hash(files: Iterable[Path]) -> str:
    """A hash of source files: what was computed by other code is computed again."""
    return content(*(part for file in sorted(files) for part in (file.name, file.read_bytes())))


class Store:
    """Vectors and notes by key, in one file for everything that was made in the same way.

    ``way`` says how (hashes of weights, seed, settings); another way has another file.
    """

    def __init__(self, way: str, cache: str | Path | None = None):
        self.path = files.cache_folder(cache) / f"evaluation-{content(way)[:24]}.npz"
        self._held: dict[str, tuple[Vector | None, Any]] = {}
        self._fresh = False
        if self.path.is_file():
            try:
                self._read()
            except (OSError, ValueError, KeyError, EOFError):
                self._held = {}  # a damaged cache is an empty one

    def __contains__(self, key: str) -> bool:
        return key in self._held

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: str) -> tuple[Vector | None, Any]:
        """The vector (None where there was no face) and the note under a key."""
        return self._held[key]

    def put(self, key: str, vector: Vector | None, note: Any = None) -> None:
        """Keep a vector and a note that JSON can hold."""
        self._held[key] = (None if vector is None else np.asarray(vector, np.float32), note)
        self._fresh = True

    def save(self) -> None:
        """Write what is new, in one step."""
        if not self._fresh:
            return
        keys = list(self._held)
        wide = max((len(v) for v, _ in self._held.values() if v is not None), default=0)
        vectors = np.full((len(keys), wide), np.nan, np.float32)
        for row, key in enumerate(keys):
            vector = self._held[key][0]
            if vector is not None:
                vectors[row] = vector
        notes = json.dumps([note for _, note in self._held.values()])
        face_sets.keep(self.path, {"keys": np.array(keys), "vectors": vectors, "notes": np.array(notes)})
        self._fresh = False

    def _read(self) -> None:
        with np.load(self.path) as stored:
            vectors, notes = stored["vectors"], json.loads(str(stored["notes"]))
            for key, vector, note in zip(stored["keys"], vectors, notes, strict=True):
                there = len(vector) > 0 and bool(np.isfinite(vector).all())
                self._held[str(key)] = (vector if there else None, note)
