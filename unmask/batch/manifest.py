"""What was done, one JSON line a picture, so that a second run skips it and an interrupted one goes on."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import UnmaskError

Record = dict[str, Any]
NAME = "manifest"
SUFFIX = ".jsonl"
SAME = ("sha256", "models", "options")  # what must be alike for a result to be still good
FINAL = ("restored", "no face", "no mask")  # outcomes that a second try would not change
STARTED = "started"


class Manifest:
    """An append-only file of records; of several about one output the last counts. May be shared between threads.

    A record has ``input`` (as it was named), ``output`` (relative to the manifest's folder), ``sha256`` of the input,
    ``models`` (name to sha256), ``options`` (all that the result depends on), ``outcome`` ("restored", "no face",
    "no mask", "error", or "started" before a file is written), and then ``faces``, ``seconds``, ``error``.
    """

    def __init__(self, path: str | Path, others: Iterable[Path] = ()) -> None:
        """Open ``path`` (made at the first record) and read what it and ``others`` hold.

        Raises:
            UnmaskError: a file that is there is no manifest or cannot be read.
        """
        self.path, self._lock, self._known = Path(path), threading.Lock(), dict[str, Record]()
        for one in [*others, self.path]:
            for record in _read(one):
                output = os.path.normpath(one.parent.absolute() / record["output"])
                self._known[output] = record

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_known": self._known}  # for other processes, which only read it

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def last(self, target: Path) -> Record | None:
        """The last record about an output, if there is one."""
        return self._known.get(os.path.abspath(target))

    def done(self, target: Path, wanted: Mapping[str, Any]) -> Record | None:
        """The record that makes the work on ``target`` needless: same input, models and options as in ``wanted``.

        None where there is none, where a second try may help, and where the output is gone.
        """
        record = self.last(target)
        if record is None or record["outcome"] not in FINAL or any(record.get(key) != wanted[key] for key in SAME):
            return None
        return record if record["outcome"] != "restored" or target.exists() else None

    def add(self, target: Path, record: Mapping[str, Any]) -> None:
        """Append a record about an output, whole lines only; UnmaskError where the file cannot be written."""
        folder = self.path.parent
        whole: Record = {"input": record.get("input"), "output": os.path.relpath(target, folder), **record}
        with self._lock:
            self._known[os.path.abspath(target)] = whole
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with self.path.open("ab+") as file:
                    if file.seek(0, os.SEEK_END):
                        file.seek(-1, os.SEEK_END)
                        if file.read(1) != b"\n":  # a line that a crash cut short
                            file.write(b"\n")
                    file.write(json.dumps(whole, ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n")
            except OSError as error:
                why = error.strerror
                raise UnmaskError(f"{self.path}: cannot be written ({why}); give another --manifest") from None


def of_shard(folder: Path, part: int = 1, parts: int = 1) -> Manifest:
    """The manifest that a run keeps in the folder of its results; those of other shards are read, too."""
    own = folder / (f"{NAME}.{part}of{parts}{SUFFIX}" if parts > 1 else f"{NAME}{SUFFIX}")
    return Manifest(own, [path for path in sorted(folder.glob(f"{NAME}*{SUFFIX}")) if path != own])


def _read(path: Path) -> list[Record]:
    """The records of a file; lines cut short by a crash are left out."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UnmaskError(f"{path}: cannot be read ({error.strerror}); give another --manifest") from None
    records = []
    for line in lines:
        with contextlib.suppress(ValueError):
            record = json.loads(line.decode("utf-8", "surrogateescape"))
            if isinstance(record, dict) and isinstance(record.get("output"), str) and "outcome" in record:
                records.append(record)
    if lines and not records and len(lines) > 1:
        raise UnmaskError(f"{path}: is no manifest of unmask; give another --manifest")
    return records
