"""The formulas of quality against scikit-image, scipy and small sums by hand."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import metrics

from unmask.evaluation.restoration import quality


def pair(seed: int = 0, size: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    y = torch.nn.functional.interpolate(torch.rand(2, 3, 8, 8, generator=generator) * 2 - 1, size, mode="bilinear")
    return (y + 0.1 * torch.randn(y.shape, generator=generator)).clamp(-1, 1), y


def test_psnr_and_ssim_agree_with_scikit_image() -> None:
    y_hat, y = pair()
    for i in range(len(y)):
        a, b = (t[i].permute(1, 2, 0).double().numpy() for t in (y_hat, y))
        assert quality.psnr(y_hat, y)[i].item() == pytest.approx(metrics.peak_signal_noise_ratio(b, a, data_range=2))
        theirs = metrics.structural_similarity(
            b, a, data_range=2, channel_axis=2, gaussian_weights=True, use_sample_covariance=False
        )
        assert quality.ssim(y_hat, y)[i].item() == pytest.approx(theirs, abs=1e-9)


def test_region_figures_look_at_the_region_only() -> None:
    y_hat, y = pair()
    region = torch.zeros(2, 1, 40, 40)
    region[:, :, 10:30, 5:25] = 1
    inside = quality.psnr(y_hat[:, :, 10:30, 5:25], y[:, :, 10:30, 5:25])
    assert torch.allclose(quality.psnr(y_hat, y, region), inside)
    spoiled = y_hat.clone()
    spoiled[:, :, :2] = 1
    assert torch.equal(quality.psnr(spoiled, y, region), quality.psnr(y_hat, y, region))
    whole = torch.ones_like(region)
    assert torch.allclose(quality.ssim(y_hat, y, whole), quality.ssim(y_hat, y))
    assert quality.psnr(y_hat, y, torch.zeros_like(region)).isnan().all()
    assert quality.coverage(region).tolist() == [0.25, 0.25]


def test_identical_pictures() -> None:
    _, y = pair()
    assert quality.psnr(y, y).tolist() == [100.0, 100.0]
    assert quality.ssim(y, y).tolist() == pytest.approx([1.0, 1.0])


def test_gradient_energy_of_a_ramp() -> None:
    ramp = torch.arange(20.0).expand(1, 3, 20, 20) * 0.1  # step 0.1 across, 0 down
    region = torch.zeros(1, 1, 20, 20)
    region[..., 5:15, 5:15] = 1
    assert quality.gradient_energy(ramp, region).item() == pytest.approx(0.01, rel=1e-6)
    blurred = torch.nn.functional.avg_pool2d(torch.rand(1, 3, 20, 20), 5, 1, 2)
    assert quality.gradient_energy(blurred, region) < quality.gradient_energy(torch.rand(1, 3, 20, 20), region)


def test_seam_jump_of_a_pasted_square() -> None:
    flat = torch.zeros(1, 3, 20, 20)
    region = torch.zeros(1, 1, 20, 20)
    region[..., 5:15, 5:15] = 1
    assert quality.seam_jump(flat + 0.3 * region, region).item() == pytest.approx(0.3, rel=1e-6)
    assert quality.seam_jump(flat, region).item() == 0
    assert quality.seam_jump(flat, torch.ones_like(region)).isnan().all()


def test_frechet_against_the_matrix_root_of_scipy() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(200, 6)) @ rng.normal(size=(6, 6)), rng.normal(size=(150, 6)) + 0.5
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(ca @ cb).real
    theirs = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(ca + cb - 2 * root)
    assert quality.frechet(a, b) == pytest.approx(theirs, rel=1e-6)
    assert quality.frechet(a, a) == pytest.approx(0, abs=1e-6)
    assert np.isnan(quality.frechet(a[:1], b))


def test_precision_and_recall() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=(150, 4))
    assert quality.precision_recall(true, true) == (1.0, 1.0)
    narrow = rng.normal(size=(150, 4)) * 0.2  # all plausible, little variety
    precision, recall = quality.precision_recall(narrow, true)
    assert precision > 0.9 > 0.5 > recall
    wide = rng.normal(size=(150, 4)) * 5
    assert quality.precision_recall(wide, true)[0] < 0.3
    assert np.isnan(quality.precision_recall(true[:3], true)).all()
    # by hand: on a line the third neighbors of 0, 1, 2, 3 and 10 are 3, 2, 2, 3 and 9 away
    line = np.array([[0.0], [1.0], [2.0], [3.0], [10.0]])
    assert quality.precision_recall(line + np.array([[3.5]]), line)[0] == pytest.approx(1.0)
    assert quality.precision_recall(np.array([[-3.0], [-3.1], [19.0], [19.1]]), line)[0] == pytest.approx(0.5)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 0.5), st.integers(0, 100))
def test_more_noise_is_never_better(noise: float, seed: int) -> None:
    _, y = pair(seed)
    drawn = torch.randn(y.shape, generator=torch.Generator().manual_seed(seed))
    less, more = quality.psnr(y + noise * drawn, y), quality.psnr(y + 1.5 * noise * drawn, y)
    assert (less > more).all()
