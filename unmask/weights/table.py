"""Checkpoints: the table of known ones, and how they are found, verified, read and written.

A checkpoint is one safetensors file. Its metadata holds one JSON entry, ``unmask``: ``{"format": "unmask/1",
"kind": ..., "arch": {...}, "meta": {...}}``; ``kind`` and ``arch`` are what ``models.build`` takes. The table
is ``index.json`` in the weights folder; a file that it names is read only if it has the sha256 given there.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import files
from ..errors import UnmaskError
from . import onnx_files

if TYPE_CHECKING:
    from torch import Tensor, nn

FORMAT = "unmask/1"
INDEX = "index.json"
RECOGNIZER = "recognizer_sha256"  # in the metadata of an unmasker whose styles take that recognizer's embedding
MAX_HEADER = 10_000_000  # bytes; a tenth of the format's own limit is 100,000 tensors
MAX_INDEX = 1_000_000
MAX_BYTES = 1 << 33
_RESTORE = "restore it from the release"


@dataclass(frozen=True)
class Row:
    """One line of the table: a named checkpoint and, where there is one, its ONNX version."""

    name: str
    kind: str
    file: str
    sha256: str
    bytes: int
    license: str = ""
    source: str = ""
    template: str | None = None
    size: int | None = None
    onnx: str | None = None
    onnx_sha256: str | None = None
    onnx_bytes: int | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in memory; floating tensors are float32 on the CPU whatever the file holds."""

    kind: str
    arch: dict[str, Any]
    tensors: dict[str, Tensor]
    meta: dict[str, Any]
    path: Path
    sha256: str


def default_folder() -> Path:
    """The weights folder: ``UNMASK_WEIGHTS`` if set, else the pack inside the package or beside it."""
    given = os.environ.get("UNMASK_WEIGHTS")
    if given:
        return Path(given)
    package = Path(__file__).resolve().parents[1]
    installed = package / "_weights"
    return installed if installed.is_dir() else package.parent / "weights"


