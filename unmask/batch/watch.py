"""A folder that is watched: its photos are restored as they arrive, until somebody ends it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .. import progress
from ..errors import UsageError
from . import jobs as many_jobs
from . import plan, report, run
from .jobs import CLIPS, Job

if TYPE_CHECKING:
    from .manifest import Manifest
    from .step import Done

PAUSE = 1.0  # seconds between two looks; a file that is the same at both has arrived
Stamp = tuple[int, int, int]  # size, time of the last change, and number of a file


class Arrivals:
    """What has come to rest in a folder since the last look, each file once for each time that it changes."""

    def __init__(self) -> None:
        self.seen: dict[Path, Stamp] = {}
        self.taken: dict[Path, Stamp] = {}

    def among(self, jobs: Iterable[Job]) -> list[Job]:
        """The jobs whose files are as they were at the last look, and were not taken like that before."""
        arrived = []
        for job in jobs:
            stamp = _stamp(job.source)
            if job.source is None or stamp is None or self.taken.get(job.source) == stamp:
                continue
            if stamp[0] and self.seen.get(job.source) == stamp:
                self.taken[job.source] = stamp
                arrived.append(job)
            self.seen[job.source] = stamp
        return arrived


def _stamp(path: Path | None) -> Stamp | None:
    try:
        state = os.stat(path or "")
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns, state.st_ino


def listed(folders: Sequence[str], options: run.Options) -> list[Job]:
    """The photos in the folders that have no result yet, or all of them where results are to be replaced."""
    try:
        found = plan.plan(folders, options.out, run.MARK, many_jobs.words())
    except UsageError:  # nothing there yet
        return []
    jobs = [job for job in found if job.source is not None and job.source.suffix.lower() not in CLIPS]
    jobs = [many_jobs.lossless(job) for job in jobs] if options.lossless else jobs
    return [job for job in jobs if options.wanted.overwrite or job.target is None or not os.path.lexists(job.target)]


def watch(
    folders: Sequence[str],
    options: run.Options,
    models: run.Models,
    rest: Callable[[float], None] = time.sleep,
) -> int:
    """Restore what arrives in the folders until an interruption, which ends it with exit code 0.

    Args:
        rest: called between two looks; what it raises ends the watch.

    Raises:
        UsageError: an input that is no folder, or options that are for given pictures.
    """
    for folder in folders:
        plan.refuse_address(folder)
        if not os.path.isdir(folder):
            raise UsageError(f"{folder}: is no folder; --watch takes folders")
    if options.wanted.region or options.engine != "threads" or options.shard or options.out == plan.STREAM:
        raise UsageError("--watch: goes without --region, --shard, --engine and -o -")
    counts = {"restored": 0, "failed": 0}

    def look_after(manifest: Manifest | None) -> int:
        from .. import engines
        from . import step

        with engines.one_thread_each():
            work = step.Step(models.load(), options.wanted, manifest, manifest.add if manifest else None)
            progress.say(f"unmask: watching {', '.join(folders)} (Ctrl-C ends it)")
            arrivals = Arrivals()
            while True:
                todo = arrivals.among(listed(folders, options))
                if todo:
                    outcomes = _counted(step.run(todo, work, 1), options, counts)
                    report.report(outcomes, len(todo), run.failed if options.as_json else None, alone=False)
                rest(PAUSE)

    try:
        return run.with_manifest(options, look_after)
    except KeyboardInterrupt:
        progress.say(f"unmask: ended; {counts['restored']} restored, {counts['failed']} failed")
        return 0


def _counted(through: Iterable[Done], options: run.Options, counts: dict[str, int]) -> Iterable[report.Outcome]:
    for done in through:
        counts["failed" if done.error else "restored"] += 1
        yield run.outcome(done, options)
