"""What is read and where results go."""

from __future__ import annotations

import os
import string
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unmask.cli.files import Job, plan
from unmask.errors import UsageError

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
