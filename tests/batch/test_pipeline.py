"""The pipeline with plain functions: order, errors, batches, and how much is in hand at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unmask.batch.pipeline import run


class Work:
    """Stages that square a number; counts what is in hand and notes each fill."""

    def __init__(self, bad: Sequence[tuple[str, int]] = (), pause: float = 0.0) -> None:
        self.bad, self.pause, self.lock = set(bad), pause, threading.Lock()
        self.hand = self.most = 0
        self.fills: list[list[int]] = []
        self.threads: set[str] = set()

    def _check(self, stage: str, item: int) -> None:
        self.threads.add(threading.current_thread().name)
        time.sleep(self.pause)
        if (stage, item) in self.bad:
            with self.lock:
                self.hand -= stage != "open"
            raise ValueError(f"{stage} {item}")

    def open(self, item: int) -> list[int]:
        """Take one item in hand."""
        self._check("open", item)
        with self.lock:
            self.hand += 1
            self.most = max(self.most, self.hand)
        return [item]

    def fill(self, group: Sequence[list[int]]) -> None:
        """Square the items of a group; all or none."""
        self.fills.append([one[0] for one in group])
        for one in group:
            if ("fill", one[0]) in self.bad:
                self.hand -= len(group) == 1
                raise ValueError(f"fill {one[0]}")
        for one in group:
            if len(one) == 1:
                one.append(one[0] ** 2)

    def close(self, one: list[int]) -> int:
        """Give the square."""
        self._check("close", one[0])
        with self.lock:
            self.hand -= 1
        return one[1]


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 30), st.integers(1, 4), st.integers(1, 9), st.integers(1, 5), st.integers(1, 3),
    st.sets(st.tuples(st.sampled_from(["open", "fill", "close"]), st.integers(0, 29)), max_size=8),
)  # fmt: skip
def test_every_item_comes_out_once_in_order(
    count: int, workers: int, ahead: int, batch: int, fills: int, bad: set[tuple[str, int]]
) -> None:
    work = Work(tuple(bad))
    out = list(run(range(count), work.open, work.fill, work.close, workers=workers, ahead=ahead, batch=batch,
                   fills=fills))  # fmt: skip
    assert [item for item, _ in out] == list(range(count))
    for item, result in out:
        stages = [stage for stage in ("open", "fill", "close") if (stage, item) in bad]
        assert (str(result) == f"{stages[0]} {item}") if stages else (result == item**2)
    assert max(map(len, work.fills), default=0) <= batch
    assert work.most <= ahead


def test_items_are_taken_only_as_there_is_room() -> None:
    taken: list[int] = []

    def items():
        for i in range(1000):
            taken.append(i)
            yield i

    work = Work()
    out = run(items(), work.open, work.fill, work.close, ahead=5)
    for _ in range(10):
        next(out)
    assert len(taken) <= 10 + 5
    out.close()
    assert len(taken) <= 10 + 5
    assert threading.active_count() == 1 or not any(t.name.startswith("unmask") for t in threading.enumerate())


def test_stages_overlap() -> None:
    """Forty pauses of 10 ms each stage one after another would take 0.8 s; four threads take a quarter."""
    work = Work(pause=0.01)
    start = time.perf_counter()
    assert len(list(run(range(40), work.open, work.fill, work.close, workers=4))) == 40
    assert time.perf_counter() - start < 0.6
    assert len(work.threads) > 1


def test_several_items_share_a_fill() -> None:
    work = Work(pause=0.002)
    fill = work.fill

    def slow(group: Sequence[list[int]]) -> None:
        time.sleep(0.02)
        fill(group)

    list(run(range(24), work.open, slow, work.close, workers=4, ahead=12, batch=4))
    assert len(work.fills) < 16 and max(map(len, work.fills)) > 1


def test_an_interruption_ends_it() -> None:
    seen: list[int] = []

    def open(item: int) -> int:
        if item == 5:
            raise KeyboardInterrupt
        return item

    with pytest.raises(KeyboardInterrupt):
        for item, _ in run(range(1000), open, lambda group: None, lambda one: one, workers=2, ahead=4):
            seen.append(item)
    assert len(seen) <= 5
