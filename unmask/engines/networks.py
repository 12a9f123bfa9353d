"""Networks of the weights table, ready to run on arrays, whichever engine runs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .. import files, weights
from ..errors import UnmaskError
from . import choice, sessions
from .choice import Choice

Floats = NDArray[np.float32]


class Network(Protocol):
    """A network whose inputs and outputs are those of its ONNX file (:mod:`unmask.export.to_onnx`), in that order.

    Attributes:
        size: side of its crops, if it has a fixed one.
        template: the alignment of its crops.
        sha256: of its weights; the same for both engines where the table knows the file.
        choice: what runs it.
    """

    size: int
    template: str
    sha256: str
    choice: Choice

    def __call__(self, *inputs: Floats) -> Sequence[Floats]:
        """Arrays float32 in, arrays out."""
        ...


@dataclass(frozen=True)
class Source:
    """Where a network's weights lie: its ONNX file, its safetensors file, or both; what the table says of them."""

    path: Path
    onnx: Path | None
    row: weights.Row | None

    @property
    def sha256(self) -> str:
        """The hash of the safetensors file where there is one, else of the ONNX file with all its parts."""
        if self.row is not None:
            return self.row.sha256
        return weights.fingerprint(self.path)


def source(name_or_path: str | Path, kind: str, folder: str | Path | None = None) -> Source:
    """Where the weights of a name in the table, or of a path, lie; UnmaskError where they are of another kind."""
    path = weights.locate(name_or_path, folder=folder)
    row = weights.row_of(path)
    if row is not None and row.kind != kind:
        raise UnmaskError(f"{path}: holds a {row.kind}, not a {kind}; give the path of a {kind}")
    if row is not None:
        return Source(path.with_name(row.file), path.with_name(row.onnx) if row.onnx else None, row)
    return Source(path, path if path.suffix == ".onnx" else None, None)


class OnnxNetwork:
    """A network through ONNX Runtime."""

    def __init__(self, found: Source, chosen: Choice) -> None:
        """Open the session; UnmaskError where the file is missing, altered or no ONNX model."""
        assert found.onnx is not None
        weights.find(found.onnx)
        self.path, self.choice, self.sha256 = found.onnx, chosen, found.sha256
        self.session = opened(found.onnx, chosen.device)
        self.inputs = [one.name for one in self.session.get_inputs()]
        side = self.session.get_inputs()[0].shape[-1]
        self.size = side if isinstance(side, int) else 0
        self.template = (found.row.template if found.row else None) or "ffhq"

    def __call__(self, *inputs: Floats) -> Sequence[Floats]:
        """See :class:`Network`."""
        found: Sequence[Floats] = run(self.session, self.path, None, dict(zip(self.inputs, inputs, strict=True)))
        return found


def opened(path: Path, device: str) -> Any:
    """A session of a file; UnmaskError where it is no ONNX model."""
    try:
        return sessions.open_session(path, device)
    except UnmaskError:
        raise
    except Exception as error:  # onnxruntime raises kinds of its own
        raise UnmaskError(
            f"{path}: cannot be loaded as an ONNX model ({files.reason(error)}); fetch it again"
        ) from error


def run(session: Any, path: Path, outputs: Sequence[str] | None, inputs: dict[str, NDArray[Any]]) -> Any:
    """What a session gives; UnmaskError where it cannot be run."""
    try:
        return session.run(outputs, inputs)
    except Exception as error:  # onnxruntime raises kinds of its own
        raise UnmaskError(f"{path}: this model cannot be run ({files.reason(error)}); use another") from error


def load(
    name_or_path: str | Path,
    kind: str,
    engine: str = "auto",
    device: str = "auto",
    folder: str | Path | None = None,
) -> Network:
    """A network of one of the small kinds ("segmenter", "landmarker") by its name in the table or by path.

    Raises:
        UnmaskError: the weights are missing, altered, of another kind, or need an engine that is not there.
        UsageError: there is no such engine or device.
    """
    found = source(name_or_path, kind, folder)
    chosen = choice.choose(engine, device, found.onnx is not None, str(found.path))
    if chosen.engine == "onnx":
        return OnnxNetwork(found, chosen)
    from .torch_side import TorchNetwork

    return TorchNetwork(found.path, kind, chosen)


def noise(seed: int, shapes: Sequence[tuple[int, ...]]) -> list[Floats]:
    """Noise of a generator's layers, drawn anew: the same for the same seed on every engine and machine.

    Its numbers are of half precision, as those stored in checkpoints are.
    """
    drawn = np.random.default_rng(seed)
    return [drawn.standard_normal(shape, np.float32).astype(np.float16).astype(np.float32) for shape in shapes]
