"""Which faces look to a side, so that training can see more of them."""

from __future__ import annotations

import numpy as np

from ..simulation.shape3d import fit_pose

TURNED = (20.0, 50.0)  # degrees of yaw: where faces begin to count as turned, and from where on all count alike


def turned(points: np.ndarray) -> np.ndarray:
    """Chances [N] (sum 1) of faces with the points [N,5,2] that grow with their yaw; 0 where a face looks ahead.

    All are alike if none of them is turned.
    """
    yaw = np.array([abs(fit_pose(p.astype(np.float64)).yaw) for p in points])
    weight = np.clip(yaw, *TURNED) - TURNED[0]
    return np.asarray(weight / weight.sum() if weight.any() else np.full(len(weight), 1 / len(weight)))


def prefer(rows: np.ndarray, share: float, chances: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """``rows`` [n] with a share of them drawn anew, by ``chances`` [N] of the rows 0 to N - 1."""
    anew = rng.random(len(rows)) < share
    rows = rows.copy()
    rows[anew] = rng.choice(len(chances), int(anew.sum()), p=chances)
    return rows
