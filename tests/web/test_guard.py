"""The guard by itself: how many uploads are read at once, what a full line answers, pieces of large answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra 'web' is not installed")

from unmask.web import guard

SCOPE = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-length", b"300")]}


def in_own_loop(work: Coroutine[Any, Any, Any]) -> Any:
    """What ``work`` gives back, run in a thread of its own: a browser's test may have left a loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def upload(one: Callable[..., Any], chunks: int = 3) -> tuple[Any, list[Any], list[Any]]:
    """A call of an application with a body of some chunks; what it sends, and which chunks it took."""
    sent: list[Any] = []
    taken: list[Any] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        taken.append(len(taken))
        return {"type": "http.request", "body": b"x" * 100, "more_body": len(taken) < chunks}

    async def send(message: Any) -> None:
        sent.append(message)

    return one(SCOPE, receive, send), sent, taken


async def read(receive: Callable[..., Any]) -> bytes:
    """A whole body."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    return body


def test_few_uploads_are_read_at_once() -> None:
    reading = most = answering = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal reading, most, answering
        reading += 1
        most = max(most, reading)
        assert len(await read(receive)) == 300
        reading -= 1
        answering += 1
        while answering < 40:  # all are read before the first is answered: the slot ends with the body
            await asyncio.sleep(0)

    async def many() -> None:
        guarded = guard.Guard(app, 1000, hosts=())
        await asyncio.wait_for(asyncio.gather(*(upload(guarded)[0] for _ in range(40))), 20)

    in_own_loop(many())
    assert 1 < most <= guard.UPLOADS


def test_a_full_line_takes_the_upload_and_keeps_nothing() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("nobody is to see this")

    async def one() -> tuple[list[Any], list[Any]]:
        call, sent, taken = upload(guard.Guard(app, 1000, hosts=(), full=lambda: "full up"))
        await call
        return sent, taken

    sent, taken = in_own_loop(one())
    assert len(taken) == 3
    assert sent[0]["status"] == 503 and (b"retry-after", b"10") in sent[0]["headers"] and b"full up" in sent[1]["body"]


@pytest.mark.parametrize("size", [0, guard.PIECE, guard.PIECE + 1, 3 * guard.PIECE + 5])
def test_large_answers_go_in_pieces(size: int) -> None:
    answer = bytes(range(256)) * (size // 256 + 1)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": answer[:size]})

    async def one() -> list[Any]:
        call, sent, _ = upload(guard.Guard(app, 1000, hosts=()))
        await call
        return sent[1:]

    sent = in_own_loop(one())
    assert b"".join(part["body"] for part in sent) == answer[:size]
    assert all(len(part["body"]) <= guard.PIECE for part in sent)
    assert [part.get("more_body", False) for part in sent] == [True] * (len(sent) - 1) + [False]
