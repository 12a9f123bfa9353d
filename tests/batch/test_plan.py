"""What is read and where results go."""

from __future__ import annotations

import os
import string
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unmask import formats, images
from unmask.batch.plan import Job, plan, rest_told
from unmask.errors import UnmaskError, UsageError

Make = Callable[..., Path]


def test_beside_the_input_by_default(make: Make) -> None:
    photo = make("a.b.jpg")
    assert plan([str(photo)], None, "unmasked") == [Job(photo, photo.parent / "a.b.unmasked.jpg")]


def test_a_file_a_folder_or_stdout(make: Make, tmp_path: Path) -> None:
    photo = make("a.jpg")
    assert plan([str(photo)], str(tmp_path / "x.png"), "m")[0].target == tmp_path / "x.png"
    assert plan([str(photo)], str(tmp_path / "new"), "m")[0].target == tmp_path / "new" / "a.jpg"
    assert plan([str(photo)], str(tmp_path / "v1.0") + os.sep, "m")[0].target == tmp_path / "v1.0" / "a.jpg"
    assert plan([str(photo)], "-", "m") == [Job(photo, None)]
    assert plan(["-"], None, "m") == plan(["-"], "-", "m") == [Job(None, None)]
    assert plan(["-"], "x.png", "m") == [Job(None, Path("x.png"))]


def test_a_folders_tree_is_mirrored_without_results_and_hidden_files(make: Make, tmp_path: Path) -> None:
    for name in (
        "in/b.PNG",
        "in/deep/a.jpg",
        "in/a.unmasked.jpg",
        "in/a.compare.png",
        "in/.trash/c.jpg",
        "in/out/z.jpg",
    ):
        make(name.replace(".PNG", ".png"))
    (tmp_path / "in" / "b.png").rename(tmp_path / "in" / "b.PNG")
    (tmp_path / "in" / "notes.txt").write_text("")
    jobs = plan([str(tmp_path / "in")], str(tmp_path / "in" / "out"), "unmasked", ["compare"])
    assert [(str(job.source.relative_to(tmp_path)), str(job.target.relative_to(tmp_path))) for job in jobs] == [
        ("in/b.PNG", "in/out/b.PNG"),
        ("in/deep/a.jpg", "in/out/deep/a.jpg"),
    ]


def test_patterns(make: Make, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "b.unmasked.jpg", "sub/c.jpg"):
        make(name)
    names = [job.source.name for job in plan([str(tmp_path / "**" / "*.jpg")], None, "unmasked")]
    assert names == ["a.jpg", "b.jpg", "c.jpg"]
    odd = make("what[1].jpg")
    assert plan([str(odd)], None, "unmasked")[0].source == odd


def test_the_same_file_twice_is_one_job(make: Make) -> None:
    photo = make("in/a.jpg")
    assert len(plan([str(photo), str(photo), str(photo.parent)], None, "m")) == 1


@pytest.mark.parametrize(
    ("inputs", "out", "message"),
    [
        (["-", "a.jpg"], None, "alone"),
        (["one/a.jpg", "two/a.jpg"], "-", "stdout"),
        (["one/a.jpg", "two/a.jpg"], "out", "both"),
        (["one/a.jpg"], "one/a.jpg", "read too"),
        (["one"], "one", "read too"),
        (["empty"], None, "no pictures"),
        (["*.tga"], None, "no file matches"),
    ],
)
def test_what_cannot_be_meant(
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    inputs: list[str],
    out: str | None,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    make("one/a.jpg")
    make("two/a.jpg")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=message):
        plan(inputs, out, "unmasked")


names = st.text(string.ascii_letters + string.digits + " .-_[]*äß", min_size=1, max_size=12).filter(
    lambda name: name.strip(". ") == name
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(names, st.sampled_from([".jpg", ".png"])), unique=True, min_size=1, max_size=6),
    st.booleans(),
)
def test_no_target_is_ever_an_input_or_another_target(files: list[tuple[str, str]], mirrored: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, suffix in files:
            (Path(folder) / (name + suffix)).touch()
        try:
            jobs = plan([folder], folder + "-out" if mirrored else None, "unmasked")
        except UsageError:
            return
        targets = [job.target for job in jobs]
        assert len(set(targets)) == len(targets)
        assert not {job.source for job in jobs} & set(targets)
        assert not any(target is None or target.exists() for target in targets)


def test_what_is_left_out_is_counted(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make("in/b.jpg").rename(tmp_path / "in" / "b.heic")
    for name in ("in/a.jpg", "in/a.unmasked.jpg", "in/.trash/c.jpg", "in/out/z.jpg"):
        make(name)
    for name in ("d.dng", "deep/e.DNG", "f.dng", "g.mp4", "README", ".DS_Store"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"")
    planned = plan([str(tmp_path / "in")], str(tmp_path / "in" / "out"), "unmasked")
    assert [job.source.name for job in planned if job.source] == ["a.jpg", "b.heic"]
    assert planned.rest() == "6 files left out: 3 .dng, 1 hidden, 1 without a suffix, 1 .mp4"
    with pytest.raises(UnmaskError), rest_told(planned):
        raise UnmaskError("a.jpg: whatever came of it")
    assert capsys.readouterr().err == f"unmask: {planned.rest()}\n"
    both = plan([str(tmp_path / "in"), str(tmp_path / "in" / "g.mp4")], str(tmp_path / "new"), "unmasked", (), [".mp4"])
    assert ".mp4" not in both.left_out
    assert plan([str(tmp_path / "in" / "a.jpg")], None, "unmasked").rest() == ""
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.dng").write_bytes(b"")
    with pytest.raises(UsageError, match=r"no pictures in this folder \(1 file left out: 1 \.dng\)"):
        plan([str(tmp_path / "raw")], None, "unmasked")


def test_suffixes_that_cannot_be_written_are_refused_before_work(make: Make, tmp_path: Path) -> None:
    photo = make("a.jpg")
    for out in ("b.dng", "b.txt", "b.mp4"):
        with pytest.raises(UsageError, match=rf"{out}: no picture can be written as"):
            plan([str(photo)], str(tmp_path / out), "unmasked", (), [".mp4"])
        with pytest.raises(UsageError, match="no picture can be written as"):
            plan(["-"], out, "unmasked")
    clip = make("c.png").rename(tmp_path / "c.mp4")
    assert plan([str(clip)], "d.mkv", "unmasked", (), [".mp4", ".mkv"])[0].target == Path("d.mkv")
    with pytest.raises(UsageError, match=r"d\.png: no clip can be written so"):
        plan([str(clip)], "d.png", "unmasked", (), [".mp4", ".mkv"])
    odd = photo.rename(tmp_path / "photo.orig")
    assert plan([str(odd)], None, "unmasked")[0].target == tmp_path / "photo.unmasked.orig"
    for suffix in formats.SUFFIXES:
        assert plan([str(odd)], f"x{suffix}", "unmasked")[0].target == Path(f"x{suffix}")


@pytest.mark.parametrize("suffix", sorted(formats.SUFFIXES))
def test_every_suffix_of_the_one_table_is_written_and_read(suffix: str, tmp_path: Path) -> None:
    photo = images.read(np.full((32, 48, 3), (90, 120, 60), np.uint8))
    images.write(photo, photo.pixels, tmp_path / f"a{suffix}")
    back = images.read(tmp_path / f"a{suffix}")
    assert back.format == formats.SUFFIXES[suffix] and back.pixels.shape == (32, 48, 3)
    assert back.format in formats.MIMES and formats.SUFFIXES[formats.suffix_of(back.format)] == back.format
