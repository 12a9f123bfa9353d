"""Doing many pictures: progress on stderr, one failure does not stop the rest, and one exit code for all."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import click

from ..errors import UnmaskError
from .files import Job

PARTLY = 3  # exit code: some inputs failed and the rest were done


def run(
    jobs: Sequence[Job],
    do: Callable[[Job], str | None],
    failed: Callable[[Job, str], None] | None = None,
) -> int:
    """Do every job and return the exit code; the error of a single job is raised.

    Args:
        do: does one job and returns the line to print on stdout, None for nothing.
        failed: also told of each job that failed, with the message.
    """
    from tqdm import tqdm

    bad = 0
    bar = tqdm(jobs, unit="photo", file=sys.stderr, disable=None if len(jobs) > 1 else True)
    for job in bar:
        try:
            line = do(job)
            if line is not None:
                bar.write(line, file=sys.stdout)
        except Exception as error:  # one odd file must not cost the others
            ours = isinstance(error, UnmaskError)
            message = str(error) if ours else f"{job.name}: unexpected {type(error).__name__} ({error}); report it"
            if failed:
                failed(job, message)
            if len(jobs) == 1:
                raise
            bad += 1
            bar.write(f"unmask: {message}", file=sys.stderr)
        sys.stdout.flush()
    if bad:
        click.echo(f"unmask: {bad} of {len(jobs)} pictures failed", err=True)
    return 0 if not bad else 1 if bad == len(jobs) else PARTLY


def pending(jobs: Sequence[Job], overwrite: bool, skip_existing: bool) -> list[Job]:
    """The jobs to do: without those whose result exists, where they are to be left out."""
    if overwrite or not skip_existing:
        return list(jobs)
    left = [job for job in jobs if job.target is None or not job.target.exists()]
    if len(left) < len(jobs):
        click.echo(f"unmask: {len(jobs) - len(left)} of {len(jobs)} results exist and are left out", err=True)
    return left
