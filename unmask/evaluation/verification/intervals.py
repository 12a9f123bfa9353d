"""95 % intervals by bootstrap over identities.

People are drawn, not pairs, for pairs of one person rise and fall together. One set of resamples serves every condition
and recognizer, so that differences are paired.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEVEL", "Estimate", "difference", "draw", "pair_weights", "point"]

Floats = NDArray[np.float64]
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure with what it came to in each resample [R] (empty where no resampling was done)."""

    value: float
    samples: Floats

    @property
    def interval(self) -> tuple[float, float]:
        """The percentile interval; NaN where there are no resamples."""
        if not np.isfinite(self.samples).any():
            return float("nan"), float("nan")
        low, high = np.nanquantile(self.samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return float(low), float(high)

    def as_dict(self) -> dict[str, float | None]:
        """Value and bounds for JSON; NaN becomes null."""
        low, high = self.interval
        return {key: _plain(v) for key, v in (("value", self.value), ("low", low), ("high", high))}


@dataclass(frozen=True)
class Difference:
    """A paired difference, its interval, and the two-sided p-value that it is zero."""

    estimate: Estimate
    p_value: float

    def as_dict(self) -> dict[str, float | None]:
        """For JSON."""
        return {**self.estimate.as_dict(), "p_value": _plain(self.p_value)}


def draw(identities: int, resamples: int, seed: int) -> Floats:
    """How often each identity is in each resample, [R,I]: rows are multinomial with sum I."""
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, identities, (resamples, identities))
    chosen += np.arange(resamples)[:, None] * identities
    counts = np.bincount(chosen.ravel(), minlength=resamples * identities)
    return counts.reshape(resamples, identities).astype(np.float64)


def point(identities: int) -> Floats:
    """The weights [1,I] of the data as they are."""
    return np.ones((1, identities))


def pair_weights(weights: Floats, a: NDArray[np.int64], b: NDArray[np.int64]) -> Floats:
    """Weights [R,P] of pairs of the identities a and b [P]: once for a genuine pair, the product for an impostor."""
    first = weights[:, a]
    return np.where(a == b, first, first * weights[:, b])


def difference(first: Estimate, second: Estimate) -> Difference:
    """``first - second`` over the same resamples."""
    samples = first.samples - second.samples
    there = samples[np.isfinite(samples)]
    if not len(there):
        return Difference(Estimate(first.value - second.value, samples), float("nan"))
    smaller = min((there <= 0).sum(), (there >= 0).sum())
    p_value = min(1.0, 2 * (smaller + 1) / (len(there) + 1))
    return Difference(Estimate(first.value - second.value, samples), float(p_value))


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
