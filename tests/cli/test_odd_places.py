"""Inputs that are no files, streams that are closed or full, and names that would write on the terminal."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from unmask import images
from unmask.cli import main

Run = Callable[..., tuple[int, str, str]]
Make = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("stand_ins")


def one_line(err: str) -> bool:
    return err.startswith("unmask: ") and err.count("\n") == 1 and "\x1b" not in err


def test_what_is_no_file_is_told_in_a_line(run: Run, make: Make, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "folder.png").mkdir()
    places = {
        tmp_path / "pipe.png": "no regular file", tmp_path / "loop.png": "loop.png", "x" * 251 + ".png": "xxx",
        tmp_path / "none.png": "no such file",
    }  # fmt: skip
    if Path("/dev/zero").exists():
        places["/dev/zero"] = "no regular file"
    for place, words in places.items():
        code, out, err = run("restore", place, "-o", tmp_path / "out.png")
        assert code in (1, 2) and out == "" and one_line(err) and words in err, (place, err)
    assert run("restore", tmp_path / "folder.png", "-o", tmp_path / "out.png")[0] == 2
    long = make("in/" + "y" * 246 + ".png")
    code, _, err = run("restore", long)
    assert code == 1 and one_line(err) and "File name too long" in err
    assert run("restore", long, "-o", tmp_path / "out.png")[0] == 0
    (tmp_path / "link.png").symlink_to("link.png")
    code, _, err = run("restore", long, "-o", tmp_path / "link.png")
    assert code == 1 and one_line(err)


def test_names_are_shown_as_text_and_the_batch_goes_on(run: Run, make: Make, tmp_path: Path) -> None:
    names = ["plain.png", "two\nlines.png", "red\x1b[31m.png", os.fsdecode(b"latin-\xe9.png"), "bidi\u202egnp.png"]
    for name in names:
        make(f"in/{name}")
    make("in/bare\n.png", 255)
    code, out, err = run("restore", tmp_path / "in", "-o", tmp_path / "out")
    assert code == 3 and len(out.splitlines()) == 5 and "1 of 6 pictures failed" in err
    for shown in (r"two\nlines.png", r"red\x1b[31m.png", r"latin-\xe9.png", r"bidi\u202egnp.png"):
        assert shown in out
    assert r"bare\n.png" in err and "\x1b" not in out + err
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == sorted(names)
    code, out, _ = run("restore", tmp_path / "in", "-o", tmp_path / "out", "--dry-run")
    assert len(out.splitlines()) == 6 and "\x1b" not in out
    code, out, _ = run("restore", tmp_path / "in", "-o", tmp_path / "again", "--json")
    facts = [json.loads(line) for line in out.splitlines()]
    assert {Path(one["input"]).name for one in facts} == {*names, "bare\n.png"}


def test_closed_streams(run: Run, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = make("a.png")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", None)
        code, _, err = run("restore", "-", "-o", tmp_path / "x.png")
    assert code == 1 and one_line(err) and "stdin: is closed" in err
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        assert main(["restore", str(photo)]) == 0
        assert main(["restore", str(photo), "-o", "-"]) == 1
    assert photo.with_name("a.unmasked.png").is_file()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_stdout_does_not_stop_the_batch(make: Make, tmp_path: Path) -> None:
    for i in range(3):
        make(f"in/{i}.png")
    with open("/dev/full", "w") as full, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        assert main(["restore", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 1
        with contextlib.suppress(OSError):
            sys.stdout.close()  # what took the full one's place
        with contextlib.suppress(OSError):
            full.close()
    assert len(list((tmp_path / "out").glob("*.png"))) == 3


def test_lossless_is_png_where_the_format_is_not(run: Run, make: Make, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.png", "c.bmp"):
        make(f"in/{name}")
    assert run("restore", tmp_path / "in", "-o", tmp_path / "out", "--lossless")[0] == 0
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {"a.png", "b.png", "c.bmp", "c.bmp.note.json", "manifest.jsonl"}
    before, after = images.read(tmp_path / "in" / "a.jpg"), images.read(out / "a.png")
    changed = (before.pixels != after.pixels).any(axis=2)
    assert changed.any() and not changed[:30].any()
    code, _, err = run("restore", tmp_path / "in" / "a.jpg", "-o", "-", "--lossless")
    assert code == 2 and "--lossless" in err


def test_a_note_beside_what_holds_none(run: Run, make: Make, tmp_path: Path) -> None:
    for suffix in ("bmp", "ppm"):
        photo = make("a.png")
        target = tmp_path / f"out.{suffix}"
        assert run("restore", photo, "-o", target)[0] == 0
        note = target.with_name(f"{target.name}.note.json")
        assert "guess" in json.loads(note.read_text())["statement"]
        code, _, err = run("restore", photo, "-o", tmp_path / f"out.{suffix}")
        assert code == 1 and "exists" in err
        target.unlink()
        code, _, err = run("restore", photo, "-o", target)
        assert code == 1 and "note.json: exists" in err


def test_a_wrong_word_for_the_ops_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from unmask import models, ops
    from unmask.errors import UsageError

    monkeypatch.setenv("UNMASK_OPS", "bogus")
    with pytest.raises(UsageError, match="UNMASK_OPS='bogus'"):
        models.build("iresnet")
    monkeypatch.setenv("UNMASK_OPS", "")
    assert ops.preferred() == "auto"


def test_a_photo_without_a_suffix(run: Run, make: Make) -> None:
    photo = make("a.png")
    bare = photo.rename(photo.with_name("IMG_1"))
    assert run("restore", bare)[0] == 0
    assert images.read(bare.with_name("IMG_1.unmasked")).format == "PNG"
