"""Uploads that stay in memory: a framework's form parser writes files over a megabyte to a temporary file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request, Response, UploadFile
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

FILES, FIELDS = 4, 16  # of one form; no request of ours has more


class InMemory(MultiPartParser):
    """A form parser that never touches the disk."""

    spool_max_size = 0  # of tempfile.SpooledTemporaryFile: never rolled over


class UploadRoute(APIRoute):
    """A route whose forms are read by :class:`InMemory`."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        """The handler of the route, with the form parsed before it looks for one."""
        handle = super().get_route_handler()

        async def with_form(request: Request) -> Any:
            if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
                parser = InMemory(request.headers, request.stream(), max_files=FILES, max_fields=FIELDS)
                try:
                    request._form = await parser.parse()  # where `request.form()` keeps it
                except MultiPartException as error:
                    raise HTTPException(400, error.message) from None
            return await handle(request)

        return with_form


async def taken(upload: UploadFile) -> bytes:
    """The bytes of an upload, which holds them no longer."""
    data = await upload.read()
    await upload.close()
    return data
