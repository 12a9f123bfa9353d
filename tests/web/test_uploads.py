"""Uploads stay in memory, whatever their size."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import pytest

from tests.web.conftest import encoded


@pytest.mark.parametrize("path", ["/api/faces", "/api/restore", "/api/jobs"])
def test_nothing_is_written(serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    photo, region = encoded(format="BMP", size=(1200, 900)), encoded(255, "BMP", (1200, 900))
    assert len(photo) > 3_000_000
    opened: list[Any] = []
    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", lambda self: opened.append(self))
    files = {"image": photo} if path == "/api/faces" else {"image": photo, "region": region}
    answer = serve().post(path, files=files)
    assert answer.status_code in (200, 202), answer.text
    assert not opened


@pytest.mark.parametrize("send, words", [
    ({"content": b"--x\r\n", "headers": {"content-type": "multipart/form-data"}}, "boundary"),
    ({"files": [("image", encoded()) for _ in range(5)]}, "Too many files"),
])  # fmt: skip
def test_a_broken_form_is_refused(serve: Callable[..., Any], send: dict[str, Any], words: str) -> None:
    answer = serve().post("/api/faces", **send)
    assert answer.status_code == 400 and words in answer.json()["detail"]
