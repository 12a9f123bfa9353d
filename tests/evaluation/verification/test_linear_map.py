"""Fitting the linear map on simulated pairs: from data on disk, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.evaluation import standins
from unmask import recognition
from unmask.errors import UsageError
from unmask.evaluation.verification import linear_map


def test_a_fit_is_cached_and_needs_data(drawn_data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = standins.Projection()
    monkeypatch.setattr(recognition, "load", lambda name: base)
    found = linear_map.load("linear-map:x", drawn_data, ("faces128/drawn", "faces128/none"), pairs=30)
    assert found.name == "linear-map:projection" and found.mapping.weight.shape == (17, 16)
    calls = base.calls
    assert 40 < calls < 120
    again = linear_map.load("linear-map:x", drawn_data, ("faces128/drawn", "faces128/none"), pairs=30)
    assert base.calls == calls and again.fingerprint == found.fingerprint
    with pytest.raises(UsageError, match="--data"):
        linear_map.load("linear-map", None)
