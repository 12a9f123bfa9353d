"""What a person does with the page: photos in, regions corrected, guesses compared and kept."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.web.conftest import encoded
from tests.web.page.conftest import Place, choose, restored, sent_region, stroke, upload
from unmask import images
from unmask.restore import STATEMENT

Visit = Callable[..., Any]


def test_upload_restore_choose_and_download(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    assert "is a guess" in page.locator("#notice").inner_text()
    choose(page)
    assert page.locator("#photos .words").inner_text().split("\n") == ["me.png", "1 face, 1 with a face mask"]
    assert sent_region(page, lambda: page.click("#restore")) is None  # untouched: the server's own region
    restored(page)
    assert page.locator("#choices input").count() == 4
    page.get_by_label("guess 3").check()
    assert "guess 3 is shown" in page.locator("#status").inner_text()
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "me.unmasked-3.png"
    download.value.save_as(tmp_path / "got.png")
    data = (tmp_path / "got.png").read_bytes()
    assert images.read_note(data)["statement"] == STATEMENT
    assert STATEMENT in page.locator("#note").text_content()
    before, after = images.read(encoded()).pixels, images.read(data).pixels
    assert after[60, 60].min() > before[60, 60].max() + 70 and np.array_equal(before[:30, :10], after[:30, :10])


def test_the_sample_is_one_click_away(visit: Visit) -> None:
    page = visit()
    page.get_by_role("button", name="Try the sample").click()
    restored(page)
    assert page.locator("#photos .name").inner_text() == "sample.png"
    assert page.get_by_role("link", name="Download").is_visible()


def test_the_region_is_edited_with_the_brush(visit: Visit) -> None:
    page = visit()
    choose(page)
    stroke(page, 60, 15)
    page.get_by_text("Erase", exact=True).click()
    stroke(page, 60, 70)
    region = sent_region(page, lambda: page.click("#restore"))
    assert region is not None and region.shape == (90, 120)
    assert region[15, 60] == 255 and region[70, 60] == 0 and region[50, 60] == 255 and region[15, 5] == 0
    restored(page)
    page.get_by_role("button", name="Adjust the region").click()
    page.click("#undo")
    page.click("#undo")
    assert page.locator("#undo").is_disabled()
    assert sent_region(page, lambda: page.click("#restore")) is None


def test_undo_and_redo_by_keys(visit: Visit) -> None:
    page = visit()
    choose(page)
    stroke(page, 60, 15)
    stroke(page, 60, 25)
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    assert page.locator("#undo").is_disabled()
    page.keyboard.press("Control+Shift+Z")
    assert page.locator("#redo").is_enabled()
    region = sent_region(page, lambda: page.click("#restore"))
    assert region is not None and region[15, 60] == 255 and region[25, 60] == 0


def test_the_region_grows_and_shrinks(visit: Visit) -> None:
    """A face is 72 pixels wide here: a step is 2.16 pixels, and the region's upper edge lies at row 45."""
    page = visit()
    choose(page)
    for _ in range(2):
        page.click("#grow")
    grown = sent_region(page, lambda: page.click("#restore"))
    restored(page)
    page.click("#to-region")
    for _ in range(4):
        page.click("#shrink")
    shrunk = sent_region(page, lambda: page.click("#restore"))
    assert grown is not None and shrunk is not None
    top = [int(np.argmax(region[:, 60] > 127)) for region in (grown, shrunk)]
    assert top[0] == pytest.approx(45 - 4.3, abs=1.5) and top[1] == pytest.approx(45 + 4.3, abs=1.5)
    assert grown[:, 60].max() == shrunk[:, 60].max() == 255


def test_brush_keys(visit: Visit) -> None:
    page = visit()
    choose(page)
    page.keyboard.press("]")
    page.keyboard.press("]")
    page.keyboard.press("[")
    assert page.locator("#size-now").inner_text() == "32 px"
    page.keyboard.press("e")
    assert page.locator("[name=tool][value=erase]").is_checked()


def test_faces_are_taken_out_and_in(visit: Visit) -> None:
    page = visit()
    choose(page)
    face = page.get_by_label("1: face mask found")
    face.uncheck()
    page.click("#restore")
    assert "Nothing is marked" in page.locator("#error").inner_text()
    face.check()
    region = sent_region(page, lambda: page.click("#restore"))
    assert region is not None and region[60, 60] == 255 and region[20, 60] == 0
    restored(page)


def test_twenty_photos_at_once(visit: Visit, tmp_path: Path) -> None:
    """The server's line takes three; the page keeps the others back, restores them all, and packs them."""
    page = visit()
    page.set_input_files("#file", [upload(f"{'same' if i < 2 else i}.png", level=60 + 5 * i) for i in range(20)])
    page.locator("#photos .words .quiet:text-is('1 face, 1 with a face mask')").nth(19).wait_for(timeout=90_000)
    page.get_by_text("1", exact=True).first.click()  # one guess each
    page.get_by_role("button", name="Restore all").click()
    page.locator("#photos li.done").nth(19).wait_for(timeout=90_000)
    assert not page.locator("#error").is_visible() and page.locator("#photos .bad").count() == 0
    assert page.locator("#restore-all").is_disabled()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download all").click()
    assert download.value.suggested_filename == "unmasked.zip"
    download.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist()[:3] == ["same.unmasked.png", "same.unmasked (2).png", "2.unmasked.png"]
        levels = [images.read(archive.read(name)).pixels[5, 5].mean() for name in archive.namelist()]
    assert np.allclose(levels, [60 + 5 * i + 2 for i in range(20)], atol=3)


