"""Items through three stages at once: while one is opened another is filled and a third closed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

I = TypeVar("I")  # an item  # noqa: E741
D = TypeVar("D")  # an opened item
R = TypeVar("R")  # what comes of it
_END: Any = object()


@dataclass
class _Entry(Generic[I]):
    """An item on its way; ``result`` is there once it is through."""

    item: I
    stage: str = "open"
    opened: Any = None
    result: Any = _END


def run(
    items: Iterable[I],
    open: Callable[[I], D],
    fill: Callable[[Sequence[D]], None],
    close: Callable[[D], R],
    *,
    workers: int = 2,
    ahead: int = 8,
    batch: int = 4,
    fills: int = 1,
) -> Iterator[tuple[I, R | Exception]]:
    """Open, fill and close every item; yields each with what ``close`` gave or the error of any stage, in order.

    Args:
        items: taken one by one as there is room.
        open, close: of one item; they run in threads.
        fill: of several opened items; where it fails it is called again for each of them alone.
        workers: threads.
        ahead: items in hand at once, from opened to yielded. This bounds the memory.
        batch: items for one call of ``fill``, at most; it never waits for more while nothing else is going on.
        fills: calls of ``fill`` at once, at most: 1 where a GPU does the work, ``workers`` where the threads do.

    An error that is no Exception (an interruption) ends it: what is going on is waited for, nothing new is begun.
    """
    with ThreadPoolExecutor(workers, "unmask") as pool:
        line = _Line(iter(items), pool, open, fill, close, ahead, batch, fills)
        try:
            yield from line.results()
        finally:
            pool.shutdown(cancel_futures=True)


@dataclass
class _Line(Generic[I, D, R]):
    """A run in progress: ``window`` in the order of the items, ``waiting`` to be filled, and what is ``running``."""

    source: Iterator[I]
    pool: ThreadPoolExecutor
    open: Callable[[I], D]
    fill: Callable[[Sequence[D]], None]
    close: Callable[[D], R]
    ahead: int
    batch: int
    fills: int
    window: deque[_Entry[I]] = field(default_factory=deque)
    waiting: deque[_Entry[I]] = field(default_factory=deque)
    running: dict[Future[Any], list[_Entry[I]]] = field(default_factory=dict)

    def results(self) -> Iterator[tuple[I, R | Exception]]:
        """Take up, fill and advance until all is through."""
        while True:
            self.take_up()
            while self.window and self.window[0].result is not _END:
                done = self.window.popleft()
                yield done.item, done.result
                self.take_up()
            if not self.window:
                return
            self.fill_waiting()
            for future in wait(self.running, return_when=FIRST_COMPLETED).done:
                self.advance(future, self.running.pop(future))

    def start(self, stage: str, work: Callable[..., Any], argument: Any, group: list[_Entry[I]]) -> None:
        """Begin a stage of some entries in a thread."""
        for entry in group:
            entry.stage = stage
        self.running[self.pool.submit(work, argument)] = group

    def take_up(self) -> None:
        """Open further items while there is room."""
        while len(self.window) < self.ahead and (item := next(self.source, _END)) is not _END:
            self.window.append(_Entry(item))
            self.start("open", self.open, item, [self.window[-1]])

    def fill_waiting(self) -> None:
        """Fill what is opened, unless the batch may still grow and nobody is idle meanwhile."""
        going = [group[0].stage for group in self.running.values()]
        while self.waiting and going.count("fill") < self.fills:
            if len(self.waiting) < self.batch and "open" in going and "fill" in going:
                return
            group = [self.waiting.popleft() for _ in range(min(self.batch, len(self.waiting)))]
            self.start("fill", self.fill, [entry.opened for entry in group], group)
            going.append("fill")

    def advance(self, future: Future[Any], group: list[_Entry[I]]) -> None:
        """Bring the entries of a finished call to their next stage."""
        error = future.exception()
        if error is not None and not isinstance(error, Exception):
            raise error
        if error is not None and len(group) > 1:
            for entry in group:  # which of them was it?
                self.start("fill", self.fill, [entry.opened], [entry])
        elif error is not None:
            group[0].result, group[0].opened = error, None
        elif group[0].stage == "open":
            group[0].opened = future.result()
            self.waiting.append(group[0])
        elif group[0].stage == "fill":
            for entry in group:
                self.start("close", self.close, entry.opened, [entry])
        else:
            group[0].result, group[0].opened = future.result(), None
