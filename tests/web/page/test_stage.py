"""The stage: zoom and movement by wheel, fingers and keys, the seam between before and after, both sizes of screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.web.page.conftest import DESK, PHONE, Place, choose, restored, seen, sent_region, stroke, upload

Visit = Callable[..., Any]


def scale(page: Any) -> int:
    page.wait_for_timeout(80)  # it is painted with the next frame
    return int(page.locator("#scale").inner_text().removesuffix("%"))


def touch(session: Any, kind: str, *points: tuple[float, float]) -> None:
    """A touch with some fingers, as the browser's own input sees it."""
    at = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
    session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})


def test_the_wheel_zooms_where_it_points(visit: Visit) -> None:
    page = visit()
    choose(page)
    spot = Place(page)(60, 60)
    page.mouse.move(*spot)
    page.mouse.wheel(0, -500)
    assert scale(page) == pytest.approx(100 * np.exp(1), abs=2)
    page.get_by_text("Erase", exact=True).click()
    page.locator("#size").fill("120")
    page.mouse.move(*spot)
    page.mouse.down()
    page.mouse.up()  # a dot where the pointer was before, for that place lies under it still
    page.mouse.wheel(0, 5000)
    assert scale(page) == 100
    region = sent_region(page, lambda: page.click("#restore"))
    assert region is not None and region[60, 60] == 0
    hole = np.argwhere(region[47:75, 35:85] < 128) + np.array([47, 35])
    width = 120 / (Place(page).scale * np.exp(1))  # as wide on the screen as it says, so finer on the photo
    assert np.abs(hole.mean(axis=0) - 60).max() < 1
    assert len(hole) == pytest.approx(np.pi * width**2 / 4, rel=0.3)


def test_keys_and_buttons_zoom(visit: Visit) -> None:
    page = visit()
    choose(page)
    page.keyboard.press("+")
    assert scale(page) == 150
    page.get_by_label("Zoom in").click()
    assert scale(page) == 225
    page.get_by_label("Zoom out").click()
    page.keyboard.press("-")
    page.keyboard.press("-")
    assert scale(page) == 100
    page.keyboard.press("+")
    page.keyboard.press("0")
    assert scale(page) == 100


@pytest.mark.parametrize("how", ["tool", "key", "middle"])
def test_the_photo_is_moved(visit: Visit, how: str) -> None:
    page = visit()
    choose(page)
    page.locator("#canvas").focus()
    for _ in range(3):
        page.keyboard.press("+")
    before = seen(page)
    page.mouse.move(*Place(page)(60, 45))
    if how == "tool":
        page.keyboard.press("h")
    elif how == "key":
        page.keyboard.down(" ")
    page.mouse.down(button="middle" if how == "middle" else "left")
    page.mouse.move(*Place(page)(70, 45), steps=4)
    page.mouse.up(button="middle" if how == "middle" else "left")
    page.keyboard.up(" ")
    page.mouse.move(1, 1)
    after = seen(page)
    moved = round(10 * Place(page).scale)
    both = [after[300:400, moved + 100 : moved + 500].astype(int), before[300:400, 100:500].astype(int)]
    assert np.abs(both[0] - both[1]).mean() < 3
    assert page.locator("#undo").is_disabled()  # nothing was painted


def test_two_fingers_zoom_and_paint_nothing(visit: Visit) -> None:
    page = visit(**PHONE)
    choose(page)
    x, y = Place(page)(60, 45)
    fingers = page.context.new_cdp_session(page)
    touch(fingers, "touchStart", (x - 30, y))
    touch(fingers, "touchMove", (x - 31, y))
    touch(fingers, "touchStart", (x - 31, y), (x + 31, y))
    for k in range(1, 6):
        touch(fingers, "touchMove", (x - 31 - 12 * k, y), (x + 31 + 12 * k, y))
    touch(fingers, "touchEnd", (x - 91, y))
    touch(fingers, "touchEnd")
    assert scale(page) == pytest.approx(100 * 91 / 31, abs=12)
    assert page.locator("#undo").is_disabled()
    page.locator("#fit").tap()
    assert scale(page) == 100
    page.touchscreen.tap(*Place(page)(60, 15))
    region = sent_region(page, lambda: page.locator("#restore").tap())
    assert region is not None and region[15, 60] == 255


