"""One picture to do: where it comes from, where its result goes, what is wanted, and which machine takes it."""

from __future__ import annotations

import os
import stat
import sys
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from .. import files, formats
from ..errors import UnmaskError, UsageError

EXTRAS = {"compare": "compare", "region": "save_region"}  # word in the file name -> option
CLIPS = {*formats.CLIP_MIMES}  # suffixes of clips
MAX_SAMPLES = 32
SHEET, SPREAD = "samples", "spread"  # words of what is written beside the samples


class RefusedError(UnmaskError):
    """The work was not begun, since it would have replaced something."""


@dataclass(frozen=True)
class Job:
    """One picture to do. ``source`` or ``target`` is None for stdin or stdout.

    ``key`` is its path below the folder that was given (or its bare name): the same on every machine.
    """

    source: Path | None
    target: Path | None
    key: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        """How messages call it."""
        return str(self.source) if self.source is not None else "stdin"

    def beside(self, word: str, suffix: str = ".png") -> Path:
        """A second file beside the target: NAME.WORD.png."""
        if self.target is None:
            raise UsageError(f"--{word} needs a file beside which to write; give -o FILE")
        return self.target.with_name(f"{self.target.stem}.{word}{suffix}")

    def read(self) -> bytes:
        """The bytes of its picture, from the file or stdin."""
        if self.source is not None:
            return files.read(self.source)
        if sys.stdin is None:
            raise UnmaskError("stdin: is closed; pipe a picture in, or name a file")
        try:
            data = sys.stdin.buffer.read(files.MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            raise UnmaskError(f"stdin: cannot be read ({files.reason(error)}); pipe a picture in") from None
        if len(data) > files.MAX_BYTES:
            raise UnmaskError(f"stdin: is longer than {files.MAX_BYTES / 1e6:.0f} MB; pipe in one picture")
        return data


@dataclass(frozen=True)
class Wanted:
    """What holds for every picture of one run; see ``unmask restore``."""

    face: str | int = "all"
    region: str | None = None
    seed: int = 0
    samples: int = 1
    compare: bool = False
    save_region: bool = False
    overwrite: bool = False

    def facts(self) -> dict[str, Any]:
        """What the result depends on; of a region its content. UnmaskError where it cannot be read."""
        facts = {key: value for key, value in asdict(self).items() if key != "overwrite"}
        return {**facts, "region": None if self.region is None else files.sha256(self.region)}

    def extras(self, job: Job) -> list[Path]:
        """The further files that are written beside a result."""
        words = [word for word, option in EXTRAS.items() if getattr(self, option)]
        if self.samples > 1:
            words += [SHEET, SPREAD, *map(sample_word, range(self.samples))]
        note = None if job.target is None else formats.note_file(job.target)
        return [*(job.beside(word) for word in words), *([note] if note else [])]


def lossless(job: Job) -> Job:
    """The job with its result in a PNG where its own format would change every pixel a little.

    Raises:
        UsageError: the result goes to stdout, in the format of the input.
    """
    if job.target is None:
        raise UsageError("--lossless: needs the picture in a file; give -o NAME.png")
    return replace(job, target=job.target.with_suffix(".png")) if formats.is_lossy(job.target) else job


def sample_word(k: int) -> str:
    """The word in the file name of sample ``k``, from 0."""
    return f"sample-{k + 1:02d}"


def words() -> list[str]:
    """Of all files that a run may write beside its results; none of them is an input of a later one."""
    return [*EXTRAS, SHEET, SPREAD, *map(sample_word, range(MAX_SAMPLES))]


def shard(jobs: Sequence[Job], part: int, parts: int) -> list[Job]:
    """Part ``part`` (from 1) of ``parts`` of the jobs, by a hash of their keys: every job is in exactly one part.

    The parts are the same on every machine that lists the same files, also where some were added meanwhile.
    """
    return [job for job in jobs if zlib.crc32(job.key.encode("utf-8", "surrogateescape")) % parts == part - 1]


def make_room(path: Path) -> None:
    """Make the folder of a result; UnmaskError where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnmaskError(f"{path.parent}: cannot be made ({error.strerror}); give another -o") from None


def refuse_existing(paths: Iterable[Path | None], overwrite: bool) -> None:
    """RefusedError for the first file that exists, unless it may be replaced; devices and folders never may."""
    for path in paths:
        try:
            there = path is not None and os.path.lexists(path) and stat.S_IFMT(os.stat(path).st_mode)
        except FileNotFoundError:  # a link that leads nowhere yet
            there = False
        except (OSError, ValueError) as error:
            raise UnmaskError(f"{path}: cannot be written ({files.reason(error)}); give another -o") from None
        if there and there != stat.S_IFREG:
            raise RefusedError(f"{path}: is no file and is not replaced; give a file, or - for stdout")
        if there and not overwrite:
            raise RefusedError(f"{path}: exists; replace it with --overwrite or leave it with --skip-existing")
