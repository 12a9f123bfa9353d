"""The queue by itself: order, limits, and what is dropped when."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from unmask.web.jobs import BusyError, GoneError, Jobs, problem


@dataclass
class Result:
    """A result of a stated size."""

    nbytes: int = 1


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    """A queue for two that keeps a hundred bytes."""
    started = Jobs(max_waiting=2, max_bytes=100)
    started.start()
    yield started
    started.close()


def test_one_at_a_time_and_in_order(jobs: Jobs) -> None:
    done: list[int] = []
    gate = threading.Event()
    jobs.max_waiting = 50

    def work(i: int) -> Result:
        assert gate.wait(10)
        done.append(i)
        return Result()

    made = [jobs.submit(lambda i=i: work(i)) for i in range(20)]
    assert [jobs.ahead(job) for job in made] == list(range(20))
    gate.set()
    for job in made:
        job.future.result(10)
    assert done == list(range(20)) and jobs.unfinished == 0


def test_a_full_line_refuses(jobs: Jobs) -> None:
    gate = threading.Event()

    def wait() -> Result:
        assert gate.wait(10)
        return Result()

    made = [jobs.submit(wait) for _ in range(3)]
    with pytest.raises(BusyError):
        jobs.submit(Result)
    jobs.forget(made[1].id)  # gives its place away
    last = jobs.submit(Result)
    gate.set()
    last.future.result(10)
    assert made[1].future.cancelled() and made[1].state == "failed"


def test_old_and_large_results_go_first(jobs: Jobs) -> None:
    made = []
    for size in (60, 30, 50, 200):
        made.append(jobs.submit(lambda size=size: Result(size)))
        made[-1].future.result(10)
    assert jobs.get(made[3].id) is made[3]  # the newest stays, whatever its size
    for job in made[:3]:
        with pytest.raises(GoneError):
            jobs.get(job.id)
    jobs.max_age = 0.01
    time.sleep(0.02)
    with pytest.raises(GoneError):
        jobs.get(made[3].id)


def test_ids_are_long_and_unknown_ones_are_gone(jobs: Jobs) -> None:
    ids = {jobs.submit(Result).id for _ in range(2)}
    assert len(ids) == 2 and all(len(id) >= 20 for id in ids)
    for call in (jobs.get, jobs.forget):
        with pytest.raises(GoneError):
            call("nothing")
    jobs.discard("nothing")


def test_a_closed_queue_takes_nothing(jobs: Jobs) -> None:
    jobs.close()
    with pytest.raises(BusyError):
        jobs.submit(Result)
    jobs.start()
    assert jobs.submit(Result).future.result(10).nbytes == 1


def test_problems_are_one_line() -> None:
    assert problem(GoneError("gone")) == "gone"
    assert problem(ValueError("odd")) == "unexpected ValueError (odd); report it"


def test_age_counts_from_the_end(jobs: Jobs) -> None:
    gate = threading.Event()
    jobs.max_age = 0.3

    def long() -> Result:
        assert gate.wait(10)
        return Result()

    first, second = jobs.submit(long), jobs.submit(Result)
    time.sleep(0.4)  # both are older than results may get
    gate.set()
    second.future.result(10)
    assert jobs.get(first.id) is first and jobs.get(second.id) is second
    time.sleep(0.4)
    jobs.sweep()
    with pytest.raises(GoneError):
        jobs.get(second.id)


def test_what_is_given_up_holds_no_photo(jobs: Jobs) -> None:
    """A job that is cancelled in line lets go of its upload at once, not when its turn comes."""

    class Photo:
        """Something that can be watched."""

    gate = threading.Event()
    jobs.submit(lambda: Result(gate.wait(10)))
    photo = Photo()
    watched = weakref.ref(photo)
    waiting = jobs.submit(lambda photo=photo: Result(bool(photo)))
    del photo
    jobs.forget(waiting.id)
    gc.collect()
    assert watched() is None
    gate.set()


def test_whether_the_line_is_full(jobs: Jobs) -> None:
    gate = threading.Event()
    for _ in range(3):
        assert not jobs.is_full
        jobs.submit(lambda: Result(gate.wait(10)))
    assert jobs.is_full
    gate.set()
