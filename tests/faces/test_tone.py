"""Tone: offsets find tints and nothing else, colorless photos stay so."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unmask.faces import tone

S = 128


def _region(size: int = S) -> np.ndarray:
    region = np.zeros((size, size), np.float32)
    cv2.ellipse(region, (size // 2, size * 11 // 16), (size // 4, size // 5), 0, 0, 360, 1, -1)
    return region


def _skin(size: int = S) -> np.ndarray:
    y, x = np.mgrid[:size, :size] / size
    return np.stack([180 + 20 * x, 140 + 15 * y, 120 - 10 * x], -1).astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.floats(-18, 18)] * 3), st.sampled_from([64, 128, 256]))
def test_a_tint_is_found_at_every_size(tint: tuple[float, float, float], size: int) -> None:
    seen, region = _skin(size), _region(size)
    seen[region > 0.5] = (60, 120, 200)
    offset = tone.color_offset(seen, _skin(size) - np.array(tint, np.float32), region)
    assert np.abs(offset[region > 0.5].mean(0) - tint).max() < 0.12 * np.abs(tint).max() + 0.5


def test_hair_and_remains_are_not_taken_for_tint() -> None:
    region, tint = _region(), np.array([12.0, -8.0, 5.0])
    crop = _skin() - tint.astype(np.float32)
    seen = _skin()
    seen[region > 0.5] = (60, 120, 200)
    seen[70:100, 97:112] = 10  # hair that the model did not see coming
    seen[112:120, 40:70] = (60, 120, 200)  # remains of the face mask
    seen[60:66, 50:80] = 0.6 * seen[60:66, 50:80] + 0.4 * np.array([60, 120, 200])  # and its color, blurred
    offset = tone.color_offset(seen, crop, region)
    assert np.abs(offset[80:105, 45:85].mean((0, 1)) - tint).max() < 3


def test_a_garment_of_the_color_of_skin_hides_no_tint() -> None:
    seen, crop = _skin(), _skin() - 30
    offset = tone.color_offset(seen, crop, _region())
    assert offset[80:100, 50:80].mean() == pytest.approx(30, abs=4)


def test_nothing_to_compare_gives_no_offset() -> None:
    crop = _skin()
    assert not tone.color_offset(crop + 9, crop, np.ones((S, S), np.float32)).any()
    assert not tone.color_offset(crop + 9, crop, np.zeros((S, S), np.float32)).any()
    assert not tone.color_offset(crop + 9, crop, _region(), np.zeros((S, S), bool)).any()


def test_the_share_of_the_garment_is_that_of_the_mixture() -> None:
    region, skin, cloth = _region(), _skin(), np.array([40.0, 90.0, 220.0], np.float32)
    seen = skin.copy()
    seen[region > 0.5] = cloth
    seen[50:55] = 0.7 * skin[50:55] + 0.3 * cloth
    share, left = tone.garment_share(seen, skin, region)
    assert np.abs(share[51:54, 40:88] - 0.3).max() < 0.03 and left[51:54, 40:88].max() < 5
    assert np.abs(share[:40]).max() < 1e-3
    same, _ = tone.garment_share(skin + 3, skin, region)
    assert not same.any()  # a garment of the color of the face


def test_opponent_colors_separate_light_from_tint() -> None:
    gray = np.full(3, 77.0) @ tone.OPPONENT.T
    assert gray[0] == pytest.approx(77) and np.abs(gray[1:]).max() < 1e-5


def test_grain_is_that_of_the_skin_at_all_widths_that_the_patch_lacks() -> None:
    rng = np.random.default_rng(0)
    photo = _skin(256)
    for width in (0.5, 3.0):  # the camera's and the pores'
        noise = cv2.GaussianBlur(rng.normal(size=(256, 256)).astype(np.float32), (0, 0), width)
        photo = photo + 4 * (noise / noise.std())[:, :, None]
    photo[:, :100] = rng.uniform(0, 255, (256, 100, 1))  # hair beside
    inside = np.zeros((256, 256), bool)
    inside[100:156, 120:236] = True
    patch = np.asarray(_skin(256), np.float32)
    fine, all_of_it = (tone.grain(photo, patch, ~inside, inside, 1, finest)[inside].std() for finest in (1.0, 6.0))
    assert 1.0 < fine < 0.85 * all_of_it < 6.0
    assert tone.grain(patch, patch, ~inside, inside, 1, 6.0).std() < 1e-4
    np.testing.assert_array_equal(*(tone.grain(photo, patch, ~inside, inside, 5) for _ in range(2)))
