"""Defaults from ``unmask.toml``: taken, outdone by what is typed, and refused by name where they are wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., tuple[int, str, str]]
Make = Callable[..., Path]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder and a home of its own."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return folder


def test_defaults_are_taken_and_outdone(
    run: Run, make: Make, here: Path, tmp_path: Path, stand_ins: list[dict[str, Any]]
) -> None:
    home = tmp_path / "config" / "unmask"
    home.mkdir(parents=True)
    (home / "unmask.toml").write_text('[restore]\ncompare = true\ndevice = "cpu"\nmin-score = 0.3\n')
    (here / "unmask.toml").write_text("[restore]\nmin_score = 0.4\n[serve]\nport = 9000\n")  # either spelling
    photo = make("a.png")
    code, _, err = run("restore", photo)
    assert code == 0 and err == ""
    assert photo.with_name("a.unmasked.compare.png").exists()
    assert (stand_ins[0]["device"], stand_ins[0]["min_score"]) == ("cpu", 0.4)
    assert run("restore", photo, "--overwrite", "--min-score", "0.7", "-v")[0] == 0
    assert stand_ins[1]["min_score"] == 0.7


@pytest.mark.parametrize("text, said", [
    ("[restore]\ncolour = 3", "[restore] colour: no such option; known: out, face, region,"),
    ("[restore]\nseed = true", "[restore] seed is True; it is one value"),
    ("[restore]\ncompare = 1", "[restore] compare is 1; it is true or false"),
    ("[restore]\nseed = -3", "[restore] seed: -3 is not in the range"),
    ("[restored]\nseed = 3", "restored: not a section for a command"),
    ("seed = 3", "seed: not a section for a command"),
    ("[models]\nlist = 3\n[restore]\nfoo=1", "[restore] foo"),
    ("so", "not TOML"),
    ("[restore]\nquiet = true", "[restore] quiet: no such option"),
])  # fmt: skip
@pytest.mark.usefixtures("stand_ins")
def test_what_is_wrong_is_named(run: Run, make: Make, here: Path, text: str, said: str) -> None:
    (here / "unmask.toml").write_text(text)
    photo = make("a.png")
    code, out, err = run("restore", photo)
    assert code == 2 and out == "" and err.startswith("unmask: unmask.toml: ") and said in err
    assert len(err.splitlines()) == 1 and not photo.with_name("a.unmasked.png").exists()


@pytest.mark.usefixtures("stand_ins")
def test_lists_are_for_options_that_are_given_several_times(run: Run, here: Path) -> None:
    (here / "unmask.toml").write_text('[eval-verification]\nrecognizer = "g2d"\n')
    code, _, err = run("eval-verification", "--pairs", "x.txt")
    assert code == 2 and "recognizer is 'g2d'; it is a list" in err
    (here / "unmask.toml").write_text('[eval-verification]\nrecognizer = ["g2d"]\n')
    code, _, err = run("eval-verification", "--pairs", "x.txt")
    assert code != 0 and "x.txt" in err
