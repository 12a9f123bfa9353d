"""A clip on the page: chosen, restored with its progress, downloaded, removed; beside photos."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.video import clips
from tests.web.page.conftest import choose, restored, upload
from unmask.video import clip as reading
from unmask.web.jobs import Steps

pytest.importorskip("av", reason="the extra 'video' is not installed")
Visit = Callable[..., Any]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A clip to choose."""
    path = tmp_path_factory.mktemp("clip") / "me.mp4"
    clips.write(path, size=(96, 128))
    return {"name": "me.mp4", "mimeType": "video/mp4", "buffer": path.read_bytes()}


def test_a_clip_is_restored_and_downloaded(visit: Visit, file: dict[str, Any], tmp_path: Path) -> None:
    page = visit()
    page.set_input_files("#file", [file])
    link = page.get_by_role("link", name="Download me.mp4 restored")
    link.wait_for()
    page.get_by_text("24 of 24 frames restored, a guess").wait_for()
    assert not page.locator("#error").is_visible() and not page.locator("#stage").is_visible()
    with page.expect_download() as download:
        link.click()
    assert download.value.suggested_filename == "me.unmasked.mp4"
    download.value.save_as(tmp_path / "got.mp4")
    assert len(list(reading.frames(tmp_path / "got.mp4"))) == 24
    page.get_by_role("button", name="Remove me.mp4").click()
    page.locator("#welcome").wait_for(state="visible")


def test_its_progress_is_seen(visit: Visit, file: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    go, real = threading.Event(), Steps.tell

    def held(self: Steps, done: int) -> None:
        real(self, done)
        assert done < 5 or go.wait(30)

    monkeypatch.setattr(Steps, "tell", held)  # the server is a thread of this process
    page = visit()
    page.set_input_files("#file", [file])
    bar = page.get_by_role("progressbar", name="Progress of me.mp4")
    page.get_by_text("frame 5 of about 24").wait_for()
    assert bar.is_visible()
    assert bar.get_attribute("value") == "5"
    go.set()
    page.get_by_role("link", name="Download me.mp4 restored").wait_for()
    assert not bar.is_visible()


def test_clips_and_photos_share_the_line(visit: Visit, file: dict[str, Any]) -> None:
    page = visit()
    choose(page, upload("photo.png"), file)
    page.get_by_role("link", name="Download me.mp4 restored").wait_for()
    page.get_by_role("button", name="Restore", exact=True).click()
    restored(page)
    assert page.locator("#photos li").count() == 2


def test_what_is_no_clip_says_why(visit: Visit) -> None:
    page = visit()
    page.set_input_files("#file", [{"name": "bad.mp4", "mimeType": "video/mp4", "buffer": b"no clip"}])
    page.locator("#error").get_by_text("bad.mp4: the clip: cannot be read as a clip").wait_for()
    page.set_input_files("#file", [{"name": "big.mp4", "mimeType": "video/mp4", "buffer": b"0" * 600_000}])
    page.locator("#error").get_by_text("big.mp4: larger than").wait_for()
