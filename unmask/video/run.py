"""A run of ``unmask restore`` over clips: one after another, with the progress of each."""

from __future__ import annotations

import sys

from tqdm import tqdm

from .. import progress
from ..batch import jobs as many_jobs
from ..batch import report
from ..batch.jobs import Job
from ..batch.run import Models, Options
from ..restore.restorer import Restorer
from . import clip, restore


def run(jobs: list[Job], options: Options, models: Models) -> int:
    """Load the models once and restore every clip; the exit code."""
    todo = report.pending(jobs, options.wanted.overwrite, options.skip_existing)
    if not todo:
        return 0
    from .. import engines

    with engines.one_thread_each():  # before the models are loaded, which take as many as they find
        restorer = models.load()
        return report.report(report.each(todo, lambda job: _one(restorer, job, options)), len(todo))


def _one(restorer: Restorer, job: Job, options: Options) -> str | None:
    """Restore one clip; the line to print."""
    assert job.source is not None and job.target is not None
    how = options.wanted
    many_jobs.refuse_existing([job.target], how.overwrite)
    hidden = True if progress.quiet() else None
    with tqdm(total=clip.length(job.source), unit="frame", file=sys.stderr, disable=hidden) as bar:
        shown = restore.restore_clip(
            restorer, job.source, job.target, face=how.face, seed=how.seed, progress=lambda n: bar.update(n - bar.n)
        )
    if progress.quiet():
        return None
    before = f", {shown.before} by an earlier run" if shown.before else ""
    lost = "".join(f"; {words}" for words in clip.losses(job.source))
    return f"{job.name} -> {job.target}  ({shown.restored} of {shown.frames} frames restored{before}{lost})"
