"""Items through three stages at once: while one is opened another is filled and a third closed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
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
    source, window = iter(items), deque[_Entry[I]]()
    waiting, running = deque[_Entry[I]](), dict[Future[Any], list[_Entry[I]]]()

    def start(work: Callable[..., Any], *arguments: Any, of: list[_Entry[I]], stage: str) -> None:
        for entry in of:
            entry.stage = stage
        running[pool.submit(work, *arguments)] = of

    def take_up() -> None:
        while len(window) < ahead and (item := next(source, _END)) is not _END:
            window.append(_Entry(item))
            start(open, item, of=[window[-1]], stage="open")

    def fill_waiting() -> None:
        going = [group[0].stage for group in running.values()]
        while waiting and going.count("fill") < fills:
            if len(waiting) < batch and "open" in going and "fill" in going:
                return  # the batch may still grow, and nobody is idle meanwhile
            group = [waiting.popleft() for _ in range(min(batch, len(waiting)))]
            start(fill, [entry.opened for entry in group], of=group, stage="fill")
            going.append("fill")

    def advance(future: Future[Any], group: list[_Entry[I]]) -> None:
        error = future.exception()
        if error is not None and not isinstance(error, Exception):
            raise error
        if error is not None and len(group) > 1:
            for entry in group:  # which of them was it?
                start(fill, [entry.opened], of=[entry], stage="fill")
        elif error is not None:
            group[0].result, group[0].opened = error, None
        elif group[0].stage == "open":
            group[0].opened = future.result()
            waiting.append(group[0])
        elif group[0].stage == "fill":
            for entry in group:
                start(close, entry.opened, of=[entry], stage="close")
        else:
            group[0].result, group[0].opened = future.result(), None

    with ThreadPoolExecutor(workers, "unmask") as pool:
        try:
            while True:
                take_up()
                while window and window[0].result is not _END:
                    done = window.popleft()
                    yield done.item, done.result
                    take_up()
                if not window:
                    return
                fill_waiting()
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    advance(future, running.pop(future))
        finally:
            pool.shutdown(cancel_futures=True)
