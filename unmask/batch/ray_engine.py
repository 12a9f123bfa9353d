"""The step of :mod:`unmask.batch.step` on Ray Data, for those with a cluster."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import files, progress
from ..errors import UnmaskError
from .jobs import Job, Wanted
from .manifest import Manifest
from .step import OUTCOMES, Done, Step

if TYPE_CHECKING:
    from ..restore.restorer import Restorer

BATCH = 8  # pictures that a process takes at once


class Worker:
    """A process of the cluster: loads the models once and takes batches of jobs, as Ray Data calls it."""

    def __init__(self, load: Callable[[], Restorer], wanted: Wanted, manifest: Manifest | None) -> None:
        from .. import engines

        self._alone = contextlib.ExitStack()  # for as long as the process lives: one process a core
        self._alone.enter_context(engines.one_thread_each())
        self.step = Step(load(), wanted, manifest)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Columns ``index`` and ``job`` (JSON) in, columns ``index`` and ``done`` (JSON) out."""
        works = [self.step.open(_job(json.loads(text))) for text in batch["job"]]
        try:
            self.step.fill(works)
        except Exception:  # which of them was it?
            for work in works:
                self.step.fill([work])
        done = [json.dumps(_facts(self.step.close(work))) for work in works]
        return {"index": batch["index"], "done": np.array(done, dtype=object)}


def run(
    jobs: Sequence[Job],
    load: Callable[[], Restorer],
    wanted: Wanted,
    manifest: Manifest | None = None,
    workers: int | None = None,
) -> Iterator[Done]:
    """Do all jobs in the processes of the Ray cluster that this one is connected to, or of a local one.

    Args:
        load: makes the restorer, in each process.
        wanted, manifest: as :class:`unmask.batch.step.Step` takes them; this process alone writes the manifest.
        workers: processes; by default one a core of the cluster.

    Yields:
        each job as it is through, in no particular order. Files are on storage that all machines share.

    Raises:
        UnmaskError: Ray is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError:
        raise UnmaskError("--engine ray needs Ray; install it with: pip install 'unmask[ray]'") from None
    loud = progress.verbose()
    if not loud:
        for name in ("ray", "ray.data"):
            logging.getLogger(name).setLevel(logging.ERROR)
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what its own processes print
    try:
        with contextlib.nullcontext() if loud else _silent():
            ray.init(
                ignore_reinit_error=True, log_to_driver=loud, logging_level=logging.INFO if loud else logging.ERROR
            )
    except Exception as error:  # Ray raises kinds of its own, and plain ones
        raise UnmaskError(
            f"--engine ray: Ray does not start ({files.reason(error)}); see its own log, or use threads"
        ) from error
    ray.data.DataContext.get_current().enable_progress_bars = False
    count = workers or min(len(jobs), max(1, int(ray.cluster_resources().get("CPU", 1))))
    rows = [{"index": i, "job": json.dumps(_described(job))} for i, job in enumerate(jobs)]
    through = ray.data.from_items(rows).map_batches(
        Worker,
        fn_constructor_args=(load, wanted, manifest),
        batch_size=BATCH,
        compute=ray.data.ActorPoolStrategy(size=count),
        num_cpus=1,
    )
    for row in through.iter_rows():
        done = _done(jobs[int(row["index"])], json.loads(row["done"]))
        if manifest is not None and done.job.target is not None and not done.before:
            manifest.add(done.job.target, done.record)
        yield done


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Drop what is written to the standard error's file: Ray's own library does not ask Python."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _described(job: Job) -> dict[str, str]:
    return {"source": str(job.source), "target": str(job.target), "key": job.key}


def _job(facts: Mapping[str, str]) -> Job:
    return Job(Path(facts["source"]), Path(facts["target"]), facts["key"])


def _facts(done: Done) -> dict[str, Any]:
    kind = next((word for word, kind in OUTCOMES.items() if isinstance(done.error, kind)), "error")
    ours = isinstance(done.error, UnmaskError)
    text = str(done.error) if ours else f"{done.job.name}: unexpected {type(done.error).__name__} ({done.error})"
    error = [kind, text] if done.error is not None else None
    return {"record": done.record, "summary": done.summary, "note": done.note, "error": error, "before": done.before}


def _done(job: Job, facts: Mapping[str, Any]) -> Done:
    kind, text = facts["error"] or ("", "")
    error = OUTCOMES.get(kind, UnmaskError)(text) if facts["error"] else None
    return Done(job, facts["record"], facts["summary"], facts["note"], None, error, facts["before"])
