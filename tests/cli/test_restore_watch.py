"""A watched folder: what arrives is restored once, half-written files are waited for, an interruption ends it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unmask import images
from unmask.batch import watch
from unmask.batch.jobs import Job, Wanted
from unmask.batch.run import Models, Options
from unmask.errors import UsageError

Make = Callable[..., Path]


def watched(folder: Path, *looks: Callable[[], object], **options: Any) -> int:
    """Watch a folder; before each further look something is done to it, after the last one somebody ends it."""
    left = [*looks]

    def rest(seconds: float) -> None:
        if not left:
            raise KeyboardInterrupt
        left.pop(0)()

    wanted = Wanted(**{key: options.pop(key) for key in ("overwrite", "compare") if key in options})
    asked = Options(wanted, str(folder.parent / "out"), several=True, **options)
    return watch.watch([str(folder)], asked, Models(device="cpu"), rest)


def nothing() -> None:
    pass


@pytest.mark.usefixtures("stand_ins")
def test_photos_are_restored_as_they_arrive(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    done: list[bool] = []
    code = watched(
        folder,
        lambda: make("in/a.png"),
        lambda: done.append((out / "a.png").exists()),
        lambda: done.append((out / "a.png").exists()),
        lambda: (make("in/deep/b.png", 90), make("in/black.png", 0), (folder / "notes.txt").write_text("x")),
        *[nothing] * 4,
    )
    assert code == 0
    assert done == [False, True], "a file has to be the same at two looks"
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.png")) == ["a.png", "deep/b.png"]
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 2, "each once"
    assert told.err.count("black.png: no face found") == 1
    assert "watching" in told.err and told.err.splitlines()[-1] == "unmask: ended; 2 restored, 1 failed"
    assert not list(tmp_path.rglob("*part*"))


@pytest.mark.usefixtures("stand_ins")
def test_half_written_files_are_waited_for(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = make("whole.png").read_bytes()
    folder, late = tmp_path / "in", tmp_path / "in" / "late.png"
    folder.mkdir()

    def grow(to: int) -> Callable[[], object]:
        return lambda: late.write_bytes(whole[:to])

    slow = [grow(len(whole) * part // 6) for part in range(7)]
    assert watched(folder, *slow, nothing, nothing) == 0
    assert "late.png" not in capsys.readouterr().err, "it was never tried while it grew"
    assert images.read(tmp_path / "out" / "late.png").pixels.shape == images.read(late).pixels.shape
    # one whose writer pauses for long is tried, told, and tried again when it goes on
    (tmp_path / "out" / "late.png").unlink()
    stalled = [grow(len(whole) // 2), nothing, nothing, nothing, grow(len(whole)), nothing, nothing]
    assert watched(folder, *stalled) == 0
    assert (tmp_path / "out" / "late.png").exists()
    assert capsys.readouterr().err.count("late.png: ") == 1


@pytest.mark.usefixtures("stand_ins")
def test_results_are_left_alone_or_replaced(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = make("in/a.png")
    assert watched(photo.parent, nothing, nothing) == 0
    result = tmp_path / "out" / "a.png"
    before = result.stat().st_mtime_ns
    capsys.readouterr()
    assert watched(photo.parent, *[nothing] * 3, as_json=True) == 0
    assert result.stat().st_mtime_ns == before and capsys.readouterr().out == ""
    assert watched(photo.parent, *[nothing] * 3, as_json=True, overwrite=True) == 0
    assert result.stat().st_mtime_ns > before
    assert [json.loads(line)["output"] for line in capsys.readouterr().out.splitlines()] == [str(result)]


@pytest.mark.usefixtures("stand_ins")
def test_what_cannot_be_watched(make: Make, tmp_path: Path) -> None:
    photo = make("in/a.png")
    with pytest.raises(UsageError, match="--watch takes folders"):
        watched(photo)
    with pytest.raises(UsageError, match="goes without"):
        watched(photo.parent, engine="ray")


def test_empty_files_have_not_arrived(tmp_path: Path) -> None:
    arrivals, file = watch.Arrivals(), tmp_path / "a.png"
    file.touch()
    job = Job(file, tmp_path / "out.png")
    assert [arrivals.among([job]) for _ in range(3)] == [[], [], []]
    file.write_bytes(np.arange(9, dtype=np.uint8).tobytes())
    assert [arrivals.among([job]) for _ in range(3)] == [[], [job], []]
    file.unlink()
    assert arrivals.among([job]) == []
