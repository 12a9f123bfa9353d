"""Every shipped config loads, names only known keys and builds its models at the size it says."""

from __future__ import annotations

from pathlib import Path

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "unmask" / "configs").glob("*.yaml"))


def test_configs_are_shipped():
    assert CONFIGS
