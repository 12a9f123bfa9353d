"""``unmask serve``: the page in the browser and the REST endpoint, on this machine."""

from __future__ import annotations

import ipaddress
import socket

import click

from .. import progress
from ..errors import UnmaskError

LOCAL = "127.0.0.1"


@click.command()
@click.option("--host", default=LOCAL, show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 for any free one.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--weights",
    metavar="PATH",
    help="A run, a folder of weights or an unmasker's file, instead of the pack.",
)
@click.option("--detector", metavar="NAME", help="insightface:PACK, or an ONNX file in SCRFD's layout.")
@click.option("--max-mb", type=click.IntRange(1, 1024), default=64, show_default=True, help="Of one upload.")
@click.option("--max-megapixels", type=click.IntRange(1, 100), default=50, show_default=True, help="Of one photo.")
@click.option("--max-waiting", type=click.IntRange(1, 1000), default=16, show_default=True, help="Photos in line.")
def serve(
    host: str, port: int, device: str, weights: str | None, detector: str | None,
    max_mb: int, max_megapixels: int, max_waiting: int,
) -> None:  # fmt: skip
    """Serve a page for the browser, and a REST endpoint, until Ctrl-C.

    Photos stay in this process's memory, are dropped after a while, and go nowhere else.
    """
    try:
        import fastapi  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UnmaskError(f"unmask serve: {error.name} is not installed; pip install 'unmask[web]'") from None
    from ..restore import parts
    from ..restore.restorer import Restorer
    from ..web.app import create_app
    from ..web.guard import LOOPBACK
    from ..web.schemas import Limits
    from ..web.server import make_server

    listener = _listen(host, port)
    try:
        if told := parts.of(weights).told:
            progress.say(told)
        restorer = Restorer.from_pretrained(weights, device=device, detector=detector)
        limits = Limits(max_bytes=max_mb * 1024**2, max_pixels=max_megapixels * 1_000_000, max_waiting=max_waiting)
        app = create_app(restorer, limits, {*LOOPBACK, host} if _is_local(host) else ())
        shown, port = (f"[{host}]" if ":" in host else host), listener.getsockname()[1]
        if not _is_local(host):
            click.echo(f"unmask: whoever reaches {shown} can use this; it asks for no password", err=True)
        click.echo(f"unmask: open http://{shown}:{port} (Ctrl-C ends it)")
        make_server(app).run(sockets=[listener])
    finally:
        listener.close()


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens, before anything slow is done; UnmaskError where the address cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()  # from now on who comes waits until all is loaded
        except OSError:
            listener.close()
            raise
        return listener
    except OSError as error:
        reason = error.strerror or error
        raise UnmaskError(f"{host}:{port}: cannot listen there ({reason}); give another --host or --port") from None
