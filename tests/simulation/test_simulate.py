"""Simulated face masks: what the picture and the region promise."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from unmask.simulation.garments import COVERAGES, KINDS, PATTERNS, STYLES, Garment, sample_garment
from unmask.simulation.simulate import Simulated, simulate

# the ffhq template at 128
POINTS = np.array([(192.98, 239.95), (318.90, 240.19), (256.63, 314.02), (201.26, 371.41), (313.09, 371.15)]) / 4


def portrait(size: int = 128, brightness: float = 1.0, sideways: float = 0.0, noise: float = 0.0) -> np.ndarray:
    """An oval of skin before a gray wall, lit from the right for `sideways` > 0."""
    y, x = np.mgrid[:size, :size] / size
    face = (((x - 0.5) / 0.27) ** 2 + ((y - 0.55) / 0.37) ** 2 < 1)[..., None]
    color = np.where(face, (205.0, 150.0, 125.0), (120.0, 125.0, 130.0)) * brightness
    color = color * np.exp(sideways * (x - 0.5))[..., None]
    if noise:
        color = color + np.random.default_rng(5).normal(0, noise, (size, size, 1))
    return np.clip(color, 0, 255).astype(np.uint8)


def plain(**changes: object) -> Garment:
    fixed: dict[str, object] = {
        "kind": "surgical", "color": (200, 200, 200), "coverage": "high", "style": "pleated", "loops": "none",
    }  # fmt: skip
    return Garment(**{**fixed, **changes})  # type: ignore[arg-type]


def test_what_comes_back() -> None:
    image = portrait()
    before = image.copy()
    result = simulate(image, POINTS, np.random.default_rng(0))
    assert isinstance(result, Simulated) and isinstance(result.garment, Garment)
    assert result.image.shape == image.shape and result.image.dtype == np.uint8
    assert result.region.shape == image.shape[:2] and result.region.dtype == np.float32
    assert result.region.min() == 0.0 and 0.99 < result.region.max() <= 1.0
    assert np.array_equal(image, before)


def test_same_generator_same_picture() -> None:
    a, b, c = (simulate(portrait(), POINTS, np.random.default_rng(seed)) for seed in (7, 7, 8))
    assert np.array_equal(a.image, b.image) and np.array_equal(a.region, b.region) and a.garment == b.garment
    assert not np.array_equal(a.image, c.image)


@pytest.mark.parametrize("kind,style", [(kind, style) for kind in KINDS for style in STYLES[kind]])
def test_every_cut_covers_mouth_and_chin_but_not_the_eyes(kind: str, style: str) -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        garment = sample_garment(rng, kind=kind, style=style, coverage="high", loops="none", size=1.0)
        region = simulate(portrait(), POINTS, rng, garment).region
        for x, y in POINTS[2:]:
            assert region[round(y), round(x)] > 0.95, (seed, x, y)
        assert region[104, 64] > 0.95  # the chin
        assert region[round(POINTS[0, 1]), round(POINTS[0, 0])] == 0 == region[60, 80]
        assert region[:55].max() == 0
        assert 0.05 < region.mean() < 0.25


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_is_drawn(pattern: str) -> None:
    garment = sample_garment(np.random.default_rng(1), kind="cloth", style="flat", pattern=pattern)
    result = simulate(portrait(), POINTS, np.random.default_rng(2), garment)
    inside = result.image[result.region > 0.99].astype(float)
    assert result.garment == garment
    assert inside.std(axis=0).max() > 1.0  # never a flat sticker


def test_coverage_orders_the_upper_edge() -> None:
    tops = {}
    for coverage in COVERAGES:
        rows = []
        for seed in range(8):
            region = simulate(portrait(), POINTS, np.random.default_rng(seed), plain(coverage=coverage)).region
            rows.append(int(np.argmax(region[:, 64] > 0.5)))
        tops[coverage] = np.mean(rows)
    assert tops["high"] + 3 < tops["medium"] < tops["low"] - 3


def test_nothing_far_from_the_region_changes() -> None:
    image = portrait(noise=3.0)
    for seed in range(10):
        result = simulate(image, POINTS, np.random.default_rng(seed))
        covered = result.region > 0
        y, x = np.nonzero((result.image != image).any(-1) & ~covered)
        cy, cx = np.nonzero(covered)
        distance = np.sqrt(((y[:, None] - cy) ** 2 + (x[:, None] - cx) ** 2).min(1)) if len(y) else np.zeros(1)
        assert distance.max() < 15
        assert (result.image <= image)[~covered].all()  # the shadow only darkens


def test_hidden_pixels_do_not_leak_into_the_garment() -> None:
    for seed in range(12):
        image = portrait(noise=4.0)
        first = simulate(image, POINTS, np.random.default_rng(seed))
        hidden = first.region == 1.0
        image[hidden] = np.random.default_rng(99).integers(0, 256, (int(hidden.sum()), 3))
        again = simulate(image, POINTS, np.random.default_rng(seed))
        assert np.array_equal(first.region, again.region)
        assert np.array_equal(first.image[hidden], again.image[hidden])


def test_garment_follows_level_side_and_grain_of_the_photo() -> None:
    def inside(image: np.ndarray) -> np.ndarray:
        result = simulate(image, POINTS, np.random.default_rng(3), plain(wrinkles=0.0, tilt=0.0))
        return np.where(result.region[..., None] > 0.99, result.image.astype(float), np.nan)

    bright, dark = np.nanmean(inside(portrait())), np.nanmean(inside(portrait(brightness=0.25)))
    assert dark < 0.6 * bright
    lit = inside(portrait(sideways=1.5))
    assert np.nanmean(lit[:, 64:]) > 1.12 * np.nanmean(lit[:, :64])
    step = [np.nanstd(np.diff(inside(portrait(noise=n)).mean(-1), axis=1)[70:95, 50:78]) for n in (0.0, 8.0)]
    assert step[1] > step[0] + 4


def test_warm_light_makes_a_warm_garment() -> None:
    image = portrait().astype(float) * (1.0, 0.7, 0.45)
    result = simulate(image.astype(np.uint8), POINTS, np.random.default_rng(3), plain())
    red, _, blue = result.image[result.region > 0.99].mean(0)
    assert red > 1.25 * blue


@pytest.mark.parametrize("size", [32, 64, 300, 900])
def test_any_size_gives_the_same_shape(size: int) -> None:
    scale = size / 128
    points = (POINTS + 0.5) * scale - 0.5
    garment = plain(wrinkles=0.2)
    here = simulate(portrait(size), points, np.random.default_rng(4), garment).region
    there = simulate(portrait(), POINTS, np.random.default_rng(4), garment).region
    assert here.shape == (size, size)
    assert here.mean() == pytest.approx(there.mean(), rel=0.04)
    small = np.asarray(PilImage.fromarray(here).resize((128, 128), PilImage.Resampling.BOX))
    assert np.abs(small - there).mean() < (0.03 if size < 100 else 0.01)


def test_partly_and_wholly_outside_the_picture() -> None:
    image = portrait()
    for shift in ((-60, 0), (60, 0), (0, 40), (50, 50), (-64, -30)):
        result = simulate(image, POINTS + shift, np.random.default_rng(1))
        assert result.region.max() > 0.5, shift
    gone = simulate(image, POINTS + np.array([400, 0]), np.random.default_rng(1))
    assert gone.region.max() == 0 and np.array_equal(gone.image, image)


def test_strange_points_still_give_a_region() -> None:
    profile = np.array([(60.0, 60), (66, 60), (84, 78), (64, 95), (70, 95)])
    upside_down = 127 - POINTS[[1, 0, 2, 4, 3]]
    turned = (POINTS - 64) @ np.array([[0.0, 1.0], [-1.0, 0.0]]) + 64
    for points in (profile, upside_down[[1, 0, 2, 4, 3]], turned, POINTS * 0.1 + 50):
        result = simulate(portrait(), points, np.random.default_rng(0), plain())
        mouth = np.rint(points[3:].mean(0)).astype(int)
        assert result.region[mouth[1], mouth[0]] > 0.9


def test_far_side_shrinks_when_the_head_turns() -> None:
    from unmask.simulation.shape3d import POINTS as MEAN
    from unmask.simulation.shape3d import rotation

    turned = (MEAN @ rotation(np.radians(40.0), 0.0).T)[:, :2] * 31.5 + (60, 60)
    region = simulate(portrait(), turned, np.random.default_rng(0), plain()).region
    nose = turned[2, 0]
    columns = np.flatnonzero(region.max(0) > 0.5)
    assert nose - columns.min() > 1.5 * (columns.max() - nose)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((64, 64), np.uint8),
        np.zeros((64, 64, 4), np.uint8),
        np.zeros((64, 64, 3), np.float32),
        "photo.png",
    ],
)
def test_wrong_images_are_refused(image: object) -> None:
    with pytest.raises(ValueError, match="uint8"):
        simulate(image, POINTS, np.random.default_rng(0))  # type: ignore[arg-type]


@pytest.mark.parametrize("points", [POINTS[:4], np.full((5, 2), 3.0), POINTS * np.nan])
def test_wrong_points_are_refused(points: np.ndarray) -> None:
    with pytest.raises(ValueError, match="points"):
        simulate(portrait(), points, np.random.default_rng(0))


def test_real_faces_are_covered_where_they_should(data_dir: Path) -> None:
    folder = data_dir / "faces128"
    with open(folder / "index.csv", newline="") as file:
        rows = [row for _, row in zip(range(60), csv.DictReader(file), strict=False)]
    shares = []
    with zipfile.ZipFile(folder / "celebw.zip") as archive:
        for number, row in enumerate(rows):
            image = np.asarray(PilImage.open(io.BytesIO(archive.read(row["file"]))).convert("RGB"))
            points = np.array([float(value) for value in list(row.values())[2:]]).reshape(5, 2)
            result = simulate(image, points, np.random.default_rng(number))
            mouth = np.rint(points[3:].mean(0)).astype(int)
            assert result.region[mouth[1], mouth[0]] > 0.9
            shares.append(result.region.mean())
    assert 0.09 < np.mean(shares) < 0.16
