"""Figures of face verification from scores: the only copy.

Every figure is written once, for weighted pairs, and comes for many sets of weights at once: ``weights`` is
[R,P], one row a resample, and a row of ones gives the plain figure. A pair is accepted when its score is at
least the threshold. A score that is NaN means that a face was not found: such a pair is never accepted,
counts as an error in the accuracy whatever its label, and is left out of impostor distributions (nothing was
compared, so nothing could be accepted wrongly).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Fixed",
    "McNemar",
    "accuracy",
    "auc",
    "d_prime",
    "eer",
    "fixed_threshold",
    "mcnemar",
    "roc",
    "tar_at_far",
    "threshold_at_far",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
MISSING = -np.inf  # what a missing genuine pair scores: below every threshold


def accuracy(scores: Floats, issame: Bools, folds: NDArray[np.int64], weights: Floats) -> tuple[Floats, Bools]:
    """k-fold accuracy [R], mean over the folds, and which pairs [P] are right under the first row of weights.

    The threshold of each fold is the one with the highest accuracy on all other folds (the middle of the gap
    below the lowest score that it accepts; the lowest such threshold where several do equally well). With a
    single fold its own threshold is used, which flatters.
    """
    names = np.unique(folds)
    per_fold = np.full((len(names), len(weights)), np.nan)
    right = np.zeros(len(scores), bool)
    for row, fold in enumerate(names):
        test = folds == fold
        train = ~test if len(names) > 1 else test
        found = _best_threshold(scores[train], issame[train], weights[:, train])
        scored = np.where(np.isnan(scores[test]), np.nan, scores[test])
        hit = np.where(issame[test], scored >= found[:, None], scored < found[:, None])  # NaN compares as False
        total = weights[:, test].sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            per_fold[row] = (hit * weights[:, test]).sum(1) / total
        right[test] = hit[0]
    return np.nanmean(per_fold, 0), right


def _best_threshold(scores: Floats, issame: Bools, weights: Floats) -> Floats:
    """The threshold [R] of the highest weighted accuracy."""
    there = ~np.isnan(scores)
    order = np.argsort(scores[there], kind="stable")
    ranked = scores[there][order]
    w = weights[:, there][:, order]
    same = issame[there][order]
    # gain of raising the threshold past pair k: an impostor becomes right, a genuine pair wrong
    gain = np.cumsum(np.where(same, -w, w), axis=1)
    gain = np.concatenate([np.zeros((len(w), 1)), gain], axis=1)  # [R, M+1]; k pairs are rejected
    tied = np.concatenate([[False], ranked[1:] == ranked[:-1], [False]])
    best = np.where(tied, -np.inf, gain).argmax(1)
    edges = np.concatenate([ranked[:1] - 1, (ranked[1:] + ranked[:-1]) / 2, ranked[-1:] + 1])
    return np.asarray(edges[best])


def auc(scores: Floats, issame: Bools, weights: Floats) -> Floats:
    """Area under the ROC curve [R]: the weighted chance that a genuine pair scores above an impostor, ties half.

    A resample without any scored pair of one kind has none: NaN.
    """
    genuine, w_genuine = _genuine(scores, issame, weights)
    impostor, w_impostor = _impostor(scores, issame, weights)
    order = np.argsort(impostor)
    impostor = impostor[order]
    below = np.concatenate([np.zeros((len(weights), 1)), np.cumsum(w_impostor[:, order], 1)], axis=1)
    low = np.searchsorted(impostor, genuine, "left")
    high = np.searchsorted(impostor, genuine, "right")
    won = (w_genuine * (below[:, low] + below[:, high])).sum(1) / 2
    return _of(won, w_genuine.sum(1) * below[:, -1])


def eer(scores: Floats, issame: Bools, weights: Floats) -> Floats:
    """Equal error rate [R]: the mean of false accepts and false rejects where the two are nearest."""
    values = np.unique(scores[~np.isnan(scores)])
    genuine, w_genuine = _genuine(scores, issame, weights)
    impostor, w_impostor = _impostor(scores, issame, weights)
    false_reject = _share_below(genuine, w_genuine, values)
    false_accept = 1 - _share_below(impostor, w_impostor, values)
    at = np.abs(false_accept - false_reject).argmin(1)[:, None]
    both = np.take_along_axis(false_accept, at, 1) + np.take_along_axis(false_reject, at, 1)
    return np.asarray(both[:, 0] / 2)


def _share_below(scores: Floats, weights: Floats, values: Floats) -> Floats:
    """The weighted share [R,V] of scores that lie below each value."""
    order = np.argsort(scores)
    total = np.concatenate([np.zeros((len(weights), 1)), np.cumsum(weights[:, order], 1)], axis=1)
    return _of(total[:, np.searchsorted(scores[order], values, "left")], total[:, -1:])


def _of(part: Floats, whole: Floats) -> Floats:
    """A share; NaN, without a warning, where a resample holds nothing to take a share of."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(part / whole)


