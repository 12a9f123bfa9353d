"""A queue with one worker: everybody waits in line, sees the place, and finished results go by age and size."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from ..errors import UnmaskError


class BusyError(UnmaskError):
    """The queue is full."""


class GoneError(UnmaskError):
    """There is no such job, or its result was dropped."""


class Sized(Protocol):
    """A result that knows how much memory it holds."""

    @property
    def nbytes(self) -> int:
        """Bytes of all that is kept."""
        ...


@dataclass
class Steps:
    """What a long job tells of itself while it is at work, and whether anybody still wants it.

    Attributes:
        done: steps so far.
        total: steps in all, None where that is not known.
    """

    done: int = 0
    total: int | None = None
    given_up: bool = False

    def tell(self, done: int) -> None:
        """Note how far it is; GoneError where it was given up meanwhile."""
        self.done = done
        if self.given_up:
            raise GoneError("the job was given up")


@dataclass(eq=False)
class Job:
    """One thing to do. ``id`` cannot be guessed: who does not know it does not see the result.

    Attributes:
        name: of the photo.
        work: what is to be done; None once it was begun or given up, so that the photo in it is held no longer.
        future: what comes out.
        steps: how far it is, of one that tells.
        ended: when it was done, on the monotonic clock; None before.
    """

    name: str
    work: Callable[[], Sized] | None
    steps: Steps | None = None
    future: Future[Any] = field(init=False)
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    ended: float | None = None

    def run(self) -> Sized:
        """Do the work, once."""
        work, self.work = self.work, None
        assert work is not None
        try:
            return work()
        finally:
            self.ended = time.monotonic()

    @property
    def state(self) -> Literal["waiting", "working", "done", "failed"]:
        """Where it stands."""
        if not self.future.done():
            return "working" if self.future.running() else "waiting"
        return "failed" if self.future.cancelled() or self.future.exception() else "done"


class Jobs:
    """Jobs in the order they came, done one at a time by one thread, so that memory and cores stay bounded."""

    def __init__(self, max_waiting: int = 16, max_bytes: int = 512 * 1024**2, max_age: float = 900.0) -> None:
        """Set the limits; :meth:`start` starts the worker.

        Args:
            max_waiting: jobs in line, beyond which more are refused.
            max_bytes: of finished results that are kept; the oldest go first, the newest always stays.
            max_age: seconds after its end after which a job is dropped.
        """
        self.max_waiting, self.max_bytes, self.max_age = max_waiting, max_bytes, max_age
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._worker: ThreadPoolExecutor | None = None

    def start(self) -> None:
        """Start the worker, or a new one after :meth:`close`."""
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="unmask-web")

    def submit(self, work: Callable[[], Sized], name: str = "", steps: Steps | None = None) -> Job:
        """Put work in line under the name of its photo, ``steps`` telling how far; BusyError where the line is full."""
        with self._lock:
            if self._worker is None:
                raise BusyError("the service is not running; try again in a while")
            self._drop()
            if self._unfinished() > self.max_waiting:  # the one at work does not wait
                raise BusyError(self.busy)
            job = Job(name, work, steps)
            job.future = self._worker.submit(job.run)
            self._jobs[job.id] = job
            return job

    @property
    def busy(self) -> str:
        """What is said to those for whom there is no room."""
        return f"{self.max_waiting} photos are waiting already; try again in a while"

    @property
    def is_full(self) -> bool:
        """Whether the next job would be refused."""
        with self._lock:
            return self._unfinished() > self.max_waiting

    def sweep(self) -> None:
        """Drop what is too old, also where nobody asks for anything."""
        with self._lock:
            self._drop()

    def get(self, id: str) -> Job:
        """The job of an id; GoneError where there is none."""
        with self._lock:
            self._drop()
            if id not in self._jobs:
                raise GoneError("there is no such job; results are dropped after a while, so send the photo again")
            return self._jobs[id]

    def ahead(self, job: Job) -> int:
        """How many jobs are to be done before this one, the one at work counted; 0 for the one at work."""
        with self._lock:
            before = list(self._jobs.values())
            before = before[: before.index(job)] if job in before else []
        return sum(not one.future.done() for one in before)

    def forget(self, id: str) -> None:
        """Drop a job: one in line is not done any more, one at work is done for nobody; GoneError if unknown."""
        with self._lock:
            job = self._jobs.pop(id, None)
        if job is None:
            raise GoneError("there is no such job; it may have been dropped already")
        if job.steps is not None:
            job.steps.given_up = True  # it ends at its next step
        if job.future.cancel():
            job.work = None  # the worker's own line still holds the job, not the photo

    def discard(self, id: str) -> None:
        """Drop a job if it is there."""
        with contextlib.suppress(GoneError):
            self.forget(id)

    @property
    def unfinished(self) -> int:
        """Jobs in line or at work."""
        with self._lock:
            return self._unfinished()

    def close(self) -> None:
        """Stop the worker after the job at hand; what waits is cancelled, and all results go."""
        with self._lock:
            worker, self._worker = self._worker, None
            for job in self._jobs.values():
                if job.steps is not None:
                    job.steps.given_up = True
        if worker is not None:
            worker.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            self._jobs.clear()

    def _unfinished(self) -> int:
        return sum(not job.future.done() for job in self._jobs.values())

    def _drop(self) -> None:
        """Let finished jobs go that are too old or too large together."""
        finished = [job for job in self._jobs.values() if job.future.done()]
        now, kept = time.monotonic(), 0
        for i, job in enumerate(reversed(finished)):
            kept += job.future.result().nbytes if job.state == "done" else 0
            if (job.ended is not None and now - job.ended > self.max_age) or (i and kept > self.max_bytes):
                del self._jobs[job.id]


def problem(error: BaseException | None) -> str:
    """One line for people about what a job ran into."""
    if isinstance(error, UnmaskError):
        return str(error)
    return f"unexpected {type(error).__name__} ({error}); report it"
