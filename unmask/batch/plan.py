"""Which files a command reads and where it writes: files, folders and patterns in, one job a picture out."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from .. import formats, progress
from ..errors import UnmaskError, UsageError
from .jobs import Job

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
    below = None if out in (None, STREAM) else Path(os.path.realpath(str(out)))
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
    check(jobs, lambda job: ())
    _refuse_unwritable(jobs, frozenset(clips))
    done = {job.source for job in jobs}
    return Plan(jobs, Counter(kind for path, kind in left_out.items() if path not in done))


@contextmanager
def rest_told(planned: Plan) -> Iterator[None]:
    """Print at the end, however it comes, what a run leaves out of its folders."""
    try:
        yield
    finally:
        if rest := planned.rest():
            progress.say(f"unmask: {rest}")


def _inside(path: Path, below: Path | None, root: Path) -> bool:
    """Whether a file lies in the folder of results, where that folder lies inside the folder of inputs."""
    if below is None:
        return False
    real = Path(os.path.realpath(path))
    return Path(os.path.realpath(root)) in below.parents and below in real.parents


def _expand(
    typed: str, ours: tuple[str, ...], below: Path | None, left_out: dict[Path, str]
) -> Iterator[tuple[Path, Path | None]]:
    """Pictures of one argument, each with the folder whose tree is mirrored (None for a file).

    What else lies in a folder, but for earlier results, is written down in ``left_out``, by its suffix.
    """
    refuse_address(typed)
    path = Path(typed)
    if os.path.isdir(path):
        found = []
        for file in sorted(path.rglob("*")):
            if os.path.isdir(file) or file.stem.endswith(ours) or _inside(file, below, path):
                continue
            hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
            if file.suffix.lower() in formats.SUFFIXES and os.path.isfile(file) and not hidden:
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
    elif not os.path.exists(path) and glob.has_magic(typed):
        matches = [Path(match) for match in sorted(glob.glob(typed, recursive=True))]
        matches = [match for match in matches if os.path.isfile(match) and not match.stem.endswith(ours)]
        if not matches:
            raise UsageError(f"{typed}: no file matches this pattern")
        yield from ((match, None) for match in matches)
    else:
        yield path, None


def refuse_address(typed: str) -> None:
    """UsageError for the address of a page or file on the net, as it was typed."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", typed):
        raise UsageError(f"{typed}: is an address, and nothing is fetched from the net; give a file on this machine")


def _key(path: Path, root: Path | None) -> str:
    return (path.relative_to(root) if root else Path(path.name)).as_posix()


def _target(path: Path, root: Path | None, out: str | None, mark: str, single: bool) -> Path:
    if out is None:
        return path.with_name(f"{path.stem}.{mark}{path.suffix}")
    place = Path(out)
    if single and not out.endswith(os.sep) and place.suffix and not os.path.isdir(place):
        return place
    return place / _key(path, root)


def check(jobs: Sequence[Job], extras: Callable[[Job], Iterable[Path]], reads: Iterable[Path] = ()) -> None:
    """UsageError where two jobs would write the same file, or one would write what is read.

    Args:
        extras: the further files that a job writes beside its target.
        reads: files that the command reads beside the inputs of the jobs.
    """
    sources = {os.path.realpath(path) for path in [*(job.source for job in jobs if job.source), *reads]}
    targets: dict[str, Job] = {}
    for job in jobs:
        if job.target is None:
            continue
        for path in [job.target, *extras(job)]:
            real = os.path.realpath(path)
            if real in sources:
                raise UsageError(f"{path}: is read too and would be replaced; give another -o")
            if real in targets:
                raise UsageError(
                    f"{path}: both {targets[real].name} and {job.name} would go there; restore them into two folders"
                )
            targets[real] = job


def _refuse_unwritable(jobs: Iterable[Job], clips: frozenset[str]) -> None:
    for job in jobs:
        clip = job.source is not None and job.source.suffix.lower() in clips
        if job.target is None:
            continue
        if clip and job.target.suffix.lower() not in clips:
            raise UsageError(f"{job.target}: no clip can be written so; end it in one of {', '.join(sorted(clips))}")
        if not clip:
            formats.refuse_unwritable(job.target, job.source)


def to_stdout(data: bytes) -> None:
    """Write a picture to stdout; UnmaskError where nobody takes it."""
    if sys.stdout is None:
        raise UnmaskError("stdout: is closed; give -o FILE")
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as error:
        raise UnmaskError(f"stdout: cannot be written ({error.strerror}); give -o FILE") from None
