"""A whole verification run: pictures to views to embeddings to figures, as one plain structure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import engines
from ...recognition import Recognizer
from ..pairs.pairlist import PairList
from .assess import RESAMPLES, Assessment, Assessor, Condition, conditions, contrast, fused
from .embedding import Embedded
from .impostors import EDGES
from .views import CLEAN, MASKED

__all__ = ["Evaluation", "averaged", "between", "dependence", "evaluate", "summary"]

GROUPINGS = ("kind", "coverage", "color", "pose", "face size")


@dataclass(frozen=True)
class Evaluation:
    """All conditions under one recognizer."""

    recognizer: Recognizer
    assessor: Assessor
    assessments: dict[str, Assessment]  # by the condition's name
    deployed: float

    def against_clean(self, probe: str) -> Assessment:
        """The assessment of a view against clean pictures."""
        return self.assessments[Condition(probe, CLEAN).name]


def evaluate(
    pairs: PairList,
    embedded: Embedded,
    recognizers: Sequence[Recognizer],
    restorers: Sequence[str],
    seed: int = 0,
    resamples: int = RESAMPLES,
    progress: Callable[[int], None] | None = None,
) -> list[Evaluation]:
    """Figures of every condition for every recognizer, over the same resamples."""
    assessor = Assessor(pairs, seed, resamples)
    found = []
    for recognizer in recognizers:
        vectors = {view: embedded.vectors[recognizer.name, view] for view in (CLEAN, MASKED, *restorers)}
        vectors |= {fused(name): averaged(vectors[MASKED], vectors[name]) for name in restorers}

        def assess(condition: Condition, vectors: dict[str, Any] = vectors) -> Assessment:
            return assessor.assess(condition, vectors[condition.probe], vectors[condition.reference])

        every = {}
        with ThreadPoolExecutor(engines.threads()) as pool:
            for one in pool.map(assess, conditions(restorers)):
                every[one.condition.name] = one
                if progress is not None:
                    progress(1)
        deployed = assessor.deployed_threshold(every[Condition(CLEAN, CLEAN).name])
        if np.isfinite(deployed):  # too few pairs set no threshold
            every = {name: assessor.deploy(one, deployed) for name, one in every.items()}
        found.append(Evaluation(recognizer, assessor, every, deployed))
    return found


def summary(evaluation: Evaluation, embedded: Embedded, restorers: Sequence[str]) -> dict[str, Any]:
    """The figures of one recognizer as plain values for JSON."""
    pairs = evaluation.assessor.pairs
    masked = evaluation.against_clean(MASKED)
    restored = [evaluation.against_clean(name) for name in restorers]
    words = properties(embedded)
    return {
        "score_edges": EDGES.round(6).tolist(),
        "deployed_threshold": evaluation.deployed if np.isfinite(evaluation.deployed) else None,
        "conditions": {name: _plain(one, pairs) for name, one in evaluation.assessments.items()},
        "restored_minus_masked": {
            name: {
                "against_clean": contrast(evaluation.against_clean(name), masked),
                "against_own_kind": contrast(
                    evaluation.assessments[Condition(name, name).name],
                    evaluation.assessments[Condition(MASKED, MASKED).name],
                ),
            }
            for name in restorers
        },
        "fused_minus_masked": {
            name: {"against_clean": contrast(evaluation.against_clean(fused(name)), masked)} for name in restorers
        },
        "groups": {
            grouping: evaluation.assessor.groups(words[grouping], masked, restored)
            for grouping in GROUPINGS
            if set(words[grouping]) != {"unknown"}
        },
        "faces_not_found": {
            view: embedded.missing(evaluation.recognizer.name, view) for view in (CLEAN, MASKED, *restorers)
        },
        "pairs": len(pairs.pairs),
    }


def averaged(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of unit-length embeddings [N,D], of unit length; where one is NaN (no face found) the other alone."""
    parts = np.stack([one, other])
    there = np.isfinite(parts).all(2, keepdims=True)
    total = np.where(there, parts, 0).sum(0)
    mean = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
    return np.where(there.any(0), mean, np.nan).astype(np.float32)


def dependence(
    embedded: Embedded, identity: NDArray[np.int64], recognizer: str, teachers: Sequence[str], seed: int = 0
) -> dict[str, float]:
    """How alike a recognizer and each teacher see strangers: the correlation of their scores on clean pictures.

    Over up to 200,000 random pairs of pictures of different people. 0 is independent, 1 the same network.
    """
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, len(identity), (2, 300_000))
    found = {}
    for teacher in teachers:
        both = [embedded.vectors[name, CLEAN] for name in (recognizer, teacher)]
        there = np.isfinite(np.concatenate(both, 1).sum(1))
        kept = np.flatnonzero((identity[a] != identity[b]) & there[a] & there[b])[:200_000]
        if len(kept) > 2:
            scores = [(one[a[kept]] * one[b[kept]]).sum(1) for one in both]
            found[teacher] = float(np.corrcoef(*scores)[0, 1])
    return found


def between(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """Paired differences of every recognizer and each one before it, condition by condition: ``"second - first"``."""
    return {
        f"{second.recognizer.name} - {first.recognizer.name}": {
            name: contrast(second.assessments[name], first.assessments[name]) for name in second.assessments
        }
        for i, second in enumerate(evaluations)
        for first in evaluations[:i]
    }


def _plain(one: Assessment, pairs: PairList) -> dict[str, Any]:
    lost = [pair for pair, score in zip(pairs.pairs, one.scores, strict=True) if np.isnan(score)]
    same = np.array([pair.issame for pair in pairs.pairs])
    scores = {"genuine": _histogram(one.scores[same]), "impostor": _histogram(one.scores[~same])}
    if one.impostor_scores is not None:
        scores["cross_identity"] = one.impostor_scores.histogram[1].tolist()
    return {
        "figures": {name: estimate.as_dict() for name, estimate in one.figures.items()},
        "thresholds": {f"{far:g}": value for far, value in one.thresholds.items() if np.isfinite(value)},
        "list_tar_at_far": {f"{far:g}": value for far, value in one.list_tars.items() if np.isfinite(value)},
        "impostor_pairs": one.impostors,
        "pairs_not_scored": [{"line": pair.line, "a": pair.a, "b": pair.b} for pair in lost],
        "score_counts": scores,
    }


def _histogram(scores: NDArray[np.float64]) -> list[int]:
    """Counts of scores in the bins of :data:`unmask.evaluation.verification.impostors.EDGES`."""
    return [int(n) for n in np.histogram(scores[np.isfinite(scores)].clip(-1, 1), EDGES)[0]]


def properties(embedded: Embedded) -> dict[str, list[str]]:
    """A word per picture for every grouping: of its face mask, pose and size."""
    notes = embedded.notes[MASKED]
    return {
        "kind": [str(note.get("kind", "unknown")) for note in notes],
        "coverage": [str(note.get("coverage", "unknown")) for note in notes],
        "color": [str(note.get("color", "unknown")) for note in notes],
        "pose": [_pose(note) for note in notes],
        "face size": [_size(note) for note in notes],
    }


def _pose(note: dict[str, Any]) -> str:
    if "yaw" not in note:
        return "unknown"
    yaw = abs(float(note["yaw"]))
    return "0-10 degrees" if yaw < 10 else "10-25 degrees" if yaw < 25 else "over 25 degrees"


def _size(note: dict[str, Any]) -> str:
    if "eyes" not in note:
        return "unknown"
    eyes = float(note["eyes"])
    return "eyes under 30 px apart" if eyes < 30 else "eyes 30-45 px apart" if eyes < 45 else "eyes over 45 px apart"
