"""What was done, one JSON line a picture, so that a second run skips it and an interrupted one goes on."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import files
from ..errors import UnmaskError

Record = dict[str, Any]
NAME = "manifest"
SUFFIX = ".jsonl"
SAME = ("sha256", "models", "options")  # what must be alike for a result to be still good
VERDICTS = ("no face", "no mask")  # outcomes that write nothing and that a second try would not change
RESTORED, STARTED = "restored", "started"
REFUSED = "refused"  # nothing was tried, so nothing is recorded


class Manifest:
    """An append-only file of records; of several about one output the last result counts, whatever failed after it.

    May be shared between threads.

    A record has ``input`` (as it was named), ``output`` (relative to the manifest's folder), ``sha256`` of the input,
    ``models`` (name to sha256), ``options`` (all that the result depends on), ``outcome`` ("restored", "no face",
    "no mask", "error", or "started" before a file is written), and then ``faces``, ``seconds``, ``error``.
    """

    def __init__(self, path: str | Path, others: Iterable[Path] = ()) -> None:
        """Open ``path`` (made at the first record) and read what it and ``others`` hold.

        Raises:
            UnmaskError: a file that is there is no manifest or cannot be read.
        """
        self.path, self._lock = Path(path), threading.Lock()
        self._written, self._verdicts = dict[str, Record](), dict[tuple[str, str], Record]()
        for one in [*(other for other in others if other != self.path), self.path]:
            for record in _read(one):
                self._learn(os.path.normpath(one.parent.absolute() / record["output"]), record)

    def _learn(self, output: str, record: Record) -> None:
        if record["outcome"] in (STARTED, RESTORED):
            self._written[output] = record
        elif record["outcome"] in VERDICTS:
            self._verdicts[output, _way(record)] = record

    def __getstate__(self) -> dict[str, Any]:  # for other processes, which only read it
        return {"path": self.path, "_written": self._written, "_verdicts": self._verdicts}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def done(self, outputs: Sequence[Path], wanted: Mapping[str, Any]) -> Record | None:
        """The record that makes the work on ``outputs`` needless: same input, models and options as in ``wanted``.

        None where there is none, where a second try may help, and where one of the outputs (the result comes first)
        is gone.
        """
        record = self._written.get(os.path.abspath(outputs[0]))
        if record is not None and record["outcome"] == RESTORED and _way(record) == _way(wanted):
            return record if all(path.exists() for path in outputs) else None
        return self._verdicts.get((os.path.abspath(outputs[0]), _way(wanted)))

    def replaceable(self, target: Path, wanted: Mapping[str, Any]) -> bool:
        """Whether an output is our own and may be made anew unasked: begun and not finished, or of the same work."""
        record = self._written.get(os.path.abspath(target))
        return record is not None and (record["outcome"] == STARTED or _way(record) == _way(wanted))

    def add(self, target: Path, record: Mapping[str, Any]) -> None:
        """Append a record about an output, whole lines only; UnmaskError where the file cannot be written."""
        if record["outcome"] == REFUSED:
            return
        folder = self.path.parent
        whole: Record = {"input": record.get("input"), "output": os.path.relpath(target, folder), **record}
        with self._lock:
            self._learn(os.path.abspath(target), whole)
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


def _way(record: Mapping[str, Any]) -> str:
    """All that must be alike for a result to be still good, as text."""
    return json.dumps([record.get(key) for key in SAME], sort_keys=True)


@contextlib.contextmanager
def alone(own: Path | None, folder: Path | None, shared: bool) -> Iterator[None]:
    """Be the only run that keeps the manifest ``own`` and, unless ``shared`` with its other shards, fills ``folder``.

    Raises:
        UnmaskError: another run is at work there.
    """
    with contextlib.ExitStack() as locks:
        if folder is not None:
            _make(folder)
            locks.enter_context(files.lock(folder, shared))
        if own is not None:
            _make(own.parent)
            with contextlib.suppress(OSError):
                own.touch()
            locks.enter_context(files.lock(own))
        yield


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnmaskError(f"{folder}: cannot be made ({files.reason(error)}); give another place") from None


def name_of(part: int = 1, parts: int = 1) -> str:
    """The name of the manifest that a run, or a part of one, keeps in the folder of its results."""
    return f"{NAME}.{part}of{parts}{SUFFIX}" if parts > 1 else f"{NAME}{SUFFIX}"


def of_shard(folder: Path, part: int = 1, parts: int = 1) -> Manifest:
    """The manifest that a run keeps in the folder of its results; those of other shards are read, too."""
    return Manifest(folder / name_of(part, parts), sorted(folder.glob(f"{NAME}*{SUFFIX}")))


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
        with contextlib.suppress(ValueError, RecursionError):
            record = json.loads(line.decode("utf-8", "surrogateescape"))
            if isinstance(record, dict) and isinstance(record.get("output"), str) and "outcome" in record:
                records.append(record)
    if lines and not records and len(lines) > 1:
        raise UnmaskError(f"{path}: is no manifest of unmask; give another --manifest")
    return records
