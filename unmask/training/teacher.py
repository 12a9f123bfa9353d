"""Embeddings of a teacher recogniser for a whole face set, computed once and kept in the cache folder."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from .. import data
from ..recognition import Recognizer

BATCH = 64


def embeddings(faces: data.FaceSet, teacher: Recognizer, cache: str | Path | None = None) -> np.ndarray:
    """Unit-length teacher embeddings float32 [N,D] of faces that are aligned to the teacher's template and size."""
    digest = hashlib.sha256(teacher.fingerprint.encode())
    digest.update("\n".join(f"{s}/{n}" for s, n in zip(faces.source, faces.names, strict=True)).encode())
    digest.update(faces.images[:: max(1, len(faces) // 64)].tobytes())
    path = data.cache_folder(cache) / f"teacher-{digest.hexdigest()[:16]}.npy"
    if path.is_file():
        return np.asarray(np.load(path), np.float32)
    parts = []
    for start in tqdm(range(0, len(faces), BATCH), desc="teacher", mininterval=5):
        batch = torch.from_numpy(faces.images[start : start + BATCH]).permute(0, 3, 1, 2).float() / 127.5 - 1
        parts.append(teacher.embed(batch).numpy().astype(np.float16))
    found = np.concatenate(parts)
    partial = path.with_suffix(".part")
    with partial.open("wb") as stream:
        np.save(stream, found)
    os.replace(partial, path)
    return found.astype(np.float32)
