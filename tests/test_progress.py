"""How far a long job is, without a terminal."""

from __future__ import annotations

import time

import pytest

from unmask import progress


def test_lines_come_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    with progress.bar(total=3, what="faces") as bar:
        bar.start_t -= 5  # as if it had begun five seconds ago
        for _ in range(3):
            bar.update()
    told = capsys.readouterr()
    assert told.out == ""
    lines = told.err.splitlines()
    assert lines[0].startswith("faces: 1 of 3, 00:05 gone") and lines[-1].startswith("faces: 3 of 3, 00:05 gone")
    assert "\r" not in told.err and len(lines) == len(set(lines)) == 3


def test_short_jobs_and_quiet_ones_say_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(progress.bar(range(3), what="faces")) == [0, 1, 2]
    assert capsys.readouterr().err == ""
    monkeypatch.setenv(progress.QUIET, "1")
    with progress.bar(total=3, what="faces") as bar:
        bar.update(3)
    progress.say("a word")
    assert capsys.readouterr().err == ""


def test_the_time_is_foretold(capsys: pytest.CaptureFixture[str]) -> None:
    progress.foretell("face masks", 9000, lambda i: time.sleep(0.02))
    told = capsys.readouterr().err
    assert told.startswith("face masks: 9,000 to make, about ") and "min;" in told


@pytest.mark.parametrize("seconds, words", [(0.2, "1 s"), (40, "40 s"), (700, "12 min"), (7200, "2.0 h")])
def test_durations(seconds: float, words: str) -> None:
    assert progress.duration(seconds) == words
