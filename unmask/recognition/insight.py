"""Recognizers kept as ONNX files: our own exports, and others as insightface understands them."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .. import weights
from ..engines import networks, open_session, options
from ..errors import UnmaskError
from ..weights import onnx_files, packs
from . import array_of, like, unit

__all__ = ["InsightRecognizer", "load", "load_pack", "options"]

BATCH = 32
MOST_BATCH, MOST_VALUES = 1024, 65536  # faces at once, and numbers of an embedding
HEAD, OURS = 64, b"\x12\x06unmask"  # in its first bytes an ONNX file says who wrote it
_CHECK_TOLERANCE = 1e-3


class InsightRecognizer:
    """An ArcFace-style ONNX model; not differentiable.

    Its template is ``arcface`` unless the file's metadata name another, as our own exports do.

    A graph exported for a fixed batch of one is rewritten in memory for any batch when that gives the same
    numbers, and is otherwise run face by face; one for a fixed batch of several is given so many, the last repeated.
    """

    differentiable = False

    def __init__(
        self,
        path: Path,
        name: str,
        session: Any,
        scale: tuple[float, float],
        batched: bool,
        size: tuple[int, int],
    ):
        self.path = path
        self.name = name
        self.size = size
        self.batched = batched
        given = session.get_inputs()[0].shape[:1]
        self._fixed = int(given[0]) if not batched and given and isinstance(given[0], int) else 1
        self.template = session.get_modelmeta().custom_metadata_map.get("template", "arcface")
        self._session = session
        self.scale = scale
        self._input = session.get_inputs()[0].name
        self._output = session.get_outputs()[0].name

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 of the file, or of all its parts."""
        return onnx_files.sha256(self.path)

    def embed(self, faces: Any) -> Any:
        """Embed ``faces`` [N,3,H,W] RGB in [-1,1] as [N,D] of unit length, an array or a tensor as ``faces`` are.

        Raises ``ValueError`` on another shape.
        """
        if faces.ndim != 4 or tuple(faces.shape[1:]) != (3, *self.size):
            raise ValueError(f"{self.name} takes faces [N,3,{self.size[0]},{self.size[1]}], not {list(faces.shape)}")
        blob = self.blob(faces)
        step = BATCH if self.batched else self._fixed
        parts = [self._run(blob[i : i + step]) for i in range(0, len(blob), step)]
        return like(faces, unit(np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)))

    def blob(self, faces: Any) -> np.ndarray:
        """The graph's own input for ``faces`` [N,3,H,W] RGB in [-1,1]."""
        factor, offset = self.scale
        found = array_of(faces)
        if (factor, offset) != (1, 0):
            found = found * np.float32(factor) + np.float32(offset)
        return np.ascontiguousarray(found)

    def _run(self, blob: np.ndarray) -> np.ndarray:
        n = len(blob)
        if not self.batched and n < self._fixed:
            blob = np.concatenate([blob, np.repeat(blob[-1:], self._fixed - n, 0)])
        out = np.asarray(networks.run(self._session, self.path, [self._output], {self._input: blob})[0])
        if out.dtype.kind != "f" or not out.size or out.size % len(blob) or out.size // len(blob) > MOST_VALUES:
            shape = f"{out.dtype} {list(out.shape)}"
            raise UnmaskError(f"{self.path}: gives {shape}, no embedding for each face; use another")
        if not np.isfinite(out).all():
            raise UnmaskError(f"{self.path}: its embeddings are not finite, so its weights are damaged; use another")
        return out.reshape(len(blob), -1)[:n].astype(np.float32, copy=False)


def load(path: str | Path, name: str | None = None) -> InsightRecognizer:
    """Load the ONNX file at ``path`` as insightface would, and try it.

    Raises:
        UnmaskError: it is no recognizer, or a part of it has another sha256 than the table beside it.
    """
    path = Path(path)
    if not path.is_file():
        raise UnmaskError(f"{path}: no such file; give the path of a recognition model")
    weights.check(path)
    return _own(path, name) or _foreign(path, name)


def _own(path: Path, name: str | None) -> InsightRecognizer | None:
    """A file that ``unmask.export.to_onnx.recognizer_onnx`` wrote, which takes any batch; None for those of others."""
    with path.open("rb") as stream:
        if OURS not in stream.read(HEAD):
            return None
    session = networks.opened(path, "cpu")
    inputs, outputs = ([one.name for one in ones] for ones in (session.get_inputs(), session.get_outputs()))
    if (inputs, outputs) != (["input"], ["embedding"]):
        return None
    height, width = session.get_inputs()[0].shape[2:]
    return InsightRecognizer(path, name or path.stem, session, (1.0, 0.0), True, (height, width))


