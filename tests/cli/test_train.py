"""``unmask train``: what it lists, and what it says of a missing config."""

from __future__ import annotations

from collections.abc import Callable

from unmask import config

Run = Callable[..., tuple[int, str, str]]


def test_the_configs_are_listed_with_what_they_are(run: Run) -> None:
    code, out, _ = run("train", "--list")
    lines = out.splitlines()
    assert code == 0 and [line.split()[0] for line in lines] == sorted(p.stem for p in config.CONFIGS.glob("*.yaml"))
    assert all(len(line.split()) > 5 for line in lines), "each has a sentence"
    assert "two-minute" in next(line for line in lines if line.startswith("smoke-unmasker"))


def test_no_config_and_one_that_is_none(run: Run) -> None:
    code, _, err = run("train")
    assert code == 2 and "--list" in err and len(err.splitlines()) == 1
    code, _, err = run("train", "--config", "smoke")
    assert code == 2 and "smoke-unmasker" in err and len(err.splitlines()) == 1