def d_prime(scores: Floats, issame: Bools, weights: Floats) -> Floats:
    """Distance of the genuine from the impostor mean over the root of their mean variance, [R]; scored pairs only."""
    parts = []
    for wanted in (issame, ~issame):
        there = wanted & ~np.isnan(scores)
        w = _of(weights[:, there], weights[:, there].sum(1, keepdims=True))
        mean = w @ scores[there]
        parts.append((mean, w @ np.square(scores[there]) - mean**2))
    (mean_g, var_g), (mean_i, var_i) = parts
    return _of(mean_g - mean_i, np.sqrt((var_g + var_i) / 2))


def threshold_at_far(impostor: Floats, far: float) -> float:
    """The lowest threshold at which at most a share ``far`` of the impostor scores is accepted.

    NaN where the scores are too few for one of them to make up that share (``far * N < 1``).
    """
    ranked = np.sort(impostor[~np.isnan(impostor)])[::-1]
    allowed = int(np.floor(far * len(ranked) + 1e-9))
    if allowed < 1:
        return float("nan")
    if allowed >= len(ranked):
        return float(ranked[-1])
    return float(np.nextafter(ranked[allowed], np.inf))


def tar_at_far(scores: Floats, issame: Bools, far: float) -> float:
    """True accept rate at a false accept rate set on the list's own impostor pairs.

    NaN where they are too few (``far * N < 1``) or no pair is of one person.
    """
    threshold = threshold_at_far(scores[~issame], far)
    if np.isnan(threshold) or not issame.any():
        return float("nan")
    return float((np.nan_to_num(scores[issame], nan=MISSING) >= threshold).mean())


@dataclass(frozen=True)
class Fixed:
    """Errors at a threshold given from outside: shares [R] of genuine pairs refused and impostors accepted."""

    false_reject: Floats
    false_accept: Floats


def fixed_threshold(scores: Floats, issame: Bools, threshold: float, weights: Floats) -> Fixed:
    """False reject and false accept of the list's pairs at ``threshold``; a genuine pair not scored is refused."""
    genuine, w_genuine = _genuine(scores, issame, weights)
    impostor, w_impostor = _impostor(scores, issame, weights)
    refused = _of((w_genuine * (genuine < threshold)).sum(1), w_genuine.sum(1))
    accepted = _of((w_impostor * (impostor >= threshold)).sum(1), w_impostor.sum(1))
    return Fixed(refused, accepted)


def roc(genuine: Floats, impostor: Floats) -> tuple[Floats, Floats, Floats]:
    """False accept rates, true accept rates and thresholds (falling).

    One point per distinct score and one at the start. Genuine NaN are never accepted; impostor NaN are left out.
    """
    genuine = np.sort(np.nan_to_num(genuine, nan=MISSING))
    impostor = np.sort(impostor[~np.isnan(impostor)])
    values = np.unique(np.concatenate([genuine[np.isfinite(genuine)], impostor]))[::-1]
    thresholds = np.concatenate([[np.inf], values])
    tar = 1 - np.searchsorted(genuine, thresholds, "left") / max(1, len(genuine))
    far = 1 - np.searchsorted(impostor, thresholds, "left") / max(1, len(impostor))
    return far, tar, thresholds


@dataclass(frozen=True)
class McNemar:
    """Pairs that only the first or only the second got right, and the two-sided exact p-value."""

    only_first: int
    only_second: int
    p_value: float


def mcnemar(first: Bools, second: Bools) -> McNemar:
    """McNemar's exact test on two sets of decisions about the same pairs (right or wrong, [P])."""
    one, two = int((first & ~second).sum()), int((second & ~first).sum())
    return McNemar(one, two, _sign_test(min(one, two), one + two))


def _sign_test(fewer: int, total: int) -> float:
    """P(at most ``fewer`` or at least ``total - fewer`` heads of ``total`` fair coins), in logarithms."""
    if total == 0:
        return 1.0
    counts = np.arange(fewer + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, total + 1)))])
    terms = logs[total] - logs[counts] - logs[total - counts] - total * np.log(2)
    return float(min(1.0, 2 * np.exp(terms).sum()))


def _genuine(scores: Floats, issame: Bools, weights: Floats) -> tuple[Floats, Floats]:
    return np.nan_to_num(scores[issame], nan=MISSING), weights[:, issame]


def _impostor(scores: Floats, issame: Bools, weights: Floats) -> tuple[Floats, Floats]:
    there = ~issame & ~np.isnan(scores)
    return scores[there], weights[:, there]
