"""Tones: photos of one hue are known whatever their hue, and come back on their own curve; ordinary ones stay."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unmask import images
from unmask.faces import blend, tone_curve

S = 96


def face(seed: int = 0) -> np.ndarray:
    """A soft picture with many lightnesses, float [S,S] in [0,1]."""
    rng = np.random.default_rng(seed)
    soft = cv2.resize(rng.random((8, 8)), (S, S), interpolation=cv2.INTER_CUBIC)
    return (0.05 + 0.85 * (soft - soft.min()) / np.ptp(soft)).astype(np.float32)


def colored(seed: int = 0) -> np.ndarray:
    """The same in colors that lightness does not tell, float32 [S,S,3] in levels around those of skin."""
    return np.stack([200 * face(seed), 150 * face(seed + 1), 120 * face(seed + 2)], -1).astype(np.float32)


def region() -> np.ndarray:
    """The lower middle."""
    out = np.zeros((S, S), np.float32)
    cv2.ellipse(out, (S // 2, 66), (24, 20), 0, 0, 360, 1, -1)
    return out


TONES: dict[str, Callable[[np.ndarray], tuple[np.ndarray, ...]]] = {
    "gray": lambda g: (255 * g, 255 * g, 255 * g),
    "sepia": lambda g: (255 * g**0.9, 230 * g**1.05, 190 * g**1.3),
    "cyanotype": lambda g: (20 + 210 * g**1.3, 50 + 200 * g, 90 + 160 * g**0.8),
    "amber": lambda g: (255 * np.minimum(1, 1.2 * g), 180 * g, 40 * g),
    "red": lambda g: (255 * g, 18 * g, 14 * g),
    "night": lambda g: (60 * g**2, 255 * np.minimum(1, 1.3 * g), 70 * g**2),
}


def off(pixels: np.ndarray, name: str) -> np.ndarray:
    """Levels off the true curve, for pixels [K,3]."""
    true = np.stack(TONES[name](np.linspace(0, 1, 512)), -1).clip(0, 255)
    return np.abs(pixels[:, None].astype(float) - true[None]).max(2).min(1)


@pytest.mark.parametrize("name", TONES)
@pytest.mark.parametrize("quality", [None, 80])
def test_a_patch_lies_on_the_curve_of_its_photo(name: str, quality: int | None) -> None:
    photo = np.rint(np.stack(TONES[name](face()), -1).clip(0, 255)).astype(np.uint8)
    if quality:
        photo = cv2.imdecode(cv2.imencode(".jpg", photo[:, :, ::-1], [1, quality])[1], 1)[:, :, ::-1].copy()
    hidden = region()[None, None]
    x = images.to_float(photo)
    seen = []

    def fill(crops: np.ndarray, wide: np.ndarray) -> np.ndarray:
        seen.append(crops)
        return (crops + colored(7).transpose(2, 0, 1) / 400 - 0.2).clip(-1, 1)  # of flesh color

    out = blend.paint(x, hidden, fill).onto(photo, 0, np.eye(2, 3))
    assert (seen[0].max(1) - seen[0].min(1)).max() < 0.02  # the model sees gray
    errors = off(out[region() > 0.5], name)
    assert np.median(errors) <= 4 and np.percentile(errors, 90) <= 15, (np.median(errors), np.percentile(errors, 90))
    share = (out != photo).any(2)
    assert share[region() > 0.5].mean() > 0.5 and not share[:20].any()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 99), st.floats(0.4, 1.2))
def test_ordinary_photos_are_not_touched(seed: int, light: float) -> None:
    levels = (colored(seed) * light).clip(0, 255)
    assert tone_curve.measure(levels).plain
    x = levels.transpose(2, 0, 1)[None] / 127.5 - 1
    curves = tone_curve.curves_of(x)
    assert tone_curve.neutral(x, curves) is x and tone_curve.toned(x, curves) is x


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 99), st.tuples(*[st.floats(0.05, 1)] * 3), st.floats(0.5, 2))
def test_there_and_back(seed: int, tint: tuple[float, float, float], gamma: float) -> None:
    levels = (255 * face(seed)[:, :, None] ** gamma * np.array(tint, np.float32)).astype(np.float32)
    curve = tone_curve.measure(levels)
    assert curve.colored == 0 and curve.weights.sum() == pytest.approx(1, abs=1e-5)
    assert np.abs(curve.toned(curve.neutral(levels)) - levels).max() < 5


def test_stage_light_is_taken_away_and_put_back() -> None:
    lit = colored() * np.array([0.12, 0.3, 1.3], np.float32)
    curve = tone_curve.measure(lit)
    assert curve.colored == 1 and not curve.plain
    neutral = curve.neutral(lit)
    red, green, blue = neutral[27:53, 27:69].mean(axis=(0, 1))
    octaves = np.log2([red / green, blue / green])  # as of skin around the eyes, whatever the garment's color
    assert np.abs(octaves - tone_curve._USUAL).max() < 0.6
    assert curve.gains.min() == 1 and curve.gains.argmin() == 2  # the light shows blue as it is
    assert np.allclose(curve.toned(neutral), lit, atol=1e-3)


def test_the_garment_has_no_say_in_what_the_light_is() -> None:
    skin, worn = colored(), colored()
    worn[56:] = (0, 0, 250)
    for light in ((0.9, 0.15, 0.8), (0.12, 0.3, 1.3)):
        plain, dressed = (tone_curve.measure(one * np.array(light, np.float32)).gains for one in (skin, worn))
        assert plain.max() > 2 and np.allclose(plain, dressed)


def test_nothing_to_measure() -> None:
    for levels in (np.zeros((S, S, 3), np.float32), np.full((S, S, 3), 255, np.float32), colored() * 0 + 77):
        curve = tone_curve.measure(levels, np.zeros((S, S), bool))
        assert np.isfinite(curve.toned(curve.neutral(levels))).all()
        assert np.abs(curve.toned(curve.neutral(levels)) - levels).max() < 2


@pytest.mark.parametrize(("strength", "is_colored"), [(2.0, 0), (4.0, 1)])
def test_little_color_besides_the_curve_is_noise_and_as_much_as_in_pale_portraits_is_color(
    strength: float, is_colored: int
) -> None:
    gray, besides = face(1) * 255, face(2) - face(2).mean()
    rms = np.sqrt(2 * besides.var())
    levels = np.stack([gray + strength / rms * besides, gray, gray - strength / rms * besides], -1)
    assert tone_curve.measure(levels.astype(np.float32)).colored == is_colored
