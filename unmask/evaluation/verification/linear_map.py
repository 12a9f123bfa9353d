"""Fit the linear map of :mod:`unmask.recognition.linear_map` on simulated pairs of the training split, once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ... import files, images, recognition
from ...data import face_sets
from ...errors import UsageError
from ...faces import align
from ...recognition.linear_map import LinearMap, MappedRecognizer, fit
from ...simulation.simulate import simulate
from ..linear import SOURCES, there
from ..store import source_hash

__all__ = ["NAME", "load"]

NAME = "linear-map"
PAIRS = 6000  # at most so many faces
RIDGE = 1e-2
SIDE = 128  # of the ffhq crops that get the face masks
_BATCH = 64

Vectors = NDArray[np.float32]


def load(
    name: str,
    root: str | Path | None,
    sources: Sequence[str] = SOURCES,
    pairs: int = PAIRS,
    cache: str | Path | None = None,
) -> MappedRecognizer:
    """``linear-map`` or ``linear-map:BASE``, BASE being a recognizer's name or path (the embedded one by default).

    Args:
        name: as above.
        root: the folder of face data; of its ``sources``, those that exist are used.
        sources: faces to draw pairs from (training split).
        pairs: at most so many, spread over the sources.
        cache: where the fit is kept.

    Raises:
        UsageError: no folder of face data was given.
    """
    _, _, wanted = name.partition(":")
    base = recognition.load(wanted or recognition.EMBEDDED)
    if root is None:
        raise UsageError(f"--recognizer {name}: the map is fitted on face data; give --data DIR or set UNMASK_DATA")
    packs = [face_sets.pack(Path(root), source, SIDE, "ffhq", cache) for source in there(Path(root), sources)]
    digest = hashlib.sha256(f"{base.fingerprint}|{pairs}|{RIDGE}|{SIDE}".encode())
    package = Path(__file__).resolve().parents[2]
    digest.update(source_hash([*(package / "simulation").glob("*.py"), Path(__file__),
                               package / "recognition" / "linear_map.py"]).encode())  # fmt: skip
    for pack in packs:
        sample = pack["images"][:: max(1, len(pack["images"]) // 16)]
        digest.update(f"|{len(pack['images'])}|".encode() + sample.tobytes())
    path = files.cache_folder(cache) / f"linear-map-{digest.hexdigest()[:16]}.npz"
    if not path.is_file():
        fitted = fit(*_pairs(packs, base, pairs), RIDGE)
        face_sets.keep(path, {"weight": fitted.weight, "gate": fitted.gate})
    with np.load(path) as stored:
        return MappedRecognizer(base, LinearMap(stored["weight"], stored["gate"]), f"{NAME}:{base.name}")


def _pairs(packs: list[dict[str, NDArray]], base: recognition.Recognizer, most: int) -> tuple[Vectors, Vectors]:
    """Embeddings of training faces under simulated face masks, and of the same faces bare, [N,D] each."""
    total = sum(len(pack["images"]) for pack in packs)
    every = max(1, round(total * (1 - 1 / face_sets.HELD_OUT_EVERY) / most))
    matrix = align.between("ffhq", SIDE, base.template, base.size)
    masked: list[Vectors] = []
    clean: list[Vectors] = []
    for number, pack in enumerate(packs):
        rows = [i for i in range(len(pack["images"])) if i % face_sets.HELD_OUT_EVERY][::every]
        for start in range(0, len(rows), _BATCH):
            chosen = rows[start : start + _BATCH]
            bare = [np.ascontiguousarray(pack["images"][i]) for i in chosen]
            worn = [
                simulate(face, pack["points"][i].astype(np.float64), np.random.default_rng([number, i])).image
                for face, i in zip(bare, chosen, strict=True)
            ]
            for faces, into in ((worn, masked), (bare, clean)):
                crops = [align.warp(face, matrix, base.size, "replicate", filter="linear") for face in faces]
                into.append(base.embed(images.to_float(crops)))
    return np.concatenate(masked), np.concatenate(clean)
