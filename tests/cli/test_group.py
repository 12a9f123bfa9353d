"""The command as a whole: its help, typos, and how much it says."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from unmask import progress
from unmask.cli import COMMANDS

Run = Callable[..., tuple[int, str, str]]
Make = Callable[..., Path]


def test_help_is_in_groups_of_whole_sentences(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0 and "..." not in out.partition("Photos:")[2]
    titles = [line for line in out.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert titles == ["Options:", "Photos:", "Models of your own:", "Measuring:", "This installation:"]
    assert out.partition("Photos:")[2].split()[0] == "restore" and next(iter(COMMANDS)) == "restore"
    listed = [
        line.split()[0] for line in out.partition("Photos:")[2].splitlines() if line[:2] == "  " and line[2] != " "
    ]
    assert listed == list(COMMANDS)


@pytest.mark.parametrize("typed, meant", [("restor", "'restore'"), ("tran", "'train'"), ("simulat", "'simulate'"),
                                          ("eval", "'eval-restoration' or 'eval-verification'")])  # fmt: skip
def test_typos_of_commands(run: Run, typed: str, meant: str) -> None:
    code, _, err = run(typed)
    assert code == 2 and f"Did you mean {meant}?" in err


def test_typos_of_options(run: Run) -> None:
    code, _, err = run("restore", "--overwritte", "a.png")
    assert code == 2 and "Did you mean '--overwrite'?" in err
    assert "Did you mean" not in run("xyzzy")[2]


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize("first", [True, False])
def test_quiet(run: Run, make: Make, first: bool) -> None:
    photo, black = make("in/a.png"), make("in/b.png", 0)
    argv = ["-q", "restore", photo.parent] if first else ["restore", photo.parent, "-q"]
    code, out, err = run(*argv, "-o", photo.parent.parent / "out")
    assert code == 3 and out == "" and black.name in err and "1 of 2 pictures failed" in err
    assert progress.QUIET not in os.environ, "a program that calls main is not quiet from then on"
    code, out, _ = run("restore", photo, "--json", "-q")
    assert code == 0 and out.startswith("{"), "JSON was asked for"


@pytest.mark.usefixtures("stand_ins")
def test_verbose_says_where_an_error_arose(run: Run, tmp_path: Path) -> None:
    for flags, traced in (((), False), (("-v",), True)):
        code, _, err = run("restore", tmp_path / "none.png", *flags)
        assert code == 1 and ("Traceback" in err) is traced and err.splitlines()[-1].startswith("unmask: ")


def test_addresses_are_named_as_typed(run: Run) -> None:
    for command in (("restore",), ("simulate",), ("prepare", "-o", "x")):
        code, _, err = run(*command, "https://example.org/a.jpg")
        assert code == 2 and "https://example.org/a.jpg: is an address" in err and len(err.splitlines()) == 1


def test_an_unknown_pack_is_said_before_its_license(run: Run) -> None:
    code, _, err = run("models", "install", "buffalo")
    assert code == 2 and "not a pack whose sha256 is known" in err and "license" not in err
    code, _, err = run("models", "install", "buffalo_sc")
    assert code == 2 and "--accept-license" in err
