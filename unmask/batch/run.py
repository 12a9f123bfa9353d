"""A run of ``unmask restore``: what is asked for, what cannot be, and the jobs done and told."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .. import progress
from ..errors import UsageError, printable
from . import jobs as many_jobs
from . import plan, report
from .jobs import CLIPS, Job, Wanted

if TYPE_CHECKING:
    from ..restore.restorer import Restorer
    from .manifest import Manifest
    from .step import Done

MARK = "unmasked"


@dataclass(frozen=True)
class Models:
    """Which models to load, and where."""

    device: str = "auto"
    weights: str | None = None
    detector: str | None = None
    min_score: float = 0.5
    reference: tuple[str, ...] = ()

    def load(self) -> Restorer:
        """The restorer of them; says where the pack stands in for some of what was asked for."""
        from ..restore import parts
        from ..restore.restorer import Restorer

        if told := parts.of(self.weights).told:
            progress.say(told)
        return Restorer.from_pretrained(
            self.weights,
            device=self.device,
            detector=self.detector,
            min_score=self.min_score,
            reference=self.reference,
        )


@dataclass(frozen=True)
class Options:
    """What holds for one run beside what is ``wanted`` of every picture; ``several`` of them fill a folder."""

    wanted: Wanted
    out: str | None = None
    skip_existing: bool = False
    as_json: bool = False
    manifest: str | None = None
    shard: tuple[int, int] | None = None
    engine: str = "threads"
    lossless: bool = False
    several: bool = False

    def of_several(self) -> Options:
        """The same for a run that fills a folder."""
        return replace(self, several=True)

    @property
    def folder(self) -> Path | None:
        """The folder that this run fills with several results, if it does."""
        return Path(self.out) if self.out is not None and self.several else None

    @property
    def records(self) -> Path | None:
        """The manifest asked for, or the one that the folder of the results gets."""
        from . import manifest

        if self.manifest or self.folder is None:
            return Path(self.manifest) if self.manifest else None
        return self.folder / manifest.name_of(*(self.shard or (1, 1)))


def planned(inputs: tuple[str, ...], options: Options, reads: Iterable[str] = ()) -> tuple[plan.Plan, list[Job]]:
    """What was found under the inputs, and the jobs that come of it; UsageError where these cannot be done.

    ``reads`` are further files that are read, which no job may replace.
    """
    if options.wanted.overwrite and options.skip_existing:
        raise UsageError("--overwrite and --skip-existing: give one of them")
    found = plan.plan(inputs, options.out, MARK, many_jobs.words(), CLIPS)
    jobs: list[Job] = [many_jobs.lossless(job) for job in found] if options.lossless else list(found)
    _check(jobs, options.of_several() if len(jobs) > 1 else options, reads)
    return found, many_jobs.shard(jobs, *options.shard) if options.shard else jobs


def are_clips(jobs: list[Job]) -> bool:
    """Whether the jobs are clips; :func:`planned` sees to it that all are or none."""
    return any(job.source is not None and job.source.suffix.lower() in CLIPS for job in jobs)


def _check(jobs: list[Job], options: Options, reads: Iterable[str]) -> None:
    how = options.wanted
    clips = sum(job.source is not None and job.source.suffix.lower() in CLIPS for job in jobs)
    beside = options.as_json or how.compare or how.save_region or how.samples > 1
    if clips and (clips < len(jobs) or beside or how.region or options.manifest or options.out == plan.STREAM):
        raise UsageError("clips go alone, and only with --face, --seed, -o FILE and the options of the models")
    if how.region and len(jobs) > 1:
        raise UsageError(f"--region {how.region}: is for one picture, not for {len(jobs)}")
    if beside and any(job.target is None for job in jobs):
        raise UsageError("--json, --compare, --save-region, --samples: need the picture in a file; give -o FILE")
    plan.check(jobs, how.extras, [Path(path) for path in (how.region, options.records, *reads) if path])
    if options.engine == "ray" and (clips or any(job.source is None or job.target is None for job in jobs)):
        raise UsageError("--engine ray: is for pictures in files, results in files")


def foreseen(job: Job, options: Options) -> str:
    """What would be done with a job, in a line."""
    fate = ""
    if job.source is not None and not os.path.isfile(job.source):
        fate = "  (missing)"
    elif job.target is not None and os.path.exists(job.target):
        how = "replaced" if options.wanted.overwrite else "skipped" if options.skip_existing else ""
        fate = f"  (exists{': ' if how else ''}{how})"
    return printable(f"{job.name} -> {job.target or 'stdout'}{fate}")


def run(jobs: list[Job], options: Options, models: Models) -> int:
    """Load the models once and restore every job; the exit code."""
    todo = report.pending(jobs, options.wanted.overwrite, options.skip_existing)
    if not todo:
        return 0
    return with_manifest(options, lambda kept: _do(todo, options, models, kept))


def with_manifest(options: Options, do: Callable[[Manifest | None], int]) -> int:
    """Call ``do`` with the manifest of a run, which nobody else writes meanwhile."""
    from . import manifest

    with manifest.alone(options.records, options.folder, shared=options.shard is not None):
        kept = manifest.Manifest(options.manifest) if options.manifest else None
        if kept is None and options.folder is not None:
            kept = manifest.of_shard(options.folder, *(options.shard or (1, 1)))
        return do(kept)


def _do(todo: list[Job], options: Options, models: Models, manifest: Manifest | None) -> int:
    from . import step

    told = failed if options.as_json else None
    if options.engine == "ray":
        from . import ray_engine

        through = ray_engine.run(todo, models.load, options.wanted, manifest)
        return report.report((outcome(done, options) for done in through), len(todo), told)
    from .. import engines

    workers = engines.threads()  # several pictures get one thread each, which wastes less than sharing them
    with engines.one_thread_each() if len(todo) > 1 else contextlib.nullcontext():
        work = step.Step(models.load(), options.wanted, manifest, manifest.add if manifest else None)
        outcomes = (outcome(done, options) for done in step.run(todo, work, workers))
        return report.report(outcomes, len(todo), told)


def outcome(done: Done, options: Options) -> report.Outcome:
    """Print what goes to stdout now, and say what is to be printed of the rest."""
    line = None
    if done.warning:
        progress.say(printable(f"{done.job.name}: {done.warning}"))
    if done.data is not None:
        plan.to_stdout(done.data)
    elif done.error is None and options.as_json:
        facts = {key: done.record[key] for key in ("input", "output", "faces") if key in done.record}
        facts["output"] = str(done.job.target)
        seconds = round(sum(done.record["seconds"].values()), 3)
        line = json.dumps({**facts, "note": done.note, "seconds": seconds})
    elif done.error is None and not done.before and not progress.quiet():
        line = f"{done.job.name} -> {done.job.target}  ({done.summary})"
    return report.Outcome(done.job, line, done.error, done.before)


def failed(one: report.Outcome) -> str:
    """The JSON line about a job that failed."""
    return json.dumps({"input": one.job.name, "error": one.message})
