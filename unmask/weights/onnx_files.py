"""What an ONNX file consists of: itself and the files beside it that hold tensors of its own (ONNX's external data)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .. import files
from ..errors import UnmaskError

MAX_BYTES = 1 << 32
MAX_DEPTH = 8  # of graphs within graphs


def parts(path: str | Path) -> list[Path]:
    """The file at ``path`` and all that it reads tensors from, which lie in the same folder.

    Raises:
        UnmaskError: it is no ONNX file, a part is missing, or a part would lie elsewhere.
    """
    import onnx

    path = Path(path)
    if not path.is_file():
        raise UnmaskError(f"{path}: no such file; give the path of a model in ONNX")
    try:
        model = onnx.load(str(path), load_external_data=False)
        places = {_place(tensor) for tensor in _tensors(model.graph) if tensor.data_location == tensor.EXTERNAL}
    except UnmaskError as error:
        raise UnmaskError(f"{path}: {error}") from None
    except Exception as error:  # protobuf raises kinds of its own
        raise UnmaskError(f"{path}: not a readable ONNX model ({files.reason(error)}); fetch it again") from None
    found = [path]
    for name in sorted(places):
        if not name or Path(name).name != name:
            raise UnmaskError(f"{path}: reads tensors from {name[:80]!r}, outside its folder; it is not loaded")
        beside = path.with_name(name)
        if not beside.is_file():
            raise UnmaskError(f"{beside}: missing, though {path.name} keeps its tensors there; keep both in one folder")
        found.append(beside)
    return found


def sha256(path: str | Path) -> str:
    """The sha256 of an ONNX file, or of those of all its parts where it has several."""
    whole = b"location" not in files.read(path, MAX_BYTES)  # the word that stands before every part's name
    each = [files.sha256(part) for part in ([Path(path)] if whole else parts(path))]
    return each[0] if len(each) == 1 else hashlib.sha256("".join(each).encode()).hexdigest()


def fingerprint(part: Any) -> str:
    """The sha256 of a model's file, by path or as an object that is named after it; else the object's type."""
    path = part if isinstance(part, Path) else Path(str(getattr(part, "name", "")))
    if not path.is_file():
        return type(part).__name__
    return sha256(path) if path.suffix == ".onnx" else files.sha256(path)


def _place(tensor: Any) -> str:
    return next((entry.value for entry in tensor.external_data if entry.key == "location"), "")


def _tensors(graph: Any, depth: int = 0) -> Iterator[Any]:
    """All tensors that a graph holds, those in its nodes and in their graphs as well."""
    if depth > MAX_DEPTH:
        raise UnmaskError(f"has more than {MAX_DEPTH} graphs within each other; it is not loaded")
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                if inner.node or inner.initializer:
                    yield from _tensors(inner, depth + 1)
