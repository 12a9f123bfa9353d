"""The page in a real browser, headless: what a person does with it, by mouse and by keyboard alone."""

from __future__ import annotations

import io
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.web.conftest import White, encoded
from unmask import images
from unmask.restore import STATEMENT, Restorer

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install playwright)")
uvicorn = pytest.importorskip("uvicorn", reason="the extra 'web' is not installed")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("no chromium on PATH (apt install chromium)", allow_module_level=True)
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync"]  # fmt: skip


class Gate(White):
    """A fill that can be held: it paints once it is let go."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()

    def __call__(self, x: Any, region: Any) -> Any:
        """White crops."""
        assert self.open.wait(30)
        return super().__call__(x, region)


@pytest.fixture(scope="module")
def gate() -> Gate:
    """What the server's fill waits for."""
    return Gate()


@pytest.fixture(scope="module")
def address(restorer: Restorer, gate: Gate) -> Iterator[str]:
    """A server with stand-ins on a free port."""
    from unmask.cli.serve import _listen
    from unmask.web.app import create_app
    from unmask.web.schemas import Limits

    one = Restorer(gate, restorer.segmenter, restorer.detector, size=restorer.size)
    listener = _listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(create_app(one, Limits(max_bytes=500_000)), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(20)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium."""
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def visit(browser: Any, address: str, gate: Gate) -> Iterator[Callable[..., Any]]:
    """Open the page as a new visitor; a script error, or a request to anywhere else, fails the test."""
    visitors, wrong = [], []

    def strange(request: Any) -> None:
        if not request.url.startswith((address, "data:", "blob:")):
            wrong.append(request.url)

    def go(**options: Any) -> Any:
        context = browser.new_context(**options)
        visitors.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", strange)
        page.add_init_script(RECORD)
        page.goto(address)
        return page

    yield go
    gate.open.set()
    for context in visitors:
        context.close()
    assert not wrong


def upload(name: str = "me.png", **photo: Any) -> dict[str, Any]:
    return {"name": name, "mimeType": "image/png", "buffer": encoded(**photo)}


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


def restored(page: Any) -> None:
    page.locator("#result").wait_for(state="visible")


def test_upload_restore_choose_and_download(visit: Callable[..., Any], tmp_path: Path) -> None:
    page = visit()
    assert "is a guess" in page.locator("#notice").inner_text()
    page.set_input_files("#file", [upload("me.png")])
    page.get_by_label("1: face mask found").wait_for()
    assert page.locator("#photos .words").inner_text().split("\n") == ["me.png", "1 face, 1 with a face mask"]
    assert sent_region(page, lambda: page.click("#restore")) is None  # untouched: the server's own region
    restored(page)
    assert page.locator("#choices input").count() == 4
    page.get_by_label("guess 3").check()
    assert "guess 3 is shown" in page.locator("#status").inner_text()
    page.get_by_text("Where the guesses differ").click()
    assert page.locator("#spread").evaluate("one => one.decode().then(() => one.naturalWidth)") > 0
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "me.unmasked-3.png"
    download.value.save_as(tmp_path / "got.png")
    data = (tmp_path / "got.png").read_bytes()
    assert images.read_note(data)["statement"] == STATEMENT
    assert STATEMENT in page.locator("#note").text_content()
    before, after = images.read(encoded()).pixels, images.read(data).pixels
    assert after[60, 60].min() > before[60, 60].max() + 70 and np.array_equal(before[:30, :10], after[:30, :10])


def test_the_region_is_edited_with_the_brush(visit: Callable[..., Any]) -> None:
    page = visit()
    page.set_input_files("#file", [upload()])
    page.get_by_label("1: face mask found").wait_for()
    page.locator("#canvas").scroll_into_view_if_needed()
    box = page.locator("#canvas").bounding_box()

    def stroke(x: float, y: float) -> None:  # in pixels of the photo, 120 x 90
        scale = box["width"] / 120
        page.mouse.move(box["x"] + (x - 2) * scale, box["y"] + y * scale)
        page.mouse.down()
        page.mouse.move(box["x"] + (x + 2) * scale, box["y"] + y * scale, steps=3)
        page.mouse.up()

    stroke(60, 15)
    page.get_by_label("Erase").check()
    stroke(60, 70)
    region = sent_region(page, lambda: page.click("#restore"))
    assert region is not None and region.shape == (90, 120)
    assert region[15, 60] == 255 and region[70, 60] == 0 and region[50, 60] == 255 and region[15, 5] == 0
    restored(page)
    page.click("#undo")
    page.click("#undo")
    assert page.locator("#undo").is_disabled()
    assert sent_region(page, lambda: page.click("#restore")) is None


def test_faces_are_taken_out_and_in(visit: Callable[..., Any]) -> None:
    page = visit()
    page.set_input_files("#file", [upload()])
    face = page.get_by_label("1: face mask found")
    face.uncheck()
    page.click("#restore")
    assert "Nothing is marked" in page.locator("#error").inner_text()
    face.check()
    region = sent_region(page, lambda: page.click("#restore"))
    assert region is not None and region[60, 60] == 255 and region[20, 60] == 0
    restored(page)


def test_the_keyboard_is_enough(visit: Callable[..., Any], tmp_path: Path) -> None:
    page = visit()

    def focus(id: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == id:
                return
        raise AssertionError(f"Tab never reaches #{id}")

    focus("file")
    page.set_input_files("#file", [upload()])
    page.get_by_label("1: face mask found").wait_for()
    focus("canvas")
    for key in ["Shift+ArrowUp"] * 5 + ["Space"]:
        page.keyboard.press(key)
    focus("restore")
    region = sent_region(page, lambda: page.keyboard.press("Enter"))
    assert region is not None
    painted = np.argwhere(region[:42] > 127)
    assert len(painted) and abs(painted[:, 1].mean() - 60) < 2
    restored(page)
    page.locator("#result-title:focus").wait_for()
    focus("slide")
    page.keyboard.press("Home")
    assert page.locator("#slide").get_attribute("aria-valuetext") == "0 % before, 100 % after"
    assert page.locator("#compare").evaluate("e => e.style.getPropertyValue('--at')") == "0%"
    focus("download")
    with page.expect_download():
        page.keyboard.press("Enter")


def test_everything_has_a_name(visit: Callable[..., Any]) -> None:
    """What a screen reader would say: no control, picture or field without words."""
    page = visit()
    page.set_input_files("#file", [upload()])
    page.get_by_label("1: face mask found").wait_for()
    page.click("#restore")
    restored(page)
    nameless = page.evaluate("""() => [...document.querySelectorAll("button, input, select, a, canvas, summary")]
        .filter((e) =>
        !(e.labels?.length && [...e.labels].some((l) => l.innerText.trim())) && !e.innerText?.trim()
        && !e.getAttribute("aria-label") && !e.getAttribute("aria-labelledby")).map((e) => e.outerHTML)""")
    assert nameless == []
    assert page.locator("img:not([alt])").count() == 0
    assert page.locator("[role=status]").get_attribute("aria-live") == "polite"
    assert page.locator("[role=alert]").count() == 1


@pytest.mark.parametrize("file, words", [
    ({"name": "notes.png", "mimeType": "image/png", "buffer": b"no picture"}, "not an image that can be read"),
    ({"name": "big.png", "mimeType": "image/png", "buffer": b"x" * 600_000}, "larger than 0.5 MB"),
])  # fmt: skip
def test_a_bad_file_says_why(visit: Callable[..., Any], file: dict[str, Any], words: str) -> None:
    page = visit()
    page.set_input_files("#file", [file])
    page.locator("#error").wait_for(state="visible")
    assert words in page.locator("#error").inner_text() and file["name"] in page.locator("#error").inner_text()
    assert not page.locator("#edit").is_visible()
    page.set_input_files("#file", [upload()])  # and the next one works
    page.get_by_label("1: face mask found").wait_for()
    assert not page.locator("#error").is_visible()


def test_photos_without_a_face_and_without_a_face_mask(visit: Callable[..., Any]) -> None:
    page = visit()
    page.set_input_files("#file", [upload("black.png", level=0), upload("white.png", level=255)])
    page.get_by_text("No face was found.").wait_for()
    assert page.locator("#restore").is_disabled()
    page.get_by_role("button", name="white.png").first.click()
    page.get_by_label("1: no face mask found").wait_for()
    assert page.get_by_label("1: no face mask found").is_disabled()
    page.get_by_role("button", name="Remove black.png").click()
    assert page.locator("#photos li").count() == 1


def test_dropped_and_pasted_pictures(visit: Callable[..., Any]) -> None:
    page = visit()
    give = """([kind, bytes]) => {
        const data = new DataTransfer();
        if (bytes) data.items.add(new File([new Uint8Array(bytes)], kind + ".png", {type: "image/png"}));
        else data.setData("text/uri-list", "http://elsewhere.example/face.jpg");
        const event = kind === "drop" ? new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true})
            : new ClipboardEvent("paste", {clipboardData: data, bubbles: true});
        document.body.dispatchEvent(event);
    }"""
    for kind in ("drop", "paste"):
        page.evaluate(give, [kind, list(encoded())])
        page.locator(f"#photos .name:text-is('{kind}.png')").wait_for()
    page.evaluate(give, ["drop", None])
    assert "Links are not followed" in page.locator("#error").inner_text()


def test_two_clients_at_once(visit: Callable[..., Any], gate: Gate) -> None:
    first, second = visit(), visit()
    for page in (first, second):
        page.set_input_files("#file", [upload()])
        page.get_by_label("1: face mask found").wait_for()
    gate.open.clear()
    first.click("#restore")
    first.get_by_text("restoring", exact=True).first.wait_for()
    second.click("#restore")
    second.get_by_text("waiting: 1 photo is before this one").first.wait_for()
    assert "waiting" in second.locator("#status").inner_text()
    gate.open.set()
    for page in (first, second):
        restored(page)
    links = [page.locator("#download").get_attribute("href") for page in (first, second)]
    assert links[0] != links[1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_all(visit: Callable[..., Any], scheme: str) -> None:
    page = visit(viewport={"width": 360, "height": 700}, color_scheme=scheme, has_touch=True)
    page.set_input_files("#file", [upload()])
    page.get_by_label("1: face mask found").wait_for()
    page.locator("#canvas").tap()
    region = sent_region(page, lambda: page.locator("#restore").tap())
    assert region is not None and region[45, 60] == 255
    restored(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    body = page.locator("body")
    ink, ground = (body.evaluate(f"e => getComputedStyle(e).{one}") for one in ("color", "backgroundColor"))
    levels = [sum(int(v) for v in one.strip("rgb()").split(",")) for one in (ink, ground)]
    assert (levels[0] > levels[1]) == (scheme == "dark") and abs(levels[0] - levels[1]) > 500
