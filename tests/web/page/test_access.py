"""The page for everybody: by keyboard alone, with names for a screen reader, in both schemes, clean for axe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.web.page.conftest import DESK, PHONE, choose, restored, sent_region, upload

Visit = Callable[..., Any]
AXE = Path(__file__).with_name("node_modules") / "axe-core" / "axe.min.js"


@pytest.mark.skipif(not AXE.is_file(), reason="no axe-core (npm install --prefix tests/web/page)")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing(visit: Visit, size: dict[str, Any], scheme: str) -> None:
    page = visit(**size, color_scheme=scheme)

    def look(state: str) -> None:
        page.wait_for_timeout(250)  # colors change softly
        page.evaluate(AXE.read_text(encoding="utf-8"))  # past the page's policy, which allows no script from elsewhere
        found = page.evaluate("async () => (await axe.run(document, {resultTypes: ['violations']})).violations")
        told = [f"{one['id']}: {node['html']} {node['failureSummary']}" for one in found for node in one["nodes"]]
        assert not told, (state, told)

    look("empty")
    page.set_input_files("#file", [upload("bad.png", level=0), upload(), upload("three.png")])
    page.locator("#photos .words .quiet:text-is('1 face, 1 with a face mask')").nth(1).wait_for()
    look("no face")
    page.get_by_role("button", name="me.png").first.click()
    look("region")
    page.get_by_text("Seed", exact=True).click()
    page.locator("#seed").fill("-1")
    page.click("#restore")
    look("an error")
    page.locator("#seed").fill("1")
    page.click("#restore")
    restored(page)
    page.get_by_text("The note in the file").click()
    look("result")
    page.locator("#help-open").click()
    look("help")


def test_the_keyboard_is_enough(visit: Visit) -> None:
    page = visit()

    def focus(id: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == id:
                return
        raise AssertionError(f"Tab never reaches #{id}")

    focus("file")
    choose(page)
    focus("canvas")
    for key in ["Shift+ArrowUp"] * 4 + ["Enter"]:
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
    focus("download")
    with page.expect_download():
        page.keyboard.press("Enter")
    focus("help-open")
    page.keyboard.press("Enter")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()


def test_everything_has_a_name(visit: Visit) -> None:
    """What a screen reader would say: no control, picture or field without words."""
    page = visit()
    choose(page)
    page.click("#restore")
    restored(page)
    nameless = page.evaluate("""() => [...document.querySelectorAll("button, input, select, a, canvas, summary")]
        .filter((e) => !e.closest("[aria-hidden]") &&
        !(e.labels?.length && [...e.labels].some((l) => l.innerText.trim())) && !e.innerText?.trim()
        && !e.textContent?.trim() && !e.getAttribute("aria-label") && !e.getAttribute("aria-labelledby"))
        .map((e) => e.outerHTML)""")
    assert nameless == []
    assert page.locator("img:not([alt])").count() == 0
    assert page.locator("[role=status]").get_attribute("aria-live") == "polite"
    assert page.locator("[role=alert]").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_schemes(visit: Visit, scheme: str) -> None:
    page = visit(**PHONE, color_scheme=scheme)
    body = page.locator("body")
    ink, ground = (body.evaluate(f"e => getComputedStyle(e).{one}") for one in ("color", "backgroundColor"))
    levels = [sum(int(v) for v in one.strip("rgb()").split(",")) for one in (ink, ground)]
    assert (levels[0] > levels[1]) == (scheme == "dark") and abs(levels[0] - levels[1]) > 500
