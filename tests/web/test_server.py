"""The server on a real socket: who stalls is cut off, who waits for an answer is not."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="the extra 'web' is not installed")

from unmask.web import guard, server

LARGE = 40_000_000  # bytes, more than the sockets of two ends hold


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers ``/large`` with many bytes, ``/slow`` after a while, and all else with what was sent."""
    import asyncio

    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    if scope["path"] == "/slow":
        await asyncio.sleep(1.5)
    answer = b"x" * LARGE if scope["path"] == "/large" else body
    head = [(b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": answer})


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], socket.socket]]:
    """Connect to the guarded application and send some bytes; it has little patience."""
    monkeypatch.setattr(server, "PATIENCE", 0.2)
    monkeypatch.setattr(guard, "GRACE", 0.4)
    one = server.make_server(guard.Guard(app, 1_000_000, hosts=()))  # type: ignore[arg-type]
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=one.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    clients = []

    def go(words: bytes) -> socket.socket:
        clients.append(socket.create_connection(listener.getsockname(), timeout=20))
        clients[-1].sendall(words)
        return clients[-1]

    yield go
    for client in clients:
        client.close()
    one.should_exit = True
    thread.join(20)


def all_of(client: socket.socket) -> bytes:
    """What comes until the server hangs up."""
    parts = []
    try:
        while part := client.recv(1 << 20):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


@pytest.mark.parametrize("words", [b"", b"GET / HTTP/1.1\r\nHost: a\r\nX-"])
def test_a_head_that_never_ends_is_cut_off(connect: Callable[[bytes], socket.socket], words: bytes) -> None:
    assert all_of(connect(words)) == b""


def test_a_body_that_trickles_is_refused(connect: Callable[[bytes], socket.socket]) -> None:
    client = connect(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc")
    assert not all_of(client).startswith(b"HTTP/1.1 200")


def test_who_does_not_read_is_cut_off(connect: Callable[[bytes], socket.socket]) -> None:
    client = connect(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
    time.sleep(1.5)
    assert len(all_of(client)) < LARGE


def test_who_reads_gets_it_all(connect: Callable[[bytes], socket.socket]) -> None:
    client = connect(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert all_of(client).partition(b"\r\n\r\n")[2] == b"x" * LARGE


def test_who_waits_for_an_answer_may_wait(connect: Callable[[bytes], socket.socket]) -> None:
    client = connect(b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")
    assert all_of(client).endswith(b"\r\n\r\nabc")
