"""New looks of face masks: only the garment changes, and what is added to it counts as region."""

from __future__ import annotations

import numpy as np

from tests.training.drawn import pool_of_squares
from unmask.data import garment_variation


def test_a_new_look_changes_the_garment_only(rng: np.random.Generator) -> None:
    pool = pool_of_squares()
    region = pool.regions[0].astype(np.float32) / 255
    made = [garment_variation.restyle(pool.images[0], region, pool.images[1], rng) for _ in range(25)]
    for styled in made:
        np.testing.assert_array_equal(styled[region == 0], pool.images[0][region == 0])
    assert np.std([styled[region > 0].mean() for styled in made]) > 20


def test_a_transplanted_garment_brings_its_region(rng: np.random.Generator) -> None:
    pool = pool_of_squares()
    image, cover = garment_variation.transplant(
        pool.images[1], pool.images[0], pool.regions[0].astype(np.float32) / 255, rng
    )
    assert (image[cover > 0.99] > 150).mean() > 0.9
    np.testing.assert_array_equal(image[cover == 0], pool.images[1][cover == 0])


def test_what_is_added_to_a_garment_counts_as_region(rng: np.random.Generator) -> None:
    pool = pool_of_squares()
    image, region = pool.images[0], pool.regions[0].astype(np.float32) / 255
    grown = []
    for _ in range(30):
        made, cover = garment_variation.add_accessories(image, region, rng)
        assert made.dtype == np.uint8 and cover.dtype == np.float32
        assert (cover >= region).all() and cover.max() <= 1
        np.testing.assert_array_equal(made[cover == 0], image[cover == 0])
        grown.append((cover > 0.5).sum() / (region > 0.5).sum())
    assert np.mean(grown) > 1.05
    bare, nothing = garment_variation.add_accessories(pool.images[1], np.zeros_like(region), rng)
    np.testing.assert_array_equal(bare, pool.images[1])
    assert nothing.max() == 0
