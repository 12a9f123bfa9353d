"""Charts of the report: their words, their lines, and what is said without the library that draws them."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest

from unmask.cli import main
from unmask.evaluation import charts


def test_a_chart_holds_its_words_as_text_and_its_curves() -> None:
    pytest.importorskip("matplotlib", reason="the extra plots is not installed")
    across, up = charts.Axis("far", 1e-4, 1e-1, log=True), charts.Axis("tar", 0, 1)
    lines = [
        charts.Line("x<y", [0.0, 1e-3, 1e-2], [0.1, 0.5, 0.9], "#123456", dashed=True),
        charts.Line("$bars$", [1e-3, 1e-2, 1e-1], [0.25, 0.75], "#abcdef"),
        charts.Line("nothing", [], [], "#fedcba"),
    ]
    drawn = charts.chart("a & b", across, up, lines)
    assert drawn.startswith("<svg") and drawn.endswith("</svg>") and drawn == charts.chart("a & b", across, up, lines)
    words = re.findall(r">([^<>]+)</text>", drawn)
    assert {"a &amp; b", "x&lt;y", "$bars$", "far", "tar", "0.0001", "0.1", "0.4"} <= set(words)
    assert "nothing" not in words and "#fedcba" not in drawn
    assert drawn.count("#123456") == drawn.count("#abcdef") == 2  # in the chart and its legend


def test_shares_of_a_histogram() -> None:
    edges, share = charts.shares(np.array([0.1, 0.1, 0.9, 7.0, np.nan]), 0, 1, bins=2)
    assert edges == [0, 0.5, 1] and share == [0.5, 0.5]
    assert charts.shares(np.array([np.nan]), 0, 1) == ([], [])


def test_without_the_extra_one_line_says_so_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["eval-verification", "--pairs", "none.txt", "--recognizer", "embedded", "--html", "r.html"]) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and "pip install 'unmask[plots]'" in told[0]
