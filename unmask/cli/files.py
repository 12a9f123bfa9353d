"""Which files a command reads and where it writes: files, folders and patterns in, one job a picture out."""

from __future__ import annotations

import glob
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from .. import formats
from ..batch.jobs import Job
from ..errors import UnmaskError, UsageError

STREAM = "-"
HIDDEN = "hidden"


class Plan(list[Job]):
    """Jobs, and how many files of the folders given are ``left_out`` of them, by suffix."""

    def __init__(self, jobs: Iterable[Job], left_out: Mapping[str, int] | None = None) -> None:
        super().__init__(jobs)
        self.left_out = Counter(left_out or {})

    def rest(self) -> str:
        """The line that names what is left out, such as "4 files left out: 3 .dng, 1 .mp4"; empty for nothing."""
        total = sum(self.left_out.values())
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.left_out.most_common())
        return f"{total} file{'s' if total > 1 else ''} left out: {kinds}" if total else ""


def plan(
    inputs: Sequence[str], out: str | None, mark: str, extras: Iterable[str] = (), clips: Iterable[str] = ()
) -> Plan:
    """The jobs for what a person typed.

    Args:
        inputs: files, folders (walked), patterns, or "-" alone for stdin.
        out: a file (for one input), a folder, "-" for stdout, or None for NAME.MARK.EXT beside each input.
        mark: what names results, such as "unmasked".
        extras: words of further files written beside results. What a run wrote into a folder of inputs is no
            input of a later run.
        clips: suffixes of clips, which take each other's place as targets.

    Raises:
        UsageError: no picture, two pictures with one target, a target that is an input, or one that cannot be written.
    """
    if STREAM in inputs:
        if len(inputs) > 1:
            raise UsageError("-: stdin is one picture; give it alone")
        target = None if out in (None, STREAM) else Path(str(out))
        if target is not None:
            formats.refuse_unwritable(target)
        return Plan([Job(None, target)])
    ours = tuple(f".{word}" for word in (mark, *extras))
    below = None if out in (None, STREAM) else Path(str(out)).resolve()
    left_out: dict[Path, str] = {}
    pairs = [
        (path, root)
        for typed in inputs
        for path, root in _expand(typed, ours, below, left_out)
        if root is None or not _inside(path, below, root)
    ]
    if not pairs:
        raise UsageError(f"{', '.join(inputs)}: nothing but earlier results; give other pictures")
    single = len(pairs) == 1 and pairs[0][1] is None
    if out == STREAM:
        if not single:
            raise UsageError("-o -: only one picture can go to stdout; give -o FOLDER")
        return Plan([Job(pairs[0][0], None)])
    jobs = list(
        dict.fromkeys(Job(path, _target(path, root, out, mark, single), _key(path, root)) for path, root in pairs)
    )
    _check(jobs, frozenset(clips))
    done = {job.source for job in jobs}
    return Plan(jobs, Counter(kind for path, kind in left_out.items() if path not in done))


@contextmanager
def rest_told(planned: Plan) -> Iterator[None]:
    """Print at the end, however it comes, what a run leaves out of its folders."""
    try:
        yield
    finally:
        if rest := planned.rest():
            click.echo(f"unmask: {rest}", err=True)


def _inside(path: Path, below: Path | None, root: Path) -> bool:
    """Whether a file lies in the folder of results, where that folder lies inside the folder of inputs."""
    return below is not None and root.resolve() in below.parents and below in path.resolve().parents


def _expand(
    typed: str, ours: tuple[str, ...], below: Path | None, left_out: dict[Path, str]
) -> Iterator[tuple[Path, Path | None]]:
    """Pictures of one argument, each with the folder whose tree is mirrored (None for a file).

    What else lies in a folder, but for earlier results, is written down in ``left_out``, by its suffix.
    """
    path = Path(typed)
    if path.is_dir():
        found = []
        for file in sorted(path.rglob("*")):
            if file.is_dir() or file.stem.endswith(ours) or _inside(file, below, path):
                continue
            hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
            if file.suffix.lower() in formats.SUFFIXES and file.is_file() and not hidden:
                found.append(file)
            elif file.suffix.lower() in formats.SUFFIXES or not hidden:  # not what a system keeps there for itself
                left_out[file] = HIDDEN if hidden else file.suffix.lower() or "without a suffix"
        if not found:
            rest = Plan([], Counter(left_out.values())).rest()
            raise UsageError(
                f"{typed}: no pictures in this folder{f' ({rest})' if rest else ''}; "
                f"it takes {', '.join(formats.SUFFIXES)}"
            )
        yield from ((file, path) for file in found)
    elif not path.exists() and glob.has_magic(typed):
        matches = [Path(match) for match in sorted(glob.glob(typed, recursive=True))]
        matches = [match for match in matches if match.is_file() and not match.stem.endswith(ours)]
        if not matches:
            raise UsageError(f"{typed}: no file matches this pattern")
        yield from ((match, None) for match in matches)
    else:
        yield path, None


def _key(path: Path, root: Path | None) -> str:
    return (path.relative_to(root) if root else Path(path.name)).as_posix()


def _target(path: Path, root: Path | None, out: str | None, mark: str, single: bool) -> Path:
    if out is None:
        return path.with_name(f"{path.stem}.{mark}{path.suffix}")
    place = Path(out)
    if single and not out.endswith(os.sep) and place.suffix and not place.is_dir():
        return place
    return place / _key(path, root)


def _check(jobs: Sequence[Job], clips: frozenset[str]) -> None:
    sources = {job.source.resolve() for job in jobs if job.source}
    targets: dict[Path, Job] = {}
    for job in jobs:
        if job.target is None:
            continue
        clip = job.source is not None and job.source.suffix.lower() in clips
        if clip and job.target.suffix.lower() not in clips:
            raise UsageError(f"{job.target}: no clip can be written so; end it in one of {', '.join(sorted(clips))}")
        if not clip:
            formats.refuse_unwritable(job.target, job.source)
        target = job.target.resolve()
        if target in sources:
            raise UsageError(f"{job.target}: is an input too and would be replaced; give another -o")
        if target in targets:
            raise UsageError(f"{job.target}: both {targets[target].name} and {job.name} would go there")
        targets[target] = job


def to_stdout(data: bytes) -> None:
    """Write a picture to stdout; UnmaskError where nobody takes it."""
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as error:
        raise UnmaskError(f"stdout: cannot be written ({error.strerror}); give -o FILE") from None