def _foreign(path: Path, name: str | None) -> InsightRecognizer:
    """A file of others, as insightface takes it, tried on one picture."""
    try:
        from insightface import model_zoo

        model = model_zoo.get_model(str(path), providers=["CPUExecutionProvider"], sess_options=options())
    except ImportError as error:
        raise UnmaskError(f"{path}: reading it needs insightface ({error}); pip install insightface") from error
    except Exception as error:  # onnxruntime raises many kinds, all meaning the same here
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnmaskError(f"{path}: not a readable ONNX model ({first}); give a recognition model") from error
    if model is None or getattr(model, "taskname", "") != "recognition":
        raise UnmaskError(f"{path}: not a recognition model; give one with a single embedding as its output")
    try:
        width, height = (int(side) for side in model.input_size)
        factor, offset = 127.5 / model.input_std, (127.5 - model.input_mean) / model.input_std
        fixed = model.input_shape[0]
    except (TypeError, ValueError, IndexError):
        raise UnmaskError(f"{path}: its input has no fixed height and width; give a recognition model") from None
    session, batched = model.session, not isinstance(fixed, int)
    if isinstance(fixed, int) and not 1 <= fixed <= MOST_BATCH:
        raise UnmaskError(f"{path}: takes {fixed} faces at once; give a recognition model for any number")
    if fixed == 1 and (wider := _any_batch(path, (height, width), session)) is not None:
        session, batched = wider, True
    found = InsightRecognizer(path, name or path.stem, session, (factor, offset), batched, (height, width))
    found.embed(np.linspace(-1, 1, 3 * height * width, dtype=np.float32).reshape(1, 3, height, width))
    return found


def load_pack(pack: str) -> InsightRecognizer:
    """The recognition model of an insightface pack below ``$INSIGHTFACE_HOME`` (``~/.insightface``); no download."""
    folder = packs.folder() / pack
    if not folder.is_dir():
        raise UnmaskError(f"{folder}: insightface pack {pack!r} is not installed; run 'unmask models install {pack}'")
    for path in sorted(folder.glob("*.onnx")):
        if _looks_like_recognition(path):
            return load(path, name=f"insightface:{pack}")
    raise UnmaskError(f"{folder}: no recognition model in this pack; use one that has it, such as buffalo_l")


def _looks_like_recognition(path: Path) -> bool:
    """Whether insightface would route this file to recognition, judged by the graph's shapes without running it."""
    import onnx

    try:
        graph = onnx.load(str(path), load_external_data=False).graph
        if not graph.input:
            return False
    except Exception:  # protobuf raises kinds of its own; such a file is no recognizer
        return False
    sides = [dim.dim_value for dim in graph.input[0].type.tensor_type.shape.dim][2:]
    return len(graph.output) == 1 and len(sides) == 2 and sides[0] == sides[1] >= 112 and sides[0] not in (128, 192)


def _any_batch(path: Path, size: tuple[int, int], single: Any) -> Any | None:
    """A session of the same graph for any batch, or None where the graph does not allow it.

    The graph is :func:`widened`; the result is trusted only if three drawn inputs give the numbers of the graph as it
    was.
    """
    try:
        session = open_session(widened(path).SerializeToString())
        drawn = np.random.default_rng(0).uniform(-1, 1, (3, 3, *size)).astype(np.float32)
        name = session.get_inputs()[0].name
        together = session.run(None, {name: drawn})[0].reshape(3, -1)
        alone = np.concatenate([single.run(None, {name: one[None]})[0].reshape(1, -1) for one in drawn])
    except Exception:  # any failure means the same: run the graph as it is
        return None
    close = together.shape == alone.shape and np.abs(together - alone).max() <= _CHECK_TOLERANCE * np.abs(alone).max()
    return session if close else None


def widened(path: Path) -> Any:
    """The ONNX model at ``path`` with its batch axis made symbolic and its reshapes made to keep the batch.

    Its Constant nodes become initializers.
    """
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(path))
    graph = model.graph
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del graph.value_info[:]
    shapes = {node.input[1] for node in graph.node if node.op_type == "Reshape" and len(node.input) > 1}
    _settle(graph)
    for tensor in graph.initializer:
        if tensor.name not in shapes:
            continue
        target = numpy_helper.to_array(tensor).copy()
        if target.ndim == 1 and len(target) > 1 and target[0] == 1:
            target[0] = 0 if (target == -1).any() else -1
            tensor.CopyFrom(numpy_helper.from_array(target, tensor.name))
    return model


def _settle(graph: Any) -> None:
    """Make initializers of Constant nodes, whatever form their value has (of one number, several, or a tensor)."""
    from onnx import helper, numpy_helper

    constants = [node for node in graph.node if node.op_type == "Constant"]
    for node in constants:
        form, value = node.attribute[0].name, helper.get_attribute_value(node.attribute[0])
        if form != "value":
            value = numpy_helper.from_array(np.asarray(value, np.float32 if "float" in form else np.int64))
        graph.initializer.add().CopyFrom(value)
        graph.initializer[-1].name = node.output[0]
        graph.node.remove(node)
