"""What stands before every request: caps on uploads, known hosts, no requests from other sites, strict headers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Iterable
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
UPLOADS = 4  # read at once; the others wait, and their senders with them
GRACE = 20.0  # seconds that an upload may take in any case
RATE = 32 * 1024  # bytes a second that it must bring on average beyond that
RETRY = 10  # seconds after which a refused client may come again
PIECE = 256 * 1024  # bytes handed to the socket at once: what a slow reader may leave in memory


class Guard:
    """An ASGI middleware for a service on one's own machine.

    A page of another site may send requests to 127.0.0.1, under its own name (refused by ``Origin`` and
    ``Sec-Fetch-Site``) or under a name that it lets point here (refused by ``Host``).
    """

    def __init__(
        self,
        app: ASGIApp,
        max_bytes: int,
        hosts: Iterable[str] = LOOPBACK,
        full: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Guard ``app``.

        Args:
            app: what answers.
            max_bytes: of the body of a request.
            hosts: names it may be called by; none for any.
            full: why nothing can be taken now, asked before an upload is read; None where it can.
        """
        self.app, self.max_bytes, self.hosts, self.full = app, max_bytes, frozenset(hosts), full
        self._slots = asyncio.Semaphore(UPLOADS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        strict = _strict(send)
        refusal = self._refusal(scope["method"], headers)
        if refusal is not None:
            await _answer(strict, *refusal)
        elif headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            await self._upload(scope, receive, strict)
        else:
            await self.app(scope, receive, strict)

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request with a body, a few at a time until they are read."""
        async with contextlib.AsyncExitStack() as slot:
            await slot.enter_async_context(self._slots)
            receive = self._counted(receive, slot.aclose)
            full = self.full()
            if full is None:
                await self.app(scope, receive, send)
                return
            with contextlib.suppress(HTTPException):
                while (await receive()).get("more_body", False):
                    pass  # who is cut off while sending does not hear why
            await _answer(send, 503, full, RETRY)

    def _refusal(self, method: str, headers: Headers) -> tuple[int, str] | None:
        host, origin, length = headers.get("host", ""), headers.get("origin"), headers.get("content-length", "0")
        if self.hosts and _split(f"//{host}").hostname not in self.hosts:
            return 403, f"this service is not called {host!r}; open it as http://127.0.0.1"
        followed = method == "GET" and headers.get("sec-fetch-mode") == "navigate"  # a link to the page
        strange = headers.get("sec-fetch-site") == "cross-site" and not followed
        if strange or (origin is not None and _split(origin).netloc != host):
            return 403, "requests from other sites are refused; open the page of this service"
        if length.isdecimal() and int(length) > self.max_bytes:
            return 413, self._too_large()
        return None

    def _counted(self, receive: Receive, read: Callable[[], Awaitable[None]]) -> Receive:
        """``receive`` that stops where a body grows too large or comes too slowly; ``read`` hears of its end."""
        seen, start, whole = 0, time.monotonic(), False

        async def counted() -> Message:
            nonlocal seen, whole
            if whole:
                return await receive()  # whether the client is still there
            left = GRACE + seen / RATE - (time.monotonic() - start)
            try:
                message = await asyncio.wait_for(receive(), max(left, 0.01))
            except asyncio.TimeoutError:
                raise HTTPException(408, "the upload came too slowly; try again on a better line") from None
            seen += len(message.get("body", b""))
            if seen > self.max_bytes:
                raise HTTPException(413, self._too_large())
            if not message.get("more_body", False):
                whole = True
                await read()
            return message

        return counted

    def _too_large(self) -> str:
        return f"the upload exceeds {self.max_bytes / 1024**2:g} MB; make the photo smaller first"


def _split(url: str) -> SplitResult:
    """The parts of an address; those of none where it makes no sense."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def _strict(send: Send) -> Send:
    """``send`` with the headers of every answer, and large bodies in pieces."""

    async def strict(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(HEADERS)
        body, sent = message.get("body", b""), 0
        while len(body) - sent > PIECE:
            await send({"type": "http.response.body", "body": body[sent : sent + PIECE], "more_body": True})
            sent += PIECE
        await send({**message, "body": body[sent:]} if sent else message)

    return strict


async def _answer(send: Send, status: int, detail: str, retry: int = 0) -> None:
    body = json.dumps({"detail": detail}).encode()
    head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    head += [(b"retry-after", str(retry).encode())] if retry else []
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