@pytest.mark.parametrize("size", [(120, 90), (60, 90)])
def test_the_seam_follows_the_pointer_and_the_range_is_as_wide_as_the_photo(
    visit: Visit, size: tuple[int, int]
) -> None:
    page = visit()
    choose(page, upload(size=size))
    page.click("#restore")
    restored(page)
    page.wait_for_timeout(100)
    place, box = Place(page, size), page.locator("#slide").bounding_box()
    assert box["x"] == pytest.approx(place.left, abs=1) and box["width"] == pytest.approx(place.width, abs=1)
    row = int(place(0, size[1] * 2 / 3)[1] - page.locator("#canvas").bounding_box()["y"])
    for share in (0.25, 0.6):
        x = place.left + share * place.width
        page.mouse.move(x, place(0, 45)[1])
        page.mouse.down()
        page.mouse.up()
        words = f"{100 * share:g} % before, {100 - 100 * share:g} % after"
        assert page.locator("#slide").get_attribute("aria-valuetext") == words
        line, at = seen(page)[row].mean(axis=1), int(x - page.locator("#canvas").bounding_box()["x"])
        assert line[at - 40] < 160 < line[at + 40]  # gray before, white after


def test_a_zoomed_photo_moves_except_at_the_seam(visit: Visit) -> None:
    page = visit()
    choose(page)
    page.click("#restore")
    restored(page)
    page.keyboard.press("+")
    place = Place(page)
    page.mouse.move(*place(20, 20))
    page.mouse.down()
    page.mouse.move(*place(25, 25))
    page.mouse.up()
    assert page.locator("#slide").input_value() == "50"
    page.mouse.move(*place(60, 20))
    page.mouse.down()
    page.mouse.move(*place(20, 20))
    page.mouse.up()
    assert int(page.locator("#slide").input_value()) < 30


def test_a_close_look_is_at_the_file_itself(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server sends a small view; zoomed in, the page shows the pixels of the photo."""
    monkeypatch.setattr("unmask.web.work.PREVIEW", 60)
    page = visit()
    pixels = np.full((90, 120, 3), 90, np.uint8)
    pixels[:, ::2] = 150  # stripes of one pixel, which the small view cannot hold
    choose(page, upload(level=pixels))
    page.keyboard.press("+")
    page.wait_for_timeout(500)
    part = seen(page)[200, 100:600].astype(int)
    assert part.max() - part.min() > 50


SIZES = {"desk": DESK, "phone": PHONE}


@pytest.mark.parametrize("size", SIZES)
def test_what_matters_is_in_sight(visit: Visit, size: str) -> None:
    page = visit(**SIZES[size])
    view = page.viewport_size

    def in_sight(selector: str) -> bool:
        box = page.locator(selector).bounding_box()
        page.evaluate("scrollTo(0, 0)")
        top = page.evaluate(
            "([x, y]) => document.elementFromPoint(x, y)?.closest('button, a, canvas')?.id",
            [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2],
        )
        right, bottom = box["x"] + box["width"], box["y"] + box["height"]
        return box["x"] >= 0 and right <= view["width"] and bottom <= view["height"] and f"#{top}" == selector

    choose(page)
    assert in_sight("#restore")
    stroke(page, 60, 15)
    page.click("#restore")
    restored(page)
    assert in_sight("#download")
    assert page.evaluate("document.documentElement.scrollWidth") <= view["width"]
    if size == "desk":
        assert page.evaluate("document.documentElement.scrollHeight") <= view["height"]
