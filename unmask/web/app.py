"""The web application put together: guard, endpoint, static page, and errors as one line of JSON."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.routing import compile_path

from .. import __version__
from ..errors import UnmaskError
from ..restore import STATEMENT, Restorer
from .api import router
from .guard import LOOPBACK, RETRY, Guard
from .jobs import BusyError, GoneError, Jobs, problem
from .schemas import Limits

STATIC = Path(__file__).with_name("static")
_PACKAGE = Path(__file__).resolve().parents[1]
_INSTALLED = _PACKAGE / "_samples"  # of an installed package; a checkout has the folder at its top
SAMPLE = (_INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent / "samples") / "astronaut-masked.png"
SWEEP = 30.0  # seconds between two looks for what is too old


def create_app(restorer: Restorer, limits: Limits | None = None, hosts: Iterable[str] = LOOPBACK) -> FastAPI:
    """The page and its endpoint over a restorer.

    Args:
        restorer: loaded once and used by one worker.
        limits: what is accepted; the defaults of :class:`~unmask.web.schemas.Limits` if not given.
        hosts: names the service may be called by; none for any.
    """
    limits = limits or Limits()
    jobs = Jobs(limits.max_waiting)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        jobs.start()
        sweeping = asyncio.create_task(_sweep(jobs))
        yield
        sweeping.cancel()
        jobs.close()

    app = FastAPI(
        title="unmask", version=__version__, description=STATEMENT, lifespan=lifespan,
        openapi_url="/api/openapi.json", docs_url=None, redoc_url=None,  # those two fetch scripts from elsewhere
    )  # fmt: skip
    app.include_router(router(restorer, jobs, limits))
    app.add_middleware(Guard, max_bytes=limits.max_bytes, hosts=hosts, full=lambda: jobs.busy if jobs.is_full else None)
    app.add_exception_handler(UnmaskError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(405, _not_so)
    app.add_exception_handler(Exception, _unexpected)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.add_route("/", _page)
    app.add_route("/sample", _sample)
    return app


async def _sweep(jobs: Jobs) -> None:
    while True:
        await asyncio.sleep(SWEEP)
        jobs.sweep()


async def _page(request: Request) -> FileResponse:
    return FileResponse(STATIC / "index.html")


async def _sample(request: Request) -> FileResponse:
    return FileResponse(SAMPLE)


async def _ours(request: Request, error: Exception) -> JSONResponse:
    status = 503 if isinstance(error, BusyError) else 404 if isinstance(error, GoneError) else 422
    headers = {"Retry-After": str(RETRY)} if status == 503 else None
    return JSONResponse({"detail": problem(error)}, status, headers)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    lines = [f"{'.'.join(str(part) for part in one['loc'][1:])}: {one['msg']}" for one in error.errors()]
    return JSONResponse({"detail": "; ".join(lines)}, 422)


async def _not_so(request: Request, error: Exception) -> JSONResponse:
    """A method that a path does not have: ``Allow`` names all it has, not those of its first route only."""
    methods = {
        method.upper()
        for template, operations in request.app.openapi()["paths"].items()
        if compile_path(template)[0].fullmatch(request.url.path)
        for method in operations
    } or {"GET", "HEAD"}  # the page and its files
    detail = f"{request.method} is not for this path; it takes {', '.join(sorted(methods))}"
    return JSONResponse({"detail": detail}, 405, {"Allow": ", ".join(sorted(methods))})


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": problem(error)}, 500)
