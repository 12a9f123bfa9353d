"""Thresholds from all pairs of pictures of different people.

They are millions of impostor scores instead of a list's few hundred. Bootstrapping them over identities weighs the pair
of i and j by ``w_i w_j``. Around each threshold only a window of the ranked scores is looked at; what lies above the
window is summed by a matrix of counts between identities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["EDGES", "FARS", "ImpostorScores", "cross_scores"]

FARS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
BLOCK = 256  # pairs summed at once in the bootstrap
KEPT = 0.13  # share of the highest scores that is ranked
EDGES = np.linspace(-1, 1, 201)  # of the bins of all histograms of scores
LEAST = 5  # accepted impostors that a threshold should rest on

Floats = NDArray[np.float64]
Scores = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class ImpostorScores:
    """The highest cross-identity scores, falling, with their identities; ``counts`` [I,I] are all pairs compared."""

    ranked: Scores  # [K]
    first: Ints  # [K] identity of the probe
    second: Ints  # [K] identity of the gallery picture
    counts: NDArray[np.float32]  # [I,I]
    histogram: tuple[Floats, Ints]  # bin edges and counts of all scores

    @property
    def total(self) -> int:
        """How many pairs were compared."""
        return int(self.counts.sum(dtype=np.float64))

    def threshold(self, far: float) -> float:
        """The lowest threshold that accepts at most a share ``far``; NaN where fewer than five pairs make it up."""
        allowed = int(np.floor(far * self.total + 1e-9))
        if allowed < LEAST or allowed >= len(self.ranked):
            return float("nan")
        return float(np.nextafter(self.ranked[allowed], np.float32(np.inf)))

    def totals(self, weights: Floats) -> Floats:
        """The weight of all pairs in every resample, [R]."""
        return _between(self.counts, weights)

    def far(self, threshold: float, weights: Floats, totals: Floats | None = None) -> Floats:
        """False accept rate [R] at a threshold, as far as the ranked scores reach (NaN below).

        ``totals``, here and below, saves computing :meth:`totals` again.
        """
        if not len(self.ranked) or threshold <= self.ranked[-1]:
            return np.full(len(weights), np.nan)
        accepted = int(np.searchsorted(-self.ranked, -threshold, "right"))
        totals = self.totals(weights) if totals is None else totals
        return np.asarray(_between(self._counted(accepted), weights) / totals)

    def thresholds(self, far: float, weights: Floats, totals: Floats | None = None) -> Floats:
        """The threshold [R] for a false accept rate in every resample; NaN where :meth:`threshold` is."""
        allowed = int(np.floor(far * self.total + 1e-9))
        if np.isnan(self.threshold(far)):
            return np.full(len(weights), np.nan)
        slack = max(0.2 * allowed, min(8 * np.sqrt(allowed) + 100, 2.0 * allowed + 100))
        low = 0 if allowed < 20_000 else int(allowed - slack)
        high = min(len(self.ranked), int(allowed + max(slack, allowed if low == 0 else 0)))
        wanted = far * (self.totals(weights) if totals is None else totals)  # [R]
        above = _between(self._counted(low), weights) if low else np.zeros(len(weights))
        w = np.ascontiguousarray(weights.T, np.float32)  # [I,R]
        edges = list(range(low, high, BLOCK))
        sums = np.empty((len(edges), len(weights)))
        for row, start in enumerate(edges):
            part = slice(start, min(start + BLOCK, high))
            sums[row] = np.einsum("pr,pr->r", w[self.first[part]], w[self.second[part]])
        passed = above + np.cumsum(sums, 0)  # accepted after each block
        block = np.minimum((passed <= wanted).sum(0), len(edges) - 1)
        before = np.where(block > 0, passed[np.maximum(block - 1, 0), np.arange(len(weights))], above)
        at = np.asarray(edges)[block][:, None] + np.arange(BLOCK)  # [R,BLOCK]
        at = np.minimum(at, high - 1)
        rows = np.arange(len(weights))[:, None]
        inside = before[:, None] + np.cumsum(weights[rows, self.first[at]] * weights[rows, self.second[at]], 1)
        last = np.minimum((inside <= wanted[:, None]).sum(1), BLOCK - 1)
        place = np.minimum(at[:, 0] + last, high - 1)
        return np.nextafter(self.ranked[place], np.float32(np.inf)).astype(np.float64)

    def _counted(self, accepted: int) -> NDArray[np.float32]:
        """How many of the ``accepted`` highest scores each two identities have, [I,I]."""
        size = len(self.counts)
        flat = np.bincount(self.first[:accepted] * size + self.second[:accepted], minlength=size * size)
        return flat.reshape(size, size).astype(np.float32)


def cross_scores(probe: Scores, gallery: Scores, identity: Ints, symmetric: bool) -> ImpostorScores:
    """All scores of probes against gallery pictures of other people.

    ``probe`` and ``gallery`` [N,D] are embeddings of the same pictures in two conditions, rows of NaN where
    no face was found; ``identity`` [N] numbers the people from 0. With ``symmetric`` (one condition on both
    sides) each two pictures are compared once.
    """
    size = int(identity.max()) + 1 if len(identity) else 0
    parts: list[tuple[Scores, Ints, Ints]] = []
    histogram = np.zeros(len(EDGES) - 1, np.int64)
    seen_probe, seen_gallery = (np.asarray(np.isfinite(e).all(axis=1)) for e in (probe, gallery))
    counts = np.zeros((size, size), np.float32)
    floor = _floor(probe, gallery, identity, seen_probe, seen_gallery)
    for start in range(0, len(probe), 512):
        rows = np.arange(start, min(start + 512, len(probe)))
        valid = (identity[rows, None] != identity[None]) & seen_probe[rows, None] & seen_gallery[None]
        if symmetric:
            valid &= rows[:, None] < np.arange(len(gallery))[None]
        scores = np.nan_to_num(probe[rows]) @ np.nan_to_num(gallery).T
        histogram += np.histogram(scores[valid].clip(-1, 1), EDGES)[0]
        np.add.at(counts, identity[rows], _by_identity(valid, identity, size))
        i, j = np.nonzero(valid & (scores >= floor))
        parts.append((scores[i, j], identity[rows][i], identity[j]))
    ranked, first, second = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(-ranked, kind="stable")
    return ImpostorScores(ranked[order], first[order], second[order], counts, (EDGES, histogram))


def _by_identity(valid: NDArray[np.bool_], identity: Ints, size: int) -> NDArray[np.float32]:
    """Counts of valid columns per identity, [rows, I]."""
    out = np.zeros((len(valid), size), np.float32)
    order = np.argsort(identity, kind="stable")
    starts = np.flatnonzero(np.diff(identity[order], prepend=-1))
    out[:, identity[order][starts]] = np.add.reduceat(valid[:, order], starts, axis=1, dtype=np.float32)
    return out


def _floor(
    probe: Scores,
    gallery: Scores,
    identity: Ints,
    seen_probe: NDArray[np.bool_],
    seen_gallery: NDArray[np.bool_],
) -> float:
    """A score that about the share ``KEPT`` of all pairs reaches, from a spread of probes; -inf where pairs are few."""
    probes = np.flatnonzero(seen_probe)
    if len(probes) * int(seen_gallery.sum()) < 200_000:
        return -np.inf
    chosen = probes[np.linspace(0, len(probes) - 1, 256).astype(int)]
    scores = probe[chosen] @ gallery[seen_gallery].T
    valid = identity[chosen, None] != identity[seen_gallery][None]
    return float(np.quantile(scores[valid], 1 - KEPT - 0.02))


def _between(counts: NDArray[np.float32], weights: Floats) -> Floats:
    """``w' counts w`` for every row of weights, [R]."""
    w = weights.astype(np.float32)
    return np.asarray(((w @ counts) * w).sum(1, dtype=np.float64))
