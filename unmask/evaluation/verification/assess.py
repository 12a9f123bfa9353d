"""From embeddings to the figures of every condition, with intervals and paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..pairs.pairlist import PairList
from . import metrics
from .impostors import FARS, ImpostorScores, cross_scores
from .intervals import Estimate, difference, draw, pair_weights, point
from .metrics import Bools, Floats
from .views import CLEAN, MASKED

__all__ = ["HEADLINE_FAR", "RESAMPLES", "Assessment", "Assessor", "Condition", "conditions", "contrast", "fused"]

RESAMPLES = 2000
HEADLINE_FAR = 1e-3
LIST_FARS = (1e-1, 1e-2, 1e-3)

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Condition:
    """How both sides of a pair are shown: the second picture of a pair is the probe, the first the reference."""

    probe: str
    reference: str

    @property
    def name(self) -> str:
        """``probe/reference``."""
        return f"{self.probe}/{self.reference}"


def fused(restorer: str) -> str:
    """The view in which embeddings of the masked and the restored picture are averaged."""
    return f"{restorer} fused"


def conditions(restorers: Sequence[str]) -> list[Condition]:
    """Clean, masked, every restorer's and fused, against clean pictures; and the pictures against their own kind."""
    found = [Condition(CLEAN, CLEAN), Condition(MASKED, CLEAN)]
    found += [Condition(view, CLEAN) for name in restorers for view in (name, fused(name))]
    found.append(Condition(MASKED, MASKED))
    return found + [Condition(name, name) for name in restorers]


@dataclass(frozen=True)
class Assessment:
    """The figures of one condition under one recognizer."""

    condition: Condition
    scores: Floats  # [P], NaN where a face was not found
    right: Bools  # [P] decisions of the k-fold protocol
    figures: dict[str, Estimate]
    thresholds: dict[float, float]  # FAR -> threshold from all cross-identity pairs
    list_tars: dict[float, float]
    impostors: int  # cross-identity pairs compared
    impostor_scores: ImpostorScores | None


