"""The bootstrap over identities covers what it says, where one over pairs does not."""

from __future__ import annotations

import numpy as np
import pytest

from unmask.evaluation.verification import intervals


def test_draws_are_multinomial_and_repeatable() -> None:
    weights = intervals.draw(50, 400, seed=3)
    assert weights.shape == (400, 50) and (weights.sum(1) == 50).all()
    assert np.array_equal(weights, intervals.draw(50, 400, seed=3))
    assert weights.mean() == 1 and weights.var() == pytest.approx(1 - 1 / 50, rel=0.1)


def test_pair_weights() -> None:
    weights = np.array([[2.0, 0.0, 3.0]])
    found = intervals.pair_weights(weights, np.array([0, 0, 1]), np.array([0, 2, 2]))
    assert found.tolist() == [[2.0, 6.0, 0.0]]


def simulated(seed: int, people: int = 80, each: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Accepts of genuine pairs that depend on the person: each has an own rate, on average 0.8."""
    rng = np.random.default_rng(seed)
    rate = rng.beta(4, 1, people)
    identity = np.repeat(np.arange(people), each)
    return rng.random(len(identity)) < rate[identity], identity


def covers(seed: int, over_people: bool) -> bool:
    accepted, identity = simulated(seed)
    units = identity if over_people else np.arange(len(identity))
    weights = intervals.draw(int(units.max()) + 1, 200, seed)[:, units]
    samples = weights @ accepted / weights.sum(1)
    low, high = intervals.Estimate(float(accepted.mean()), samples).interval
    return low <= 0.8 <= high


def test_intervals_cover_the_truth() -> None:
    runs = 200
    over_people = np.mean([covers(seed, True) for seed in range(runs)])
    over_pairs = np.mean([covers(seed, False) for seed in range(runs // 2)])
    assert 0.91 <= over_people <= 0.985
    assert over_pairs < over_people - 0.03


def test_p_values_of_no_difference_are_uniform() -> None:
    values = []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        shared = rng.normal(size=100)
        first, second = (shared + 0.3 * rng.normal(size=100) for _ in range(2))
        weights = intervals.draw(100, 200, seed)
        one, two = (intervals.Estimate(float(x.mean()), weights @ x / weights.sum(1)) for x in (first, second))
        values.append(intervals.difference(one, two).p_value)
    assert np.mean(np.array(values) < 0.05) < 0.1
    assert 0.38 < np.mean(values) < 0.62


def test_difference_is_paired() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(size=500)
    found = intervals.difference(intervals.Estimate(0.3, samples + 0.3), intervals.Estimate(0.0, samples))
    assert found.estimate.interval == pytest.approx((0.3, 0.3))
    assert found.p_value == pytest.approx(2 / 501)
    empty = intervals.difference(intervals.Estimate(0.3, np.empty(0)), intervals.Estimate(0.0, np.empty(0)))
    assert np.isnan(empty.p_value) and empty.as_dict()["low"] is None
