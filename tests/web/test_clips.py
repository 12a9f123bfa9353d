"""Clips through the service: the line, the progress, the file, and what is refused."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.video import clips
from unmask.restore import Restorer
from unmask.video import clip as reading
from unmask.video import restore
from unmask.web.jobs import GoneError, Steps

pytest.importorskip("av", reason="the extra 'video' is not installed")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A clip of 24 frames with a tone, 128 x 96."""
    path = tmp_path_factory.mktemp("clip") / "me.mp4"
    clips.write(path, size=(96, 128))
    return path.read_bytes()


def submit(client: Any, data: bytes, name: str = "me.mp4", **fields: str) -> Any:
    """Send a clip."""
    return client.post("/api/clips", files={"clip": (name, data, "video/mp4")}, data=fields)


def ended(client: Any, job: dict[str, Any]) -> dict[str, Any]:
    """The job once it is over."""
    for _ in range(600):
        if job["state"] in ("done", "failed"):
            return job
        time.sleep(0.05)
        job = client.get(f"/api/jobs/{job['id']}").json()
    raise AssertionError(job)


def test_a_clip_is_restored(
    serve: Callable[..., Any], restorer: Restorer, data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    client = serve()
    answer = submit(client, data)
    assert answer.status_code == 202 and answer.headers["location"] == f"/api/jobs/{answer.json()['id']}"
    job = ended(client, answer.json())
    assert job["error"] is None and job["clip"]["filename"] == "me.unmasked.mp4"
    assert job["clip"]["summary"] == "24 of 24 frames restored" and "guess" in job["clip"]["statement"]
    file = client.get(f"/api/jobs/{job['id']}/clip")
    assert file.headers["content-type"] == "video/mp4" and "me.unmasked.mp4" in file.headers["content-disposition"]
    (tmp_path / "got.mp4").write_bytes(file.content)
    (tmp_path / "me.mp4").write_bytes(data)
    restore.restore_clip(restorer, tmp_path / "me.mp4", tmp_path / "here.mp4")
    frames, same = (list(reading.frames(tmp_path / name)) for name in ("got.mp4", "here.mp4"))
    assert len(frames) == 24 and frames[0].pixels.shape == (96, 128, 3)
    assert all(np.array_equal(one.pixels, other.pixels) for one, other in zip(frames, same, strict=True))
    was = next(reading.frames(tmp_path / "me.mp4")).pixels
    assert np.abs(frames[0].pixels.astype(int) - was).max() > 40, "something was painted"
    assert not list((tmp_path / "temporary").iterdir()), "nothing is left of it on the disk"
    for path in ("before", "spread", "samples/0", "samples/0/view"):
        assert client.get(f"/api/jobs/{job['id']}/{path}").status_code == 404
    assert client.delete(f"/api/jobs/{job['id']}").status_code == 204
    assert client.get(f"/api/jobs/{job['id']}/clip").status_code == 404


def test_its_progress_is_told_and_it_can_be_given_up(
    serve: Callable[..., Any], data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int | None]] = []
    real = Steps.tell

    def slow(self: Steps, done: int) -> None:
        time.sleep(0.02)
        seen.append((done, self.total))
        real(self, done)

    monkeypatch.setattr(Steps, "tell", slow)
    client = serve()
    job = submit(client, data).json()
    told = []
    while len(told) < 3:
        state = client.get(f"/api/jobs/{job['id']}").json()
        assert state["state"] in ("waiting", "working")
        if state["frames"] and state["frames"] not in told:
            told.append(state["frames"])
            assert state["frames_in_all"] == 24
    assert told == sorted(told)
    assert client.delete(f"/api/jobs/{job['id']}").status_code == 204
    for _ in range(200):
        if client.get("/api/health").json()["unfinished"] == 0:
            break
        time.sleep(0.05)
    time.sleep(0.2)
    assert seen[-1][0] < 24, "it ended when nobody wanted it any more"


@pytest.mark.parametrize("limits, said", [
    ({"max_frames": 10}, "has more than 10 frames"),
    ({"max_clip_pixels": 1000}, "128x96 is more than 0.001 megapixels"),
])  # fmt: skip
def test_long_and_large_ones_are_refused(
    serve: Callable[..., Any], data: bytes, limits: dict[str, int], said: str
) -> None:
    client = serve(**limits)
    job = ended(client, submit(client, data).json())
    assert job["state"] == "failed" and said in job["error"]


def test_what_is_no_clip(serve: Callable[..., Any], data: bytes) -> None:
    client = serve()
    assert submit(client, data, "me.txt").status_code == 422
    assert "not a clip" in submit(client, data, "me.txt").json()["detail"]
    job = ended(client, submit(client, b"no clip").json())
    assert job["state"] == "failed" and "cannot be read as a clip" in job["error"]
    assert "unmask-clip" not in job["error"]
    photo = client.post("/api/jobs", files={"image": ("a.png", b"x")}).json()
    assert client.get(f"/api/jobs/{ended(client, photo)['id']}/clip").status_code == 404


def test_steps_end_what_was_given_up() -> None:
    steps = Steps()
    steps.tell(3)
    steps.given_up = True
    with pytest.raises(GoneError):
        steps.tell(4)
