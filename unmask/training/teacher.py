"""What a teacher recognizer makes of a whole face set, computed once and kept in the cache folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .. import files
from ..data import augment, face_sets
from ..errors import UsageError
from ..recognition import Recognizer, insight

BATCH = 64


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
    faces: face_sets.FaceSet, teacher: Recognizer, layer: str, cache: str | Path | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """A teacher's embeddings and inner maps of each face as it is and mirrored, from one pass.

    Args:
        faces: aligned to the teacher's template and size.
        teacher: a recognizer kept as an ONNX file.
        layer: the name of a tensor [N,C,h,w] inside its graph.

    Returns:
        Unit-length embeddings float32 [2,N,D] and maps float16 [2,N,C,h,w], mapped from disk; index 1 is mirrored.

    Raises UsageError where the teacher is not an ONNX file or has no such tensor.
    """
    if not isinstance(teacher, insight.InsightRecognizer):
        raise UsageError(f"hint_layer: {teacher.name} is no ONNX file; leave hint_layer empty or name another teacher")
    stem = files.cache_folder(cache) / f"hints-{_key(faces, teacher, layer)}"
    found = [stem.with_suffix(f".{part}.npy") for part in ("embeddings", "maps")]
    if not all(path.is_file() for path in found):
        for path, array in zip(found, _pass(faces, teacher, layer), strict=True):
            face_sets.keep(path, array)
    return np.load(found[0]), np.load(found[1], mmap_mode="r")


def _pass(faces: face_sets.FaceSet, teacher: insight.InsightRecognizer, layer: str) -> tuple[np.ndarray, np.ndarray]:
    import onnx
    import onnxruntime

    model = insight.widened(teacher.path)
    if layer not in {name for node in model.graph.node for name in node.output}:
        raise UsageError(f"hint_layer: {teacher.path.name} has no tensor {layer!r}; name one of its graph")
    model.graph.output.append(onnx.helper.make_tensor_value_info(layer, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), insight.options(), providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    vectors: list[list[np.ndarray]] = [[], []]
    maps: list[list[np.ndarray]] = [[], []]
    for start in tqdm(range(0, len(faces), BATCH), desc="teacher", mininterval=5):
        batch = augment.to_float(faces.images[start : start + BATCH])
        for side, turned in enumerate((batch, batch.flip(3))):
            out = session.run(None, {name: teacher.blob(turned)})
            vector = out[0].reshape(len(batch), -1)
            vectors[side].append(vector / np.linalg.norm(vector, axis=1, keepdims=True))
            maps[side].append(out[-1].astype(np.float16))
    return (
        np.stack([np.concatenate(v) for v in vectors]).astype(np.float32),
        np.stack([np.concatenate(m) for m in maps]),
    )


def _key(faces: face_sets.FaceSet, teacher: Recognizer, layer: str = "") -> str:
    digest = hashlib.sha256(f"{teacher.fingerprint}{layer}".encode())
    digest.update("\n".join(f"{s}/{n}" for s, n in zip(faces.source, faces.names, strict=True)).encode())
    digest.update(faces.digest.encode())
    return digest.hexdigest()[:16]