def rows(folder: str | Path | None = None) -> list[Row]:
    """The table of a weights folder, in the order of its file; empty where the folder has none."""
    index = _folder(folder) / INDEX
    if not index.exists():
        return []
    try:
        return [_row(entry) for entry in json.loads(files.read(index, MAX_INDEX).decode())["weights"]]
    except (UnmaskError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise UnmaskError(f"{index}: not a table of weights ({_first_line(error)}); {_RESTORE}") from None


def _row(entry: Mapping[str, Any]) -> Row:
    """One line of the table; ValueError where it names a file without the sha256 to check it by."""
    row = Row(**entry)
    for file, sha256 in ((row.file, row.sha256), (row.onnx, row.onnx_sha256)):
        if file is not None and not (isinstance(sha256, str) and re.fullmatch("[0-9a-f]{64}", sha256)):
            raise ValueError(f"{row.name} has no sha256 for {file}")
    return row


def find(name_or_path: str | Path, form: str = "safetensors", folder: str | Path | None = None) -> Path:
    """The file of a checkpoint, by its name in the table or by path; ``form`` is "safetensors" or "onnx".

    A file of the table is hashed once per process and refused if its sha256 differs, and so is every file beside an
    ONNX file that holds tensors of it.
    """
    path = locate(name_or_path, form, folder)
    check(path)
    return path


def row_of(path: Path) -> Row | None:
    """The line of the table beside a file that names it, as weights or as their ONNX file."""
    return next((row for row in rows(path.parent) if path.name in (row.file, row.onnx)), None)


def check(path: Path) -> None:
    """Refuse a file, or a part of an ONNX file, whose sha256 is not the one in the table beside it."""
    _compare(path)
    row = row_of(path)
    if path.suffix == ".onnx" and path.is_file():
        for part in onnx_files.parts(path)[1:] if row is None else [path.with_name(row.file)]:  # see :func:`register`
            _compare(part)


def _compare(path: Path) -> None:
    expected = _expected(path) if path.is_file() else None
    if expected and files.sha256(path) != expected:
        raise UnmaskError(_wrong_hash(path))


def read(name_or_path: str | Path, kind: str | None = None, folder: str | Path | None = None) -> Checkpoint:
    """Read a checkpoint of the table or of any path; ``kind``, where given, must be the one in the file.

    Raises:
        UnmaskError: the file is missing, foreign, truncated, altered or of another kind.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    path = locate(name_or_path, folder=folder)
    data = files.read(path, MAX_BYTES)
    sha256 = hashlib.sha256(data).hexdigest()
    if _expected(path) not in (None, sha256):
        raise UnmaskError(_wrong_hash(path))
    try:
        described = _description(data)
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnmaskError(
            f"{path}: not a whole safetensors file ({_first_line(error)}); copy or make it again"
        ) from None
    if described is None:
        raise UnmaskError(f"{path}: not a checkpoint of unmask; bring it over with unmask.weights.convert")
    if kind is not None and described["kind"] != kind:
        raise UnmaskError(f"{path}: holds a {described['kind']}, not a {kind}; give the path of a {kind}")
    unsound = next((k for k, t in tensors.items() if t.is_floating_point() and bool(t.isnan().any())), None)
    if unsound is not None:
        raise UnmaskError(f"{path}: {unsound} holds values that are no numbers; its training broke, use another file")
    floats = {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
    return Checkpoint(described["kind"], described["arch"], floats, described["meta"], path, sha256)


def save(
    path: str | Path,
    kind: str,
    arch: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    meta: Mapping[str, Any] | None = None,
    half: bool = True,
) -> Path:
    """Write a checkpoint in one step: the name ``path`` never holds half a file.

    With ``half`` floating tensors are stored as float16, except where a finite value would overflow; integers
    and booleans are stored as they are. ``arch`` and ``meta`` must be JSON values.
    """
    import torch
    from safetensors.torch import save as to_bytes

    path = Path(path)
    described = {"format": FORMAT, "kind": kind, "arch": dict(arch), "meta": dict(meta or {})}
    stored = {}
    for name, tensor in tensors.items():
        whole = tensor.detach().to("cpu")
        if half and whole.is_floating_point():
            small = whole.to(torch.float16)
            whole = small if torch.equal(torch.isfinite(small), torch.isfinite(whole)) else whole.float()
        stored[name] = whole.clone(memory_format=torch.contiguous_format)
    files.write(path, to_bytes(stored, metadata={"unmask": json.dumps(described, sort_keys=True)}))
    return path


def fill(module: nn.Module, checkpoint: Checkpoint) -> None:
    """Load every tensor of a checkpoint into a module, strictly; UnmaskError if names or shapes differ."""
    try:
        module.load_state_dict(checkpoint.tensors, strict=True)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        detail = lines[1] if len(lines) > 1 else lines[0]
        raise UnmaskError(
            f"{checkpoint.path}: its tensors do not fit the {checkpoint.kind} it describes ({detail[:160]}); "
            f"use weights made for this version of unmask"
        ) from None


def register(
    name: str,
    path: str | Path,
    *,
    license: str,
    source: str,
    onnx: str | Path | None = None,
    template: str | None = None,
    size: int | None = None,
    folder: str | Path | None = None,
) -> Row:
    """Add or replace the row ``name`` for a checkpoint (and its ONNX version) in the weights folder."""
    home = _folder(folder)
    described = _description(Path(path).read_bytes())
    if described is None:
        raise UnmaskError(f"{path}: not a checkpoint of unmask; write it with weights.save")
    kind = described["kind"]
    row = Row(name, kind, _inside(path, home), files.sha256(Path(path)), Path(path).stat().st_size)
    row = replace(row, license=license, source=source, template=template, size=size)
    if onnx is not None:
        exported = Path(onnx)
        if strange := {part.name for part in onnx_files.parts(exported)[1:]} - {row.file}:
            raise UnmaskError(f"{exported}: reads tensors from {', '.join(sorted(strange))}, not from {row.file}")
        size_now = exported.stat().st_size
        row = replace(row, onnx=_inside(exported, home), onnx_sha256=files.sha256(exported), onnx_bytes=size_now)
    table = rows(home)
    at = next((i for i, old in enumerate(table) if old.name == name), len(table))
    table[at : at + 1] = [row]
    text = json.dumps({"format": FORMAT, "weights": [asdict(row) for row in table]}, indent=1) + "\n"
    files.write(home / INDEX, text.encode())
    return row


def verify(folder: str | Path | None = None) -> list[tuple[str, str]]:
    """Check every file of the table by its sha256: (file, "ok" | "missing" | "wrong sha256") for each."""
    home = _folder(folder)
    found = []
    for row in rows(home):
        for form, sha256 in (("safetensors", row.sha256), ("onnx", row.onnx_sha256)):
            if form == "onnx" and row.onnx is None:
                continue
            path = _file_of(row, home, form)
            if not path.is_file():
                found.append((path.name, "missing"))
            else:
                found.append((path.name, "ok" if files.sha256(path) == sha256 else "wrong sha256"))
    return found


def _folder(folder: str | Path | None) -> Path:
    return Path(folder) if folder is not None else default_folder()


def locate(name_or_path: str | Path, form: str = "safetensors", folder: str | Path | None = None) -> Path:
    """:func:`find` without hashing: ``read`` hashes the very bytes that it loads."""
    home = _folder(folder)
    if form not in ("safetensors", "onnx"):
        raise ValueError(f"form is 'safetensors' or 'onnx', not {form!r}")
    row = next((row for row in rows(home) if row.name == str(name_or_path)), None)
    path = _file_of(row, home, form) if row else Path(name_or_path)
    if not path.is_file():
        raise UnmaskError(_not_found(name_or_path, path, row, home))
    return path


def _file_of(row: Row, home: Path, form: str) -> Path:
    name = row.file if form == "safetensors" else row.onnx
    if name is None:
        raise UnmaskError(f"{home / INDEX}: {row.name} has no ONNX file; make it with 'unmask export'")
    if Path(name).name != name:
        raise UnmaskError(f"{home / INDEX}: {row.name} names a file outside the folder ({name}); {_RESTORE}")
    return home / name


def _inside(path: str | Path, home: Path) -> str:
    if Path(path).resolve().parent != home.resolve():
        raise UnmaskError(f"{path}: lies outside the weights folder {home}; move it there first")
    return Path(path).name


def _expected(path: Path) -> str | None:
    """The sha256 that the table beside a file names for it, or None where it has no row."""
    row = row_of(path)
    return None if row is None else row.sha256 if row.file == path.name else row.onnx_sha256


def _not_found(name_or_path: str | Path, path: Path, row: Row | None, home: Path) -> str:
    if row:
        return f"{path}: missing, though {INDEX} names it; {_RESTORE}"
    if path.is_dir():
        return f"{path}: a folder, not a checkpoint; give the file inside it"
    if path.suffix or len(path.parts) > 1:
        return f"{path}: no such file; give the path of a checkpoint"
    known = ", ".join(row.name for row in rows(home)) or "none"
    return f"{name_or_path}: no weights of that name in {home} (known: {known}); give one of these or a path"


def _wrong_hash(path: Path) -> str:
    return f"{path}: altered or cut short, its sha256 is not the one in {INDEX}; {_RESTORE}"


def _description(data: bytes) -> dict[str, Any] | None:
    """The ``unmask`` entry of a safetensors file, None if it has none; ValueError for other files."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 2 <= length <= min(MAX_HEADER, len(data) - 8):
        raise ValueError("its header is cut short")
    header = json.loads(data[8 : 8 + length])
    entry = (header.get("__metadata__") or {}).get("unmask") if isinstance(header, dict) else None
    if entry is None:
        return None
    described: dict[str, Any] = json.loads(entry)
    if described["format"] != FORMAT:
        raise ValueError(f"its format is {str(described['format'])[:40]}, this version reads {FORMAT}")
    kinds = {"kind": str, "arch": dict, "meta": dict}
    if not all(isinstance(described[key], kind) for key, kind in kinds.items()):
        raise ValueError("its description is no table of kind, arch and meta")
    return {key: described[key] for key in ("kind", "arch", "meta")}


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
