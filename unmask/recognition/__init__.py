"""Face recognizers behind one interface: aligned faces in, unit-length embeddings out."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..errors import UnmaskError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from .arcface import TorchRecognizer

__all__ = ["Recognizer", "load", "load_torch"]

EMBEDDED = "embedded"
# name -> row of the weights table
NAMED = {EMBEDDED: "recognizer", "from": "from", "g2d": "g2d"}
# kind of a checkpoint -> the module whose `load` reads it
KINDS = {"iresnet": "recognition.arcface", "from_net": "from_net.recognizer", "g2d": "g2d.recognizer"}
INSIGHTFACE = "insightface:"

Faces = TypeVar("Faces", NDArray[np.float32], "Tensor")


@runtime_checkable
class Recognizer(Protocol):
    """What every recognizer offers, whatever runs it.

    ``name`` is for tables, ``template`` names the alignment of :mod:`unmask.faces.align` it was trained on,
    ``size`` is (height, width) of its input, ``differentiable`` says whether gradients flow through
    :meth:`embed`, and ``fingerprint`` changes whenever the weights do, so that embeddings may be cached by
    it.
    """

    name: str
    template: str
    size: tuple[int, int]
    differentiable: bool

    @property
    def fingerprint(self) -> str:
        """See the class."""
        ...

    def embed(self, faces: Faces) -> Faces:
        """Embed ``faces`` [N,3,H,W] (RGB in [-1,1], aligned to ``template`` at ``size``) as [N,D] of unit length.

        Arrays give an array, and a tensor of torch gives a tensor. The similarity of two faces is ``(a * b).sum(1)``
        everywhere.
        """
        ...


def load(name_or_path: str | Path = EMBEDDED) -> Recognizer:
    """Load a recognizer by name or by path.

    Names: ``embedded`` (the one in ``weights/``), ``from`` and ``g2d`` (the masked-face recognizers there),
    ``insightface:PACK`` (the recognition model of an insightface pack on this machine, such as
    ``insightface:buffalo_l``), a path to an ONNX file that insightface can load (a fixed batch of one is
    fine), a path to a safetensors checkpoint of kind ``iresnet``, ``from_net`` or ``g2d``, or ``dlib`` (the extra of
    that name; see :mod:`.dlib_resnet`).

    Raises:
        UsageError: the name is unknown.
        UnmaskError: the file cannot be used.
    """
    text = str(name_or_path)
    if text in NAMED:
        return _named(text)
    if text == "dlib":
        from .dlib_resnet import DlibRecognizer

        return DlibRecognizer()
    if text.startswith(INSIGHTFACE):
        from . import insight

        return insight.load_pack(text[len(INSIGHTFACE) :])
    path = Path(text).expanduser()
    if path.suffix == ".onnx":
        from . import insight

        return insight.load(path)
    if path.suffix == ".safetensors":
        return _torch(path)
    raise UsageError(
        f"{text}: no such recognizer; use 'embedded', 'from', 'g2d', 'dlib', 'insightface:PACK', or a path to an "
        ".onnx or .safetensors file"
    )


def _named(name: str) -> Recognizer:
    """A recognizer of the pack, as ONNX where the pack has one (faster), else through torch."""
    from .. import weights

    row = next((row for row in weights.rows() if row.name == NAMED[name]), None)
    if row is not None and row.onnx is not None:
        from . import insight

        return insight.load(weights.find(row.name, form="onnx"), name=name)
    found = load_torch(name)
    found.name = name
    return found


def load_torch(name_or_path: str | Path) -> TorchRecognizer:
    """A recognizer of ours through torch, so that gradients flow to the faces: a name, or a checkpoint's path."""
    from .. import weights

    text = str(name_or_path)
    return _torch(weights.find(NAMED.get(text, text)))


def _torch(path: Path) -> TorchRecognizer:
    """A torch recognizer from a checkpoint of ours, whatever its kind."""
    if not path.is_file():
        raise UnmaskError(f"{path}: no such file; give the path of a recognizer's checkpoint")
    from .. import weights

    kind = weights.read(path).kind
    if kind not in KINDS:
        raise UnmaskError(f"{path}: holds a {kind}, not a recognizer; give one of kind {', '.join(KINDS)}")
    found: TorchRecognizer = importlib.import_module(f"unmask.{KINDS[kind]}").load(path)
    return found


def of_pack(folder: str | Path | None = None) -> Recognizer | None:
    """The recognizer of a weights folder, as ONNX where it has that (faster); None in a folder without."""
    from .. import weights

    row = next((row for row in weights.rows(folder) if row.name == "recognizer"), None)
    if row is None:
        return None
    return load(weights.find("recognizer", "onnx" if row.onnx else "safetensors", folder))


def array_of(faces: Any) -> NDArray[np.float32]:
    """Faces given as an array or as a tensor, as an array."""
    return np.asarray(faces if isinstance(faces, np.ndarray) else faces.detach().float().cpu().numpy(), np.float32)


def like(faces: Any, found: NDArray[np.float32]) -> Any:
    """An array as what was given was: an array, or a tensor."""
    if isinstance(faces, np.ndarray):
        return found
    import torch

    return torch.from_numpy(found)


def unit(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    """Rows [N,D] scaled to unit length."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-12), np.float32)
