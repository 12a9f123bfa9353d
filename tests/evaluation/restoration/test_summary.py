"""Means over groups, and the worst of them."""

from __future__ import annotations

import numpy as np
import pytest

from unmask.evaluation.restoration import measure, summary


def results(count: int = 60) -> measure.Results:
    rng = np.random.default_rng(0)
    source = ["few" if i < 5 else "good" if i < 30 else "bad" for i in range(count)]
    psnr = np.array([{"few": 1.0, "good": 25.0, "bad": 20.0}[word] for word in source])
    identity = np.where(psnr == 25, 0.5, 0.7)
    figures = {
        "psnr_region": psnr, "identity": identity, "psnr": psnr, "ssim": psnr, "ssim_region": psnr, "cheek": psnr,
        **{name: rng.random(count) + 1 for both in summary.RATIOS.values() for name in both},
    }  # fmt: skip
    features = rng.normal(size=(count, 4)).astype(np.float32)
    return measure.Results(
        {"ours": figures}, {"ours": features, "true": features}, np.full(count, 0.1), {"source": source},
        {"ours": 0.0}, None,
    )  # fmt: skip


def test_the_worst_group_is_named_for_each_figure() -> None:
    found = summary.summary(results())
    assert found["source: bad"]["faces"] == 30 and found["source: few"]["faces"] == 5
    lines = summary.worst_groups(found)
    said = "region PSNR dB 20.00 for source: bad (all: 20.50); identity 0.500 for source: good (all: 0.617)"
    assert lines == [f"ours: {said}"]
    everyone = found["all"]["restorers"]["ours"]
    assert everyone["frechet"] == pytest.approx(0, abs=1e-6) and everyone["precision"] == everyone["recall"] == 1
    own = results().figures["ours"]
    assert everyone["seam"] == pytest.approx(own["jump"].sum() / own["jump_true"].sum())
    assert "jump" not in everyone
