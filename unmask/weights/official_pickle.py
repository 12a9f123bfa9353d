"""Read the tensors of NVIDIA's StyleGAN2-ADA pickles without running anything that is in them.

Such a file holds objects of classes whose Python source it carries along. Here an object becomes a node that keeps
its parameters, buffers and parts by name; the source is never looked at (:mod:`unmask.pickles`).
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import pickles
from ..errors import UnmaskError

CURE = "save the state_dict() of its G_ema with torch.save, where its own code is at hand, and read that .pt"
MAX_NODES = 10_000
CLAMP = "conv_clamp"


def state_dict(path: Path, entries: tuple[str, ...] = ("G_ema", "G")) -> tuple[dict[str, Tensor], float | None]:
    """Parameters and buffers of the first of ``entries`` that the pickle at ``path`` has, and its ``conv_clamp``.

    Raises:
        UnmaskError: The file is no such pickle, or it asks for a name that is not on the list.
    """
    try:
        content = pickles.load(path.read_bytes(), _NAMES)
        held = content if isinstance(content, dict) else {}
        node = next((held[key] for key in entries if held.get(key) is not None), None)
        if not isinstance(node, _Node):
            raise UnmaskError(f"holds none of {', '.join(entries)}")
        return node.tensors(), _clamp(node)
    except OSError as error:
        raise UnmaskError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    except pickles.Damaged as error:
        raise UnmaskError(f"{path}: the pickle {error}; download it again") from None
    except UnmaskError as error:
        raise UnmaskError(f"{path}: the pickle {error}; {CURE}") from None


class _Node:
    """One object of a persistent class: nothing but its recorded state."""

    def __init__(self, state: dict[Any, Any]) -> None:
        self.state = state

    def part(self, kind: str) -> dict[Any, Any]:
        """A table of the state, such as ``_parameters``; empty where there is none."""
        found = self.state.get(kind)
        return found if isinstance(found, dict) else {}

    def nodes(self) -> Iterator[tuple[str, _Node]]:
        """This object and all below it, with the prefix that ``state_dict`` gives their tensors."""
        seen: set[int] = set()
        left: list[tuple[str, _Node]] = [("", self)]
        while left:
            prefix, node = left.pop()
            if id(node) in seen or len(seen) > MAX_NODES:
                raise UnmaskError("holds an object that is part of itself, or of two others")
            seen.add(id(node))
            yield prefix, node
            below = [(f"{prefix}{name}.", part) for name, part in node.part("_modules").items()]
            left += [(name, part) for name, part in reversed(below) if isinstance(part, _Node)]

    def tensors(self) -> dict[str, Tensor]:
        """All tensors below this object, named as ``state_dict`` names them."""
        found: dict[str, Tensor] = {}
        for prefix, node in self.nodes():
            for kind in ("_parameters", "_buffers"):
                for name, value in node.part(kind).items():
                    if isinstance(value, Tensor):
                        found[f"{prefix}{name}"] = value
        return found


def _clamp(node: _Node) -> float | None:
    """The one ``conv_clamp`` of all layers, None where they have none."""
    given = {part.state[CLAMP] for _, part in node.nodes() if isinstance(part.state.get(CLAMP), int | float)}
    if len(given) > 1:
        raise UnmaskError(f"has layers that clamp at {len(given)} different values")
    limit = float(given.pop()) if given else None
    if limit is not None and not (math.isfinite(limit) and limit > 0):
        raise UnmaskError(f"has a {CLAMP} of {limit}")
    return limit


def _node(meta: Any) -> _Node:
    state = meta.get("state") if isinstance(meta, dict) else None
    if not isinstance(state, dict):
        raise UnmaskError("holds an object without a state of plain values")
    return _Node(state)


def _table(entries: Any = ()) -> dict[Any, Any]:
    if not isinstance(entries, list | tuple | dict):
        raise ValueError("a table of something else")
    return {str(key): value for key, value in (entries.items() if isinstance(entries, dict) else entries)}


def _items(values: Any = ()) -> tuple[Any, ...]:
    if not isinstance(values, list | tuple | set):
        raise ValueError("a list of something else")
    return tuple(values)


def _storage(data: Any) -> Tensor:
    """One storage as torch's old format has it: three pickles of facts, the object's, that of the keys, raw bytes."""
    if not isinstance(data, bytes):
        raise ValueError("a storage that is no bytes")
    stream, found = io.BytesIO(data), []

    def persistent(identity: Any) -> None:
        kind, dtype, _key, _place, count = identity[:5]
        if kind not in ("storage", b"storage") or not isinstance(dtype, torch.dtype) or not isinstance(count, int):
            raise ValueError("no storage")
        found.append((dtype, count))

    names: dict[tuple[str, str], Any] = {("torch", f"{name}Storage"): dtype for name, dtype in _STORAGES.items()}
    for _ in range(5):
        pickles.load(stream, names, persistent, most=1000)
    if len(found) != 1:
        raise ValueError("no single storage")
    dtype, count = found[0]
    stored = int.from_bytes(stream.read(8), "little")
    size = torch.empty((), dtype=dtype).element_size()
    start = stream.tell()
    if stored != count or count < 0 or len(data) - start != count * size:
        raise ValueError("a storage that is cut short")
    return torch.frombuffer(bytearray(data[start:]), dtype=dtype) if count else torch.zeros(0, dtype=dtype)


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    """A tensor on a storage, of which each number is used once at most."""
    if not isinstance(storage, Tensor) or not isinstance(size, tuple) or not isinstance(stride, tuple):
        raise ValueError("no tensor")
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or len(size) > 8 or not all(type(n) is int and 0 <= n < 2**40 for n in numbers):
        raise ValueError("a tensor of impossible shape")
    last = offset + sum((side - 1) * step for side, step in zip(size, stride, strict=True))
    if 0 in size:
        return torch.zeros(size, dtype=storage.dtype)
    if last >= len(storage) or math.prod(size) > len(storage):
        raise ValueError("a tensor larger than its storage")
    return storage.as_strided(size, stride, offset)


def _parameter(data: Any, *_: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise ValueError("no parameter")
    return data


_STORAGES = {
    "Double": torch.float64, "Float": torch.float32, "Half": torch.float16, "BFloat16": torch.bfloat16,
    "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
    "Bool": torch.bool,
}  # fmt: skip
_DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in _STORAGES.values()}
_NAMES: pickles.Names = {
    **pickles.PLAIN,
    **pickles.NUMPY,
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _node,
    ("dnnlib.util", "EasyDict"): _table,
    ("collections", "OrderedDict"): _table,
    ("builtins", "set"): _items,
    ("__builtin__", "set"): _items,
    ("torch", "Size"): _items,
    ("torch", "device"): lambda *names: str(names[:1]),
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch.storage", "_load_from_bytes"): _storage,
    **{("torch", name): dtype for name, dtype in _DTYPES.items()},
}
