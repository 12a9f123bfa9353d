"""What stands before every request: a size cap, known hosts, no requests from other sites, strict headers."""

from __future__ import annotations

import json
from collections.abc import Iterable
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


class Guard:
    """An ASGI middleware for a service on one's own machine.

    A page of another site may send requests to 127.0.0.1, under its own name (refused by ``Origin`` and
    ``Sec-Fetch-Site``) or under a name that it lets point here (refused by ``Host``).
    """

    def __init__(self, app: ASGIApp, max_bytes: int, hosts: Iterable[str] = LOOPBACK) -> None:
        """Guard ``app``; ``hosts`` are the names it may be called by, none for any, ``max_bytes`` is of a body."""
        self.app, self.max_bytes, self.hosts = app, max_bytes, frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def strict(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = self._refusal(scope["method"], headers)
        if refusal is not None:
            await _answer(strict, *refusal)
            return
        await self.app(scope, self._counted(receive), strict)

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

    def _counted(self, receive: Receive) -> Receive:
        """``receive`` that stops where a body without a stated length grows too large."""
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.max_bytes:
                raise HTTPException(413, self._too_large())
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


async def _answer(send: Send, status: int, detail: str) -> None:
    body = json.dumps({"detail": detail}).encode()
    head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
