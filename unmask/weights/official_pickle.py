"""Read the tensors of NVIDIA's StyleGAN2-ADA pickles without running anything that is in them.

Such a file holds objects of classes whose Python source it carries along. Here an object becomes a node that keeps
its parameters, buffers and parts by name; the source is never looked at. Only a short list of names can be reached
from the file at all, so a pickle made to do harm stops with an error.
"""

from __future__ import annotations

import collections
import io
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import UnmaskError

CURE = "save the state_dict() of its G_ema with torch.save, where its own code is at hand, and read that .pt"


def state_dict(path: Path, entries: tuple[str, ...] = ("G_ema", "G")) -> dict[str, Tensor]:
    """The parameters and buffers of the first of ``entries`` that the pickle at ``path`` has.

    Raises:
        UnmaskError: The file is no such pickle, or it asks for a name that is not on the list.
    """
    try:
        with open(path, "rb") as file:
            content = _Reader(file).load()
    except UnmaskError as error:
        raise UnmaskError(f"{path}: {error}; {CURE}") from None
    except Exception as error:  # a damaged pickle can raise anything
        raise UnmaskError(f"{path}: not a readable pickle ({type(error).__name__}); download it again") from None
    node = next((content[key] for key in entries if content.get(key) is not None), None) if _is_dict(content) else None
    if not isinstance(node, _Node):
        raise UnmaskError(f"{path}: the pickle holds none of {', '.join(entries)}; {CURE}")
    return node.tensors()


class _Dict(dict):
    """Stands for ``dnnlib.util.EasyDict``."""


class _Node:
    """One object of a persistent class: nothing but its recorded state."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state

    def tensors(self, prefix: str = "") -> dict[str, Tensor]:
        """All tensors below this object, named as ``state_dict`` names them."""
        found: dict[str, Tensor] = {}
        for kind in ("_parameters", "_buffers"):
            for name, value in self.state.get(kind, {}).items():
                if isinstance(value, Tensor):
                    found[prefix + name] = value.detach()
        for name, part in self.state.get("_modules", {}).items():
            if isinstance(part, _Node):
                found |= part.tensors(f"{prefix}{name}.")
        return found


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


def _node(meta: dict[str, Any]) -> _Node:
    state = meta.get("state") if _is_dict(meta) else None
    if not isinstance(state, dict):
        raise UnmaskError("an object without a state of plain values")
    return _Node(state)


def _storage(data: bytes) -> Any:
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _parameter(data: Tensor, *_: Any) -> Tensor:
    return data


def _dtype(name: str) -> Any:
    return getattr(torch, name)


_DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
_NAMES: dict[tuple[str, str], Any] = {
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _node,
    ("dnnlib.util", "EasyDict"): _Dict,
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
    ("torch", "Size"): tuple,
    ("torch", "device"): str,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch.storage", "_load_from_bytes"): _storage,
    **{("torch", name): _dtype(name) for name in _DTYPES},
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Only the names above; the file decides nothing."""
        try:
            return _NAMES[module, name]
        except KeyError:
            raise UnmaskError(f"the pickle needs {module}.{name}, which is not run here") from None
