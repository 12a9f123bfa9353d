"""Doing many pictures: progress on stderr, one failure does not stop the rest, and one exit code for all."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .. import progress
from ..errors import NoFaceError, NoMaskError, UnmaskError, printable
from ..files import reason
from .jobs import Job

KINDS = ("without a face", "without a face mask", "for other reasons")
PARTLY = 3  # exit code: some inputs failed and the rest were done


@dataclass(frozen=True)
class Outcome:
    """What came of a job: a ``line`` for stdout (None for nothing), or an ``error``; ``before``: in an earlier run."""

    job: Job
    line: str | None = None
    error: Exception | None = None
    before: bool = False

    @property
    def message(self) -> str:
        """The error in one line."""
        if self.error is None or isinstance(self.error, UnmaskError):
            return str(self.error)
        return printable(f"{self.job.name}: unexpected {type(self.error).__name__} ({self.error}); report it")


def each(jobs: Iterable[Job], do: Callable[[Job], str | None]) -> Iterator[Outcome]:
    """The jobs one after another; ``do`` does one and returns its line."""
    for job in jobs:
        try:
            yield Outcome(job, do(job))
        except Exception as error:  # one odd file must not cost the others
            yield Outcome(job, error=error)


def report(
    outcomes: Iterable[Outcome], total: int, failed: Callable[[Outcome], str] | None = None, alone: bool = True
) -> int:
    """Print what comes of ``total`` jobs and return the exit code; the error of a single job is raised.

    Args:
        failed: the line for stdout about a job that failed; none where not given.
        alone: the jobs are all that is done; else no error is raised, and failures are not counted at the end.
    """
    from tqdm import tqdm

    counts, silent = Counter[str](), ""
    bar = tqdm(
        outcomes, total=total, unit="photo", file=sys.stderr, disable=True if total == 1 or progress.quiet() else None
    )
    for outcome in bar:
        counts["before"] += outcome.before
        if outcome.error is None:
            counts["done"] += 1
            if outcome.line is not None and not silent:
                silent = _say(bar, outcome.line)
        else:
            counts["failed"] += 1
            counts[_kind(outcome.error)] += 1
            if failed and not silent:
                silent = _say(bar, failed(outcome))
            if total == 1 and alone:
                ours = isinstance(outcome.error, UnmaskError)
                raise outcome.error if ours else UnmaskError(outcome.message) from outcome.error
            bar.write(f"unmask: {outcome.message}", file=sys.stderr)
        bar.set_postfix({key: counts[key] for key in ("done", "failed")}, refresh=False)
    if counts["before"]:
        progress.say(f"unmask: {counts['before']} of {total} were done by an earlier run")
    if counts["failed"] and alone:
        kinds = ", ".join(f"{counts[kind]} {kind}" for kind in KINDS if counts[kind])
        progress.warn(f"unmask: {counts['failed']} of {total} pictures failed: {kinds}")
    if silent:
        progress.warn(f"unmask: stdout: cannot be written ({silent}); the files are done")
        return 1
    return 0 if not counts["failed"] else 1 if counts["failed"] == total else PARTLY


def _say(bar: Any, line: str) -> str:
    """Print a line to stdout; why that could not be, if so: the work does not wait for who reads about it."""
    if sys.stdout is None:
        return ""
    try:
        bar.write(printable(line), file=sys.stdout)
        sys.stdout.flush()
    except OSError as error:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - what the old one still holds is not tried again
        return reason(error)
    return ""


def _kind(error: Exception) -> str:
    return KINDS[0] if isinstance(error, NoFaceError) else KINDS[1] if isinstance(error, NoMaskError) else KINDS[2]


def pending(jobs: Sequence[Job], overwrite: bool, skip_existing: bool) -> list[Job]:
    """The jobs to do: without those whose result exists, where they are to be left out."""
    if overwrite or not skip_existing:
        return list(jobs)
    left = [job for job in jobs if job.target is None or not os.path.exists(job.target)]
    if len(left) < len(jobs):
        progress.say(f"unmask: {len(jobs) - len(left)} of {len(jobs)} results exist and are left out")
    return left
