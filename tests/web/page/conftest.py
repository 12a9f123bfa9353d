"""The page in a real browser, headless: a server with stand-ins, and visitors who fail the test on any script error."""

from __future__ import annotations

import base64
import io
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.web.conftest import White, encoded
from unmask.restore.restorer import Restorer

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install playwright)")
pytest.importorskip("uvicorn", reason="the extra 'web' is not installed")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("no chromium on PATH (apt install chromium)", allow_module_level=True)
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync"]  # fmt: skip
DESK = {"viewport": {"width": 1440, "height": 900}}
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}

# Remembers what is sent with each restoration: the region's bytes, null where there is none.
RECORD = """
window.sent = [];
const real = window.fetch;
window.fetch = async (path, options) => {
  if (options?.body?.get?.("task") === "restore") {
    const region = options.body.get("region");
    window.sent.push(region && [...new Uint8Array(await region.arrayBuffer())]);
  }
  return real(path, options);
};
"""


class Gate(White):
    """A fill that can be held: it paints once it is let go."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()

    def __call__(self, x: Any, region: Any) -> Any:
        """White crops."""
        assert self.open.wait(30)
        return super().__call__(x, region)


class Service:
    """A running server with stand-ins: its address, its fill and what it keeps."""

    def __init__(self, restorer: Restorer) -> None:
        from unmask.cli.serve import _listen
        from unmask.web.app import create_app
        from unmask.web.schemas import Limits
        from unmask.web.server import make_server

        self.gate = Gate()
        one = Restorer(self.gate, restorer.segmenter, restorer.detector, size=restorer.size)
        listener = _listen("127.0.0.1", 0)
        self.server = make_server(create_app(one, Limits(max_bytes=500_000, max_waiting=2)))
        self.address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [listener]}, daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.02)


@pytest.fixture(scope="session")
def service(restorer: Restorer) -> Iterator[Service]:
    """A server on a free port."""
    running = Service(restorer)
    yield running
    running.server.should_exit = True
    running.thread.join(20)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium."""
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def visit(browser: Any, service: Service) -> Iterator[Callable[..., Any]]:
    """Open the page as a new visitor; a script error, or a request to anywhere else, fails the test."""
    visitors, wrong = [], []

    def strange(request: Any) -> None:
        if not request.url.startswith((service.address, "data:", "blob:")):
            wrong.append(request.url)

    def go(**options: Any) -> Any:
        context = browser.new_context(**{**DESK, **options})
        visitors.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", strange)
        page.add_init_script(RECORD)
        page.goto(service.address)
        return page

    yield go
    service.gate.open.set()
    for context in visitors:
        context.close()
    assert not wrong


def upload(name: str = "me.png", **photo: Any) -> dict[str, Any]:
    """A photo to choose."""
    return {"name": name, "mimeType": "image/png", "buffer": encoded(**photo)}


def choose(page: Any, *files: dict[str, Any]) -> None:
    """Choose photos, one 120 x 90 with a face mask where none is given, and wait for the first of them."""
    page.set_input_files("#file", list(files) or [upload()])
    page.get_by_label("1: face mask found").wait_for()


def restored(page: Any) -> None:
    """Wait for the guesses of the open photo."""
    page.locator("#result").wait_for(state="visible")


def sent_region(page: Any, act: Callable[[], None]) -> np.ndarray | None:
    """The region that a restoration is asked to use, None where the server is to find it."""
    before = page.evaluate("sent.length")
    act()
    for _ in range(100):
        if page.evaluate("sent.length") > before:
            break
        page.wait_for_timeout(50)
    data = page.evaluate("sent.at(-1)")
    return None if data is None else np.asarray(Image.open(io.BytesIO(bytes(data))).convert("L"))


class Place:
    """Where the 120 x 90 photo lies on the screen: all of it, as large as the stage allows."""

    def __init__(self, page: Any, size: tuple[int, int] = (120, 90)) -> None:
        box = page.locator("#canvas").bounding_box()
        self.scale = min((box["width"] - 32) / size[0], (box["height"] - 32) / size[1])
        self.left = box["x"] + (box["width"] - size[0] * self.scale) / 2
        self.top = box["y"] + (box["height"] - size[1] * self.scale) / 2
        self.width, self.height = size[0] * self.scale, size[1] * self.scale

    def __call__(self, x: float, y: float) -> tuple[float, float]:
        """A place of the photo on the screen."""
        return self.left + x * self.scale, self.top + y * self.scale


def stroke(page: Any, x: float, y: float) -> None:
    """A short stroke of the brush around a place of the photo."""
    place = Place(page)
    page.mouse.move(*place(x - 2, y))
    page.mouse.down()
    page.mouse.move(*place(x + 2, y), steps=3)
    page.mouse.up()


def seen(page: Any) -> np.ndarray:
    """What the stage shows, uint8 [H,W,3] in pixels of the screen, without what lies over it."""
    page.wait_for_timeout(80)  # it is painted with the next frame
    data = page.evaluate("document.getElementById('canvas').toDataURL()").partition(",")[2]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
