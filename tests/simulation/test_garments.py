"""Garments: what can be drawn, what can be fixed, what is refused."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from unmask.simulation.garments import COVERAGES, KINDS, PATTERNS, STYLES, Garment, sample_garment


def test_everything_is_drawn_sooner_or_later() -> None:
    rng = np.random.default_rng(0)
    garments = [sample_garment(rng) for _ in range(1500)]
    assert {g.kind for g in garments} == set(KINDS)
    assert {g.coverage for g in garments} == set(COVERAGES)
    assert {g.pattern for g in garments} == set(PATTERNS)
    assert {g.style for g in garments} == {style for styles in STYLES.values() for style in styles}
    assert {g.valve for g in garments} == {0, 1, 2}
    colors = Counter(g.color for g in garments)
    assert len(colors) > 1200
    assert all(0 <= channel <= 255 and isinstance(channel, int) for g in garments for channel in g.color)


@pytest.mark.parametrize("field,value", [("kind", "n95"), ("coverage", "low"), ("style", "bandana"), ("valve", 2)])
def test_fields_can_be_fixed(field: str, value: object) -> None:
    for seed in range(20):
        garment = sample_garment(np.random.default_rng(seed), **{field: value})
        assert getattr(garment, field) == value
        assert garment.style in STYLES[garment.kind]


@pytest.mark.parametrize(
    "fixed", [{"kind": "balaclava"}, {"coverage": "none"}, {"kind": "n95", "style": "bandana"}, {"hue": 3}]
)
def test_unknown_values_are_refused(fixed: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        sample_garment(np.random.default_rng(0), **fixed)


def test_a_garment_checks_itself() -> None:
    with pytest.raises(ValueError, match="pattern"):
        Garment("cloth", (1, 2, 3), "high", "flat", pattern="tartan")
