"""What a teacher recognizer makes of a whole face set, computed once and kept in the cache folder."""

from __future__ import annotations

import hashlib
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
    faces: face_sets.FaceSet, teacher: Recognizer, channels: int, cache: str | Path | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """A teacher's embeddings and last maps of each face as it is and mirrored, from one pass.

    Args:
        faces: aligned to the teacher's template and size.
        teacher: a recognizer kept as an ONNX file.
        channels: how many principal components of the last map's channels are kept, each of unit variance.

    Returns:
        Unit-length embeddings float32 [2,N,D] and maps float16 [2,N,channels,h,w], mapped from disk; index 1 is
        mirrored.

    Raises UsageError where the teacher is not an ONNX file, has no map of so many channels or cannot be run in torch
    (:func:`unmask.recognition.trunk.read`).
    """
    if not isinstance(teacher, insight.InsightRecognizer):
        raise UsageError(f"hint_channels: {teacher.name} is no ONNX file; set it to 0 or name another teacher")
    stem = files.cache_folder(cache) / f"hints-{_key(faces, teacher, str(channels))}"
    found = [stem.with_suffix(f".{part}.npy") for part in ("embeddings", "maps")]
    if not all(path.is_file() for path in found):
        graph, state = trunk.read(teacher.path)
        if graph["widths"][-1] < channels:
            raise UsageError(f"hint_channels: the last map of {teacher.path} has {graph['widths'][-1]}; give no more")
        network = OnnxTrunk(graph).eval()
        network.load_state_dict(state)
        for path, array in zip(found, _pass(faces, network, channels), strict=True):
            face_sets.keep(path, array)
    return np.load(found[0]), np.load(found[1], mmap_mode="r")


@torch.no_grad()
def _pass(faces: face_sets.FaceSet, network: OnnxTrunk, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """What :func:`hints` keeps."""
    device = torch.device("cpu")
    network = loop.place(network, device)

    def last(x: Tensor) -> Tensor:
        with loop.autocast("auto", device):
            return network.maps(x.contiguous(memory_format=torch.channels_last))[-1].float()

    drawn = np.sort(np.random.default_rng(0).permutation(len(faces))[:FITTED])
    mean, axes = _components(
        torch.cat([last(augment.to_float(faces.images[drawn[at : at + BATCH]])) for at in range(0, len(drawn), BATCH)]),
        channels,
    )
    vectors = np.empty((2, len(faces), network.embedding), np.float32)
    maps = np.empty((2, len(faces), channels, *network.grid), np.float16)
    for start in tqdm(range(0, len(faces), BATCH), desc="teacher", mininterval=5):
        batch = augment.to_float(faces.images[start : start + BATCH])
        rows = slice(start, start + len(batch))
        for side, turned in enumerate((batch, batch.flip(3))):
            found = last(turned)
            vectors[side, rows] = torch.nn.functional.normalize(network.head(found)).numpy()
            maps[side, rows] = torch.einsum("kc,nchw->nkhw", axes, found - mean[:, None, None]).half().numpy()
    return vectors, maps


def _components(maps: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Mean [C] and principal components [channels,C], scaled to unit variance, of maps [N,C,h,w] over all places."""
    values = maps.movedim(1, 3).flatten(0, 2).double()
    mean = values.mean(0)
    variance, axes = torch.linalg.eigh((values - mean).t() @ (values - mean) / len(values))
    scale = variance.flip(0)[:channels].clamp(min=1e-12).sqrt()
    return mean.float(), (axes.flip(1)[:, :channels] / scale).t().float()


def _key(faces: face_sets.FaceSet, teacher: Recognizer, layer: str = "") -> str:
    digest = hashlib.sha256(f"{teacher.fingerprint}{layer}".encode())
    digest.update("\n".join(f"{s}/{n}" for s, n in zip(faces.source, faces.names, strict=True)).encode())
    digest.update(faces.digest.encode())
    return digest.hexdigest()[:16]