def test_results_outlive_the_server(visit: Visit, service: Any, tmp_path: Path) -> None:
    """What came out is in the page: the server has dropped it by then, and the page gives it all the same."""
    page = visit()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(f"{request.method} {request.url}"))
    choose(page)
    page.click("#restore")
    restored(page)
    page.wait_for_timeout(300)
    posted = [line for line in asked if line.startswith("POST")]
    assert len(posted) == len({line for line in asked if line.startswith("DELETE")}) == 2
    asked.clear()
    page.get_by_label("guess 2").check()
    with page.expect_download() as download:
        page.click("#download")
    download.value.save_as(tmp_path / "got.png")
    assert images.read_note((tmp_path / "got.png").read_bytes())
    assert not [line for line in asked if "api/" in line]


@pytest.mark.parametrize("file, words", [
    ({"name": "notes.png", "mimeType": "image/png", "buffer": b"no picture"}, "not an image that can be read"),
    ({"name": "big.png", "mimeType": "image/png", "buffer": b"x" * 600_000}, "larger than 0.5 MB"),
])  # fmt: skip
def test_a_bad_file_says_why(visit: Visit, file: dict[str, Any], words: str) -> None:
    page = visit()
    page.set_input_files("#file", [file])
    page.locator("#error").wait_for(state="visible")
    assert words in page.locator("#error").inner_text() and file["name"] in page.locator("#error").inner_text()
    assert not page.locator("#restore").is_visible()
    choose(page)  # and the next one works
    assert not page.locator("#error").is_visible()


def test_photos_without_a_face_and_without_a_face_mask(visit: Visit) -> None:
    page = visit()
    page.set_input_files("#file", [upload("black.png", level=0), upload("white.png", level=255)])
    page.get_by_text("No face was found.").wait_for()
    assert page.locator("#restore").is_disabled()
    page.get_by_role("button", name="white.png").first.click()
    page.get_by_label("1: no face mask found").wait_for()
    assert page.get_by_label("1: no face mask found").is_disabled()
    page.get_by_role("button", name="Remove black.png").click()
    assert page.locator("#photos li").count() == 1
    page.get_by_role("button", name="Remove white.png").click()
    assert page.locator("#drop").is_visible()


def test_dropped_and_pasted_pictures(visit: Visit) -> None:
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
    # a photo that opens later would take the message away
    page.locator("#photos .words .quiet:text-is('1 face, 1 with a face mask')").nth(1).wait_for()
    page.evaluate(give, ["drop", None])
    assert "Links are not followed" in page.locator("#error").inner_text()
    page.get_by_label("Close the message").click()
    assert not page.locator("#error").is_visible()


def test_two_visitors_at_once(visit: Visit, service: Any) -> None:
    first, second = visit(), visit()
    for page in (first, second):
        choose(page)
    service.gate.open.clear()
    first.click("#restore")
    first.get_by_text("restoring", exact=True).first.wait_for()
    assert first.locator("#bar").is_visible() and first.locator("#restore").is_disabled()
    second.click("#restore")
    second.get_by_text("waiting: 1 photo is before this one").first.wait_for()
    assert "waiting" in second.locator("#status").inner_text()
    service.gate.open.set()
    for page in (first, second):
        restored(page)
        assert not page.locator("#bar").is_visible()


def test_where_guesses_differ_and_the_original(visit: Visit) -> None:
    from tests.web.page.conftest import seen

    page = visit()
    choose(page)
    page.click("#restore")
    restored(page)
    place, box = Place(page), page.locator("#canvas").bounding_box()
    spot = tuple(int(v) for v in (place(80, 60)[1] - box["y"], place(80, 60)[0] - box["x"]))  # of the repainted half
    after = seen(page)
    page.get_by_label("Show where the guesses differ").check()
    assert (seen(page) != after).any()
    page.get_by_label("Show where the guesses differ").uncheck()
    assert (seen(page) == after).all()
    page.get_by_role("button", name="Hold to see the original").hover()
    page.mouse.down()
    held = seen(page)[spot].astype(int)
    page.mouse.up()
    again = seen(page)[spot].astype(int)
    page.locator("#canvas").focus()
    page.keyboard.down("o")
    by_key = seen(page)[spot].astype(int)
    page.keyboard.up("o")
    assert again.min() > held.max() + 70 and np.abs(held - by_key).max() == 0 and abs(held.mean() - 122) < 8


def test_a_ragged_archive_of_many_sizes(visit: Visit) -> None:
    """The archive writer against Python's reader: empty files, names beyond ASCII, names twice."""
    page = visit()
    made = page.evaluate("""async () => {
        const { zipped } = await import("./static/zip.js");
        const files = [["a.png", ""], ["Grüße.png", "x".repeat(70000)], ["a.png", "y"], ["bare", "z"], ["bare", "zz"]];
        const given = files.map(([name, text]) => ({ name, blob: new Blob([text]) }));
        const blob = await zipped(given, new Date(2024, 1, 29, 13, 37, 42));
        return [...new Uint8Array(await blob.arrayBuffer())];
    }""")
    with zipfile.ZipFile(io.BytesIO(bytes(made))) as archive:
        assert archive.testzip() is None
        assert {one.filename: archive.read(one) for one in archive.infolist()} == {
            "a.png": b"", "Grüße.png": b"x" * 70000, "a (2).png": b"y", "bare": b"z", "bare (2)": b"zz",
        }  # fmt: skip
        assert archive.infolist()[0].date_time == (2024, 2, 29, 13, 37, 42)
