"""What a teacher recognizer makes of a whole face set, computed once and kept in the cache folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .. import files
from ..data import augment, face_sets
from ..errors import UsageError
from ..models.onnx_trunk import OnnxTrunk
from ..recognition import Recognizer, insight, trunk
from . import loop

BATCH = 64
FITTED = 1024  # faces of which the principal components of the teacher's maps are found


def embeddings(faces: face_sets.FaceSet, teacher: Recognizer, cache: str | Path | None = None) -> np.ndarray:
    """Unit-length teacher embeddings float32 [N,D] of faces that are aligned to the teacher's template and size."""
    path = files.cache_folder(cache) / f"teacher-{_key(faces, teacher)}.npy"
    if path.is_file():
        return np.asarray(np.load(path), np.float32)
    parts = []
    for start in tqdm(range(0, len(faces), BATCH), desc="teacher", mininterval=5):
        batch = augment.to_float(faces.images[start : start + BATCH])
        parts.append(teacher.embed(batch).numpy().astype(np.float16))
    found = np.concatenate(parts)
    face_sets.keep(path, found)
    return found.astype(np.float32)


def hints(
    faces: face_sets.FaceSet, teacher: Recognizer, channels: Sequence[int], cache: str | Path | None = None
) -> tuple[np.ndarray, list[np.ndarray]]:
    """A teacher's embeddings and last maps of each face, from one pass.

    Args:
        faces: aligned to the teacher's template and size.
        teacher: a recognizer kept as an ONNX file.
        channels: of each of the teacher's last maps, finest first, how many principal components are kept.

    Returns:
        Unit-length embeddings float32 [N,D] and, of each of these maps, float16 [N,channels,h,w] mapped from disk: its
        components, strongest first, scaled together so that their mean variance is 1.

    Raises UsageError where the teacher is not an ONNX file, has no maps of so many channels or cannot be run in torch
    (:func:`unmask.recognition.trunk.read`).
    """
    if not isinstance(teacher, insight.InsightRecognizer):
        raise UsageError(f"hint_channels: {teacher.name} is no ONNX file; leave it empty or name another teacher")
    stem = files.cache_folder(cache) / f"hints-{_key(faces, teacher, '-'.join(map(str, channels)))}"
    found = [stem.with_suffix(f".{part}.npy") for part in ("embeddings", *range(len(channels)))]
    if not all(path.is_file() for path in found):
        graph, state = trunk.read(teacher.path)
        there = graph["widths"]
        if len(channels) > len(there) or any(n > c for n, c in zip(channels, there[-len(channels) :], strict=True)):
            raise UsageError(f"hint_channels: the last maps of {teacher.path} have {there}; give no more")
        network = OnnxTrunk(graph).eval()
        network.load_state_dict(state)
        for path, array in zip(found, _pass(faces, network, channels), strict=True):
            face_sets.keep(path, array)
    return np.load(found[0]), [np.load(path, mmap_mode="r") for path in found[1:]]


@torch.no_grad()
def _pass(faces: face_sets.FaceSet, network: OnnxTrunk, channels: Sequence[int]) -> list[np.ndarray]:
    """What :func:`hints` keeps."""
    device = torch.device("cpu")
    network = loop.place(network, device)

    def last(rows: np.ndarray | slice) -> list[Tensor]:
        x = augment.to_float(faces.images[rows]).contiguous(memory_format=torch.channels_last)
        with loop.autocast("auto", device):
            return [one.float() for one in network.maps(x)[-len(channels) :]]

    drawn = np.sort(np.random.default_rng(0).permutation(len(faces))[:FITTED])
    parts = [last(drawn[at : at + BATCH]) for at in range(0, len(drawn), BATCH)]
    bases = [_components(torch.cat(level), n) for level, n in zip(zip(*parts, strict=True), channels, strict=True)]
    vectors = np.empty((len(faces), network.embedding), np.float32)
    maps = [
        np.empty((len(faces), n, *level.shape[2:]), np.float16) for level, n in zip(parts[0], channels, strict=True)
    ]
    for start in tqdm(range(0, len(faces), BATCH), desc="teacher", mininterval=5):
        rows = slice(start, min(start + BATCH, len(faces)))
        levels = last(rows)
        vectors[rows] = torch.nn.functional.normalize(network.head(levels[-1])).numpy()
        for kept, level, (mean, axes) in zip(maps, levels, bases, strict=True):
            kept[rows] = torch.einsum("kc,nchw->nkhw", axes, level - mean[:, None, None]).half().numpy()
    return [vectors, *maps]


def _components(maps: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Mean [C] and the strongest principal components [channels,C] of maps [N,C,h,w] over all places.

    These are scaled together so that their mean variance is 1.
    """
    values = maps.movedim(1, 3).flatten(0, 2).double()
    mean = values.mean(0)
    variance, axes = torch.linalg.eigh((values - mean).t() @ (values - mean) / len(values))
    axes = axes.flip(1)[:, :channels] / variance[-channels:].mean().clamp(min=1e-12).sqrt()
    return mean.float(), axes.t().float()


def _key(faces: face_sets.FaceSet, teacher: Recognizer, layer: str = "") -> str:
    digest = hashlib.sha256(f"{teacher.fingerprint}{layer}".encode())
    digest.update("\n".join(f"{s}/{n}" for s, n in zip(faces.source, faces.names, strict=True)).encode())
    digest.update(faces.digest.encode())
    return digest.hexdigest()[:16]
