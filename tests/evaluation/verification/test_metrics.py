"""Figures of verification: hand-computed goldens, scikit-learn, scipy, and what must always hold."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from unmask.evaluation.verification import metrics as v

# A tiny set drawn once, worked through by hand below.
GENUINE = np.array([0.9, 0.8, 0.55, 0.3])
IMPOSTOR = np.array([0.7, 0.5, 0.4, 0.2, 0.1])
SCORES = np.concatenate([GENUINE, IMPOSTOR])
ISSAME = np.arange(9) < 4
ONES = np.ones((1, 9))


def drawn(seed: int, count: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    issame = rng.random(count) < 0.5
    issame[:2] = True, False
    scores = np.round(rng.normal(issame * 1.0, 1.0), 1)  # rounded, so that scores tie
    return scores, issame, rng.integers(0, 4, count)


def test_golden_roc() -> None:
    far, tar, thresholds = v.roc(GENUINE, IMPOSTOR)
    assert thresholds.tolist() == [np.inf, 0.9, 0.8, 0.7, 0.55, 0.5, 0.4, 0.3, 0.2, 0.1]
    assert tar.tolist() == [0, 0.25, 0.5, 0.5, 0.75, 0.75, 0.75, 1, 1, 1]
    np.testing.assert_allclose(far, [0, 0, 0, 0.2, 0.2, 0.4, 0.6, 0.6, 0.8, 1], atol=1e-12)


def test_golden_figures() -> None:
    # genuine above impostor: 0.9 and 0.8 beat all 5, 0.55 beats 4, 0.3 beats 2 of 20 comparisons
    assert v.auc(SCORES, ISSAME, ONES)[0] == pytest.approx(16 / 20)
    # at 0.5..0.55 one of 4 is refused (0.25) and one of 5 accepted (0.2): the nearest the two come
    assert v.eer(SCORES, ISSAME, ONES)[0] == pytest.approx(0.225)
    # far 0.2 lets one impostor in: the threshold is just above 0.5, and 3 of 4 pass
    assert v.threshold_at_far(IMPOSTOR, 0.2) == np.nextafter(0.5, 1)
    assert v.tar_at_far(SCORES, ISSAME, 0.2) == 0.75
    assert np.isnan(v.tar_at_far(SCORES, ISSAME, 0.1))  # five impostors cannot say
    assert np.isnan(v.tar_at_far(IMPOSTOR, np.zeros(len(IMPOSTOR), bool), 0.2))  # nor can impostors alone
    fixed = v.fixed_threshold(SCORES, ISSAME, 0.5, ONES)
    assert (fixed.false_reject[0], fixed.false_accept[0]) == (0.25, 0.4)
    mean_g, mean_i = 0.6375, 0.38
    var_g, var_i = GENUINE.var(), IMPOSTOR.var()
    expected = (mean_g - mean_i) / np.sqrt((var_g + var_i) / 2)
    assert v.d_prime(SCORES, ISSAME, ONES)[0] == pytest.approx(expected)


def test_golden_accuracy() -> None:
    scores = np.array([0.9, 0.2, 0.8, 0.3, 0.25, 0.1])
    issame = np.array([1, 0, 1, 0, 1, 0], bool)
    folds = np.array([0, 0, 1, 1, 2, 2])
    # fold 0: the others are best split in (0.1, 0.25] or (0.3, 0.8]; the lower is taken: 0.2 accepted.
    # fold 1: in (0.2, 0.25], all right: 0.3 accepted. fold 2: in (0.3, 0.8], all right: 0.25 refused.
    value, right = v.accuracy(scores, issame, folds, np.ones((1, 6)))
    assert right.tolist() == [True, False, True, False, False, True]
    assert value[0] == pytest.approx(0.5)


def test_missing_faces_count_as_errors() -> None:
    scores = np.array([0.9, np.nan, 0.8, 0.1, np.nan, 0.2])
    issame = np.array([1, 1, 1, 0, 0, 0], bool)
    ones = np.ones((1, 6))
    value, right = v.accuracy(scores, issame, np.array([0, 0, 1, 0, 1, 1]), ones)
    assert right.tolist() == [True, False, True, True, False, True]
    assert value[0] == pytest.approx(4 / 6)
    assert v.fixed_threshold(scores, issame, 0.5, ones).false_reject[0] == pytest.approx(1 / 3)
    assert v.fixed_threshold(scores, issame, 0.5, ones).false_accept[0] == 0
    assert v.auc(scores, issame, ones)[0] == pytest.approx(2 / 3)
    assert np.isfinite(v.d_prime(scores, issame, ones)[0])


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_scikit_learn(seed: int) -> None:
    scores, issame, _ = drawn(seed)
    far, tar, thresholds = v.roc(scores[issame], scores[~issame])
    theirs = metrics.roc_curve(issame, scores, drop_intermediate=False)
    np.testing.assert_allclose(far, theirs[0])
    np.testing.assert_allclose(tar, theirs[1])
    np.testing.assert_allclose(thresholds, theirs[2])
    weights = np.stack([np.ones(len(scores)), np.random.default_rng(seed).integers(0, 4, len(scores))])
    for row, value in zip(weights, v.auc(scores, issame, weights), strict=True):
        assert value == pytest.approx(metrics.roc_auc_score(issame, scores, sample_weight=row))
    for wanted in (0.5, 0.1, 0.02):
        best = tar[far <= wanted].max()
        assert v.tar_at_far(scores, issame, wanted) == pytest.approx(best)


def test_weights_are_repetitions() -> None:
    scores, issame, folds = drawn(7, 80)
    times = np.random.default_rng(1).integers(0, 4, len(scores))
    often = np.repeat(np.arange(len(scores)), times)
    plain = np.ones((1, len(often)))
    weights = times[None].astype(float)
    for figure in (v.auc, v.eer, v.d_prime):
        ours = figure(scores, issame, weights)
        assert ours[0] == pytest.approx(figure(scores[often], issame[often], plain)[0]), figure.__name__
    both = (
        v.accuracy(scores, issame, folds, weights)[0],
        v.accuracy(scores[often], issame[often], folds[often], plain)[0],
    )
    assert both[0][0] == pytest.approx(both[1][0])


def test_mcnemar_against_the_binomial_test() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random(500) < 0.9, rng.random(500) < 0.86
    found = v.mcnemar(first, second)
    total = found.only_first + found.only_second
    assert found.p_value == pytest.approx(scipy.stats.binomtest(found.only_first, total).pvalue, abs=1e-9)
    assert v.mcnemar(first, first) == v.McNemar(0, 0, 1.0)


scores_of = st.lists(st.floats(-1, 1, width=32), min_size=3, max_size=60)


@settings(max_examples=60, deadline=None)
@given(scores_of, scores_of)
def test_threshold_falls_and_tar_rises_with_far(genuine: list[float], impostor: list[float]) -> None:
    scores = np.array(genuine + impostor)
    issame = np.arange(len(scores)) < len(genuine)
    fars = [1 / 50, 1 / 20, 0.1, 0.3, 0.6, 1.0]
    thresholds = np.array([v.threshold_at_far(scores[~issame], far) for far in fars])
    known = thresholds[~np.isnan(thresholds)]
    assert (np.diff(known) <= 0).all()
    tars = np.array([v.tar_at_far(scores, issame, far) for far in fars])
    assert (np.diff(tars[~np.isnan(tars)]) >= 0).all()
    for far, threshold in zip(fars, thresholds, strict=True):
        if far < 1 and not np.isnan(threshold):
            assert (scores[~issame] >= threshold).mean() <= far + 1e-12


@settings(max_examples=60, deadline=None)
@given(scores_of, scores_of, st.floats(0.1, 3), st.floats(-1, 1))
def test_figures_stay_in_bounds_and_ignore_scale(
    genuine: list[float], impostor: list[float], factor: float, shift: float
) -> None:
    scores = np.round(np.array(genuine + impostor), 3)
    issame = np.arange(len(scores)) < len(genuine)
    ones = np.ones((1, len(scores)))
    for figure in (v.auc, v.eer):
        value = figure(scores, issame, ones)[0]
        assert -1e-9 <= value <= 1 + 1e-9
        moved = np.round(scores * 1000) * factor + shift
        assert figure(moved, issame, ones)[0] == pytest.approx(value)
    far, tar, _ = v.roc(scores[issame], scores[~issame])
    assert (np.diff(far) >= 0).all() and (np.diff(tar) >= 0).all()
    assert (far[0], tar[0]) == (0, 0) and far[-1] == tar[-1] == 1


def test_a_resample_without_any_genuine_pair_has_no_auc() -> None:
    scores, issame = np.array([0.9, 0.2, 0.1]), np.array([True, False, False])
    found = v.auc(scores, issame, np.array([[1.0, 1.0, 1.0], [0.0, 1.0, 1.0]]))
    assert found[0] == 1 and np.isnan(found[1])
