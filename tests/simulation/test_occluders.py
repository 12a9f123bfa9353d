"""Hands, scarves, blocks and the like in front of a face."""

from __future__ import annotations

import numpy as np
import pytest

from tests.simulation.test_simulate import POINTS, portrait
from unmask.simulation.occluders import KINDS
from unmask.simulation.simulate import occlude


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_covers_something(kind: str) -> None:
    image = portrait(noise=2.0)
    for seed in range(5):
        result = occlude(image, POINTS, np.random.default_rng(seed), kind)
        assert result.garment is None
        assert result.image.dtype == np.uint8 and result.region.dtype == np.float32
        assert 0.5 < result.region.max() <= 1.0 and result.region.min() >= 0.0
        assert result.region.mean() < 0.6
        assert (result.image != image).any()
        assert (result.image <= image)[result.region == 0].all()


def test_same_generator_same_picture() -> None:
    a, b = (occlude(portrait(), POINTS, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(a.image, b.image) and np.array_equal(a.region, b.region)


def test_all_kinds_are_drawn_and_sizes_do_not_matter() -> None:
    for size in (32, 500):
        points = (POINTS + 0.5) * size / 128 - 0.5
        for seed in range(4):
            assert occlude(portrait(size), points, np.random.default_rng(seed)).region.max() > 0.3


def test_out_of_view_and_unknown() -> None:
    image = portrait()
    gone = occlude(image, POINTS + 900, np.random.default_rng(0))
    assert gone.region.max() == 0 and np.array_equal(gone.image, image)
    with pytest.raises(ValueError, match="umbrella"):
        occlude(image, POINTS, np.random.default_rng(0), "umbrella")
