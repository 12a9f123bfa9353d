"""The server around the application: clients that neither send nor take anything are hung up on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from fastapi import FastAPI

PATIENCE = 15.0  # seconds; who made no progress from one look to the next is cut off
CONNECTIONS = 512  # at once; more are answered 503


class Patient(H11Protocol):
    """A connection that ends where its client stalls while it is the client's turn.

    Stalled is who has half a request head out, or has taken nothing of what waits to be sent, for a whole look's time.
    (Bodies have their own clock, see :class:`unmask.web.guard.Guard`; a client that waits for an answer may wait.)
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to look."""
        super().connection_made(transport)
        self._drained = 0
        self._seen: tuple[Any, ...] = ()
        self._looking = self.loop.call_later(PATIENCE, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Look no more."""
        self._looking.cancel()
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        """What was to be sent went out, so that more can follow."""
        self._drained += 1
        super().resume_writing()

    def _look(self) -> None:
        left = self.transport.get_write_buffer_size()
        idle = self.cycle is None or self.cycle.response_complete
        last, self._seen = self._seen, (self.cycle, idle, self._drained, left)
        if (idle or left) and last[:3] == self._seen[:3] and bool(left) == bool(last[3]) and left >= last[3]:
            self.transport.abort()
        else:
            self._looking = self.loop.call_later(PATIENCE, self._look)


def make_server(app: FastAPI) -> uvicorn.Server:
    """The server of an application; it writes no access log, for who uses it, and for what, is nobody's business."""
    return uvicorn.Server(
        uvicorn.Config(
            app, http=Patient, log_level="warning", access_log=False, server_header=False,
            limit_concurrency=CONNECTIONS,
        )
    )  # fmt: skip