class Assessor:
    """Scores the pairs of one list; all its conditions share their resamples, so that differences are paired."""

    def __init__(self, pairs: PairList, seed: int = 0, resamples: int = RESAMPLES):
        self.pairs = pairs
        order = {key: i for i, key in enumerate(pairs.pictures)}
        self.a = np.array([order[p.a] for p in pairs.pairs])
        self.b = np.array([order[p.b] for p in pairs.pairs])
        self.issame = np.array([p.issame for p in pairs.pairs])
        self.folds = np.array([p.fold for p in pairs.pairs])
        self.identity = np.array([pairs.identity[key] for key in pairs.pictures])
        people = int(self.identity.max()) + 1
        self.weights = np.concatenate([point(people), draw(people, resamples, seed)])  # the first row is the data
        self.of_pairs = pair_weights(self.weights, self.identity[self.a], self.identity[self.b])
        self.of_genuine = self.of_pairs[:, self.issame]

    def assess(self, condition: Condition, probe: Vectors, reference: Vectors) -> Assessment:
        """The figures of one condition from embeddings [N,D] of the list's pictures, less those of :meth:`deploy`."""
        scores = (probe[self.b] * reference[self.a]).sum(1).astype(np.float64)
        accuracy, right = metrics.accuracy(scores, self.issame, self.folds, self.of_pairs)
        figures = {
            "accuracy": _estimate(accuracy),
            "auc": _estimate(metrics.auc(scores, self.issame, self.of_pairs)),
            "eer": _estimate(metrics.eer(scores, self.issame, self.of_pairs)),
            "d_prime": _estimate(metrics.d_prime(scores, self.issame, self.of_pairs)),
        }
        impostor_scores, thresholds = None, {}
        if self.pairs.people_known:
            symmetric = condition.probe == condition.reference
            impostor_scores = cross_scores(probe, reference, self.identity, symmetric)
            totals = impostor_scores.totals(self.weights)
            for far in FARS:
                thresholds[far] = impostor_scores.threshold(far)
                if np.isfinite(thresholds[far]):
                    figures[f"tar@{far:g}"] = self._tar(scores, impostor_scores.thresholds(far, self.weights, totals))
        tars = {far: metrics.tar_at_far(scores, self.issame, far) for far in LIST_FARS}
        impostors = impostor_scores.total if impostor_scores is not None else 0
        return Assessment(condition, scores, right, figures, thresholds, tars, impostors, impostor_scores)

    def deploy(self, one: Assessment, threshold: float) -> Assessment:
        """The same with false rejects and false accepts at the threshold of a system set up on clean pairs."""
        fixed = metrics.fixed_threshold(one.scores, self.issame, threshold, self.of_pairs)
        accepted = (
            fixed.false_accept if one.impostor_scores is None else one.impostor_scores.far(threshold, self.weights)
        )
        added = {"false_reject": _estimate(fixed.false_reject), "false_accept": _estimate(accepted)}
        return replace(one, figures={**one.figures, **added})

    def deployed_threshold(self, clean: Assessment) -> float:
        """The threshold that clean pairs would set: FAR 1e-3 over all people, or 1e-2 over the list's own impostors."""
        found = clean.thresholds.get(HEADLINE_FAR, float("nan"))
        if np.isfinite(found):
            return found
        return metrics.threshold_at_far(clean.scores[~self.issame], 1e-2)

    def _tar(self, scores: Floats, thresholds: Floats) -> Estimate:
        genuine = np.nan_to_num(scores[self.issame], nan=metrics.MISSING)
        accepted = genuine[None] >= thresholds[:, None]
        with np.errstate(invalid="ignore"):
            return _estimate((accepted * self.of_genuine).sum(1) / self.of_genuine.sum(1))

    def groups(
        self, words: Sequence[str], masked: Assessment, restored: Sequence[Assessment], far: float = HEADLINE_FAR
    ) -> list[dict[str, Any]]:
        """TAR of genuine pairs by a property of the probe (one word a picture), thresholds held as they are."""
        table = []
        label = np.array(words)[self.b[self.issame]]
        for word in sorted(set(label.tolist())):
            here = label == word
            weights = self.of_genuine[:, here]
            row: dict[str, Any] = {"group": word, "pairs": int(here.sum())}
            base = self._share(masked, here, weights, far)
            row["masked"] = base.as_dict()
            for one in restored:
                own = self._share(one, here, weights, far)
                row[one.condition.probe] = {**own.as_dict(), "gain": difference(own, base).as_dict()}
            table.append(row)
        return table

    def _share(self, one: Assessment, here: Bools, weights: Floats, far: float) -> Estimate:
        """The share of some genuine pairs that is accepted."""
        genuine = np.nan_to_num(one.scores[self.issame][here], nan=metrics.MISSING)
        threshold = one.thresholds.get(far, float("nan"))
        if not np.isfinite(threshold):
            threshold = metrics.threshold_at_far(one.scores[~self.issame], 1e-2)
        with np.errstate(invalid="ignore"):
            return _estimate((weights * (genuine >= threshold)).sum(1) / weights.sum(1))


def contrast(one: Assessment, other: Assessment) -> dict[str, Any]:
    """Paired differences ``one - other`` of every figure both have, and McNemar's test on the k-fold decisions."""
    shared = [name for name in one.figures if name in other.figures]
    found: dict[str, Any] = {name: difference(one.figures[name], other.figures[name]).as_dict() for name in shared}
    test = metrics.mcnemar(one.right, other.right)
    found["mcnemar"] = {
        "only_first_right": test.only_first,
        "only_second_right": test.only_second,
        "p_value": test.p_value,
    }
    return found


def _estimate(values: Floats) -> Estimate:
    """The first value is the data's own, the others are resamples."""
    return Estimate(float(values[0]), np.asarray(values[1:]))
