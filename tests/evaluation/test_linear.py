"""The linear baseline against the formulas it is meant to be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unmask.errors import UnmaskError
from unmask.evaluation import linear


def test_principal_components_agree_with_the_full_decomposition() -> None:
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(300, 12)) * np.logspace(1, -1, 12) @ rng.normal(size=(12, 60))).astype(np.float32)
    rows -= rows.mean(0)
    basis, variances = linear.principal(rows, 5)
    _, sizes, theirs = np.linalg.svd(rows, full_matrices=False)
    np.testing.assert_allclose(variances, sizes[:5] ** 2 / 299, rtol=1e-3)
    np.testing.assert_allclose(np.abs(np.sum(basis.T * theirs[:5], axis=1)), 1, atol=1e-3)


def test_fill_is_the_conditional_mean() -> None:
    rng = np.random.default_rng(1)
    side, kept = 4, 3
    size = side * side * 3
    basis = np.linalg.qr(rng.normal(size=(size, kept)))[0].astype(np.float32)
    variances = np.array([4.0, 2.0, 1.0], np.float32)
    mean = rng.normal(size=size).astype(np.float32)
    noise = 0.05
    model = linear.LinearFaces(mean, basis, variances, noise, side, "drawn")
    face = (mean + basis @ rng.normal(size=kept) + 0.1 * rng.normal(size=size)).astype(np.float32)
    hidden = np.zeros((side, side), bool)
    hidden[2:] = True
    gone = np.repeat(hidden.ravel(), 3)
    # the Gaussian formula with the whole covariance of the signal, inverted in pixels rather than in codes
    signal = (basis * variances) @ basis.T
    seen = signal[np.ix_(~gone, ~gone)] + noise * np.eye((~gone).sum())
    expected = mean + signal[:, ~gone] @ np.linalg.solve(seen, face[~gone] - mean[~gone])
    filled = model.fill(face.reshape(side, side, 3), hidden)
    np.testing.assert_allclose(filled.ravel(), expected, atol=1e-4)
    spoiled = face.reshape(side, side, 3).copy()
    spoiled[2:] = 9
    np.testing.assert_array_equal(model.fill(spoiled, hidden), filled)  # what is hidden has no say


def test_fit_is_kept_and_leaves_the_held_out_faces_out(drawn_data: Path, cache: Path) -> None:
    model = linear.fit(drawn_data, ["faces128/drawn"], components=8)
    assert model.basis.shape == (64 * 64 * 3, 8) and model.noise > 0
    kept = list(cache.glob("linear-*.npz"))
    assert len(kept) == 1
    stamp = kept[0].stat().st_mtime_ns
    again = linear.fit(drawn_data, ["faces128/drawn"], components=8)
    assert kept[0].stat().st_mtime_ns == stamp and again.fingerprint == model.fingerprint
    np.testing.assert_array_equal(again.basis, model.basis)
    with pytest.raises(UnmaskError, match="none of"):
        linear.fit(drawn_data / "nowhere")
