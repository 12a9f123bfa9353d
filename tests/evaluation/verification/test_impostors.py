"""All cross-identity pairs: against brute force, plain and resampled."""

from __future__ import annotations

import numpy as np
import pytest

from unmask.evaluation.verification import impostors, intervals, metrics


def people(count: int = 60, each: int = 3, seed: int = 0, noise: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    identity = np.repeat(np.arange(count), each)
    center = rng.normal(size=(count, 16))
    embeddings = center[identity] + noise * rng.normal(size=(len(identity), 16))
    return (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float32), identity


@pytest.mark.parametrize("symmetric", [True, False])
def test_thresholds_of_all_pairs(symmetric: bool) -> None:
    probe, identity = people()
    gallery = probe if symmetric else people(seed=0, noise=0.9)[0]
    probe = probe.copy()
    probe[4] = np.nan
    if symmetric:
        gallery = probe
    found = impostors.cross_scores(probe, gallery, identity, symmetric)
    scores = probe @ gallery.T
    valid = (identity[:, None] != identity[None]) & ~np.isnan(scores)
    if symmetric:
        valid &= np.triu(np.ones_like(valid), 1)
    every = scores[valid].astype(np.float64)
    assert found.total == len(every) == found.histogram[1].sum()
    for far in (0.1, 0.01, 0.002):
        expected = metrics.threshold_at_far(every, far)
        assert found.threshold(far) == pytest.approx(expected, abs=1e-6)
        assert found.far(found.threshold(far), np.ones((1, 60)))[0] == pytest.approx((every >= expected).mean())
    assert np.isnan(found.threshold(1e-5))
    assert np.isnan(found.thresholds(1e-5, np.ones((2, 60)))).all()


def test_resampled_thresholds_are_those_of_the_resample() -> None:
    embeddings, identity = people()
    found = impostors.cross_scores(embeddings, embeddings, identity, symmetric=True)
    weights = np.concatenate([intervals.point(60), intervals.draw(60, 20, seed=1)])
    rows, columns = np.triu_indices(len(identity), 1)
    keep = identity[rows] != identity[columns]
    rows, columns = identity[rows[keep]], identity[columns[keep]]
    scores = (embeddings @ embeddings.T)[np.triu_indices(len(identity), 1)][keep]
    for far in (0.1, 0.01, 0.002):
        ours = found.thresholds(far, weights)
        assert ours[0] == found.threshold(far)
        for w, threshold in zip(weights, ours, strict=True):
            pair = w[rows] * w[columns]
            share = pair[scores >= threshold].sum() / pair.sum()
            just_below = scores[scores < threshold].max()
            with_next = pair[scores >= just_below].sum() / pair.sum()
            assert share <= far + 1e-9 < with_next + 1e-6
            assert found.far(threshold, w[None])[0] == pytest.approx(share, abs=1e-6)


def test_large_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The window that leaves the highest scores to a matrix of counts gives the same as ranking all of them."""
    embeddings, identity = people(count=260, each=2, noise=1.0)
    found = impostors.cross_scores(embeddings, embeddings, identity, symmetric=False)
    assert found.total > 260_000 and len(found.ranked) < 0.2 * found.total
    weights = np.concatenate([intervals.point(260), intervals.draw(260, 5, seed=2)])
    ours = found.thresholds(0.1, weights)
    assert ours[0] == found.threshold(0.1)
    np.testing.assert_allclose([found.far(t, w[None])[0] for t, w in zip(ours, weights, strict=True)], 0.1, rtol=1e-3)
