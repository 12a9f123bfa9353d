"""The flicker figure on clips whose flicker is known."""

from __future__ import annotations

import numpy as np
import pytest

from unmask.evaluation.restoration.flicker import flicker


def test_stills_and_even_changes_do_not_flicker() -> None:
    still = np.repeat(np.random.default_rng(0).integers(0, 255, (1, 8, 8, 3), dtype=np.uint8), 9, axis=0)
    assert flicker(still) == 0
    fade = (np.arange(20)[:, None, None, None] * np.ones((1, 8, 8, 3)) * 5).astype(np.uint8)
    assert flicker(fade) == 0


def test_noise_of_a_known_spread() -> None:
    """The second difference of white noise has variance 6; half its mean size is sqrt(6) s sqrt(2/pi) / 2 = 0.977 s."""
    frames = np.random.default_rng(0).normal(128, 12, (60, 32, 32, 3)).round().clip(0, 255).astype(np.uint8)
    assert flicker(frames) == pytest.approx(0.977 * 12, rel=0.03)


def test_only_the_region_counts() -> None:
    frames = np.full((9, 8, 8, 3), 100, np.uint8)
    frames[::2, 4:] = 110
    region = np.zeros((8, 8))
    region[:4] = 1
    assert flicker(frames, region) == 0 and flicker(frames, 1 - region) == 10 and flicker(frames) == 5
    with pytest.raises(ValueError, match="empty"):
        flicker(frames, region * 0)
    with pytest.raises(ValueError, match="three"):
        flicker(frames[:2])
