"""How far a long job is: a bar on a terminal, now and then a line where there is none, nothing where that is wished."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

EVERY = 10.0  # seconds between two lines
LINE = "{desc}: {n_fmt} of {total_fmt}, {elapsed} gone, {remaining} left{postfix}"
QUIET, VERBOSE = "UNMASK_QUIET", "UNMASK_VERBOSE"  # set in the environment, so that worker processes know them too


def quiet() -> bool:
    """Whether only errors are to be said."""
    return os.environ.get(QUIET, "") not in ("", "0")


def verbose() -> bool:
    """Whether more is to be said than most people want to know."""
    return os.environ.get(VERBOSE, "") not in ("", "0")


class _Lines:
    """A stream for tqdm that turns what would overwrite a line into lines of their own."""

    def __init__(self) -> None:
        self.last = ""

    def write(self, text: str) -> None:
        line = text.strip("\r\n ")
        if line and line != self.last and sys.stderr is not None:
            self.last = line
            sys.stderr.write(f"{line}\n")

    def flush(self) -> None:
        if sys.stderr is not None:
            sys.stderr.flush()


def say(text: str) -> None:
    """A line on stderr, unless only errors are to be said."""
    if not quiet():
        warn(text)


def warn(text: str) -> None:
    """A line on stderr that is said in any case."""
    if sys.stderr is not None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def foretell(what: str, count: int, one: Callable[[int], Any], workers: int = 1) -> None:
    """Say how long ``count`` calls of ``one`` by as many processes will take, after a few of them."""
    tried = min(4, count)
    one(0)  # the first is slower
    start = time.perf_counter()
    for i in range(tried):
        one(i)
    seconds = (time.perf_counter() - start) / max(tried, 1) * count / max(1, min(workers, os.cpu_count() or 1))
    say(f"{what}: {count:,} to make, about {duration(seconds)}; they are kept for later runs (UNMASK_CACHE)")


def duration(seconds: float) -> str:
    """Seconds in words, such as "40 s", "12 min" or "1.5 h"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def bar(
    items: Iterable[Any] | None = None,
    *,
    what: str,
    total: int | None = None,
    unit: str = "it",
    initial: int = 0,
    shown: bool = True,
) -> Any:
    """A tqdm bar over ``items`` (or to be updated by hand) on stderr, with ``what`` before it.

    Without a terminal a job of more than two seconds writes a line then, every ten seconds, and at the end.
    """
    from tqdm import tqdm

    there = sys.stderr is not None and sys.stderr.isatty()
    lines: Any = _Lines()
    how = {"mininterval": 0.5} if there else {
        "file": lines, "ascii": True, "bar_format": LINE, "mininterval": EVERY, "miniters": 1, "delay": 2.0,
    }  # fmt: skip
    hidden = quiet() or not shown
    return tqdm(items, desc=what, total=total, unit=unit, initial=initial, disable=hidden, **how)
