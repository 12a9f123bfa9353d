"""How near a restored face is to the true one: formulas only, one public function each.

Pictures are tensors [N,3,H,W] in [-1,1]; ``region`` is [N,1,H,W] in [0,1], 1 = hidden by the face mask.
Figures come per picture, [N] float64, so that they can be averaged over any group.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "coverage",
    "frechet",
    "gradient_energy",
    "luminance",
    "mean_over",
    "precision_recall",
    "psnr",
    "seam_jump",
    "ssim",
]

DATA_RANGE = 2.0  # of values in [-1,1]
MAX_PSNR = 100.0  # for identical pictures
_WINDOW, _SIGMA = 11, 1.5
_K1, _K2 = 0.01, 0.03


def coverage(region: Tensor) -> Tensor:
    """The hidden part of each picture, [N] in [0,1]."""
    return region.double().mean((1, 2, 3))


def psnr(y_hat: Tensor, y: Tensor, region: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio in dB, [N]: ``10 log10(4 / mse)``, at most 100.

    With a region the error is averaged over it alone (weighted by it, all channels); a picture with an empty
    region gives NaN.
    """
    error = (y_hat.double() - y.double()).square().mean(1, keepdim=True)
    mse = mean_over(error, region)
    return (10 * torch.log10(DATA_RANGE**2 / mse.clamp_min(1e-300))).clamp_max(MAX_PSNR)


def ssim(y_hat: Tensor, y: Tensor, region: Tensor | None = None) -> Tensor:
    """Structural similarity (Wang et al., 2004), [N]: 11x11 Gaussian window of sigma 1.5, mean over RGB.

    Averaged over the window centers at least 5 pixels from the edge, weighted by ``region`` where given (NaN
    where that is empty there).
    """
    rows, columns = (_blurring(size).to(y.device) for size in y.shape[2:])

    def blur(image: Tensor) -> Tensor:  # [N,C,H,W] -> [N,C,H-10,W-10]
        return rows @ image @ columns.T

    a, b = y_hat.double(), y.double()
    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    both = blur(a * b) - mean_a * mean_b
    c1, c2 = (_K1 * DATA_RANGE) ** 2, (_K2 * DATA_RANGE) ** 2
    top = (2 * mean_a * mean_b + c1) * (2 * both + c2)
    values = top / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    edge = _WINDOW // 2
    inner = None if region is None else region[:, :, edge:-edge, edge:-edge]
    return mean_over(values.mean(1, keepdim=True), inner)


def _blurring(size: int) -> Tensor:
    """The matrix [size-10,size] that averages a line of pixels by the Gaussian window (faster than a convolution)."""
    at = torch.arange(_WINDOW, dtype=torch.float64) - _WINDOW // 2
    line = torch.exp(-at.square() / (2 * _SIGMA**2))
    line = line / line.sum()
    out = torch.zeros(size - _WINDOW + 1, size, dtype=torch.float64)
    for i in range(len(out)):
        out[i, i : i + _WINDOW] = line
    return out


def luminance(image: Tensor) -> Tensor:
    """Rec. 601 luma, [N,3,H,W] -> [N,1,H,W]."""
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=image.dtype, device=image.device)
    return (image * weights[:, None, None]).sum(1, keepdim=True)


def gradient_energy(image: Tensor, region: Tensor, inset: int = 2) -> Tensor:
    """Mean squared luminance gradient inside the region, ``inset`` pixels off its border, [N].

    NaN where nothing is left. The ratio of a restored face's energy to the true one's says how sharp it is: below 1
    blurred, above 1 noisy.
    """
    luma = luminance(image.double())
    across = luma[..., :-1, 1:] - luma[..., :-1, :-1]
    down = luma[..., 1:, :-1] - luma[..., :-1, :-1]
    inside = (region > 0.5).double()
    size = 2 * inset + 1
    inside = 1 - F.max_pool2d(1 - inside, size, 1, inset)
    return mean_over(across**2 + down**2, inside[..., :-1, :-1])


def seam_jump(image: Tensor, region: Tensor) -> Tensor:
    """Mean absolute luminance step between neighbors of which exactly one is hidden, [N] (NaN without a border).

    Divided by the same figure of the true picture it says how visible the seam is: 1 is none.
    """
    luma = luminance(image.double())
    hidden = region > 0.5
    across = hidden[..., :, 1:] != hidden[..., :, :-1]
    down = hidden[..., 1:, :] != hidden[..., :-1, :]
    total = ((luma[..., :, 1:] - luma[..., :, :-1]).abs() * across).sum((1, 2, 3))
    total = total + ((luma[..., 1:, :] - luma[..., :-1, :]).abs() * down).sum((1, 2, 3))
    return total / (across.sum((1, 2, 3)) + down.sum((1, 2, 3)))


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Fréchet distance of two sets of features [N,D] and [M,D], taken as Gaussian (Heusel et al., 2017).

    ``|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2))``; needs more samples than features to be exact.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if min(len(a), len(b)) < 2:
        return float("nan")
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(np.atleast_2d(cov_a))
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    # tr (C_a C_b)^(1/2) = tr (C_a^(1/2) C_b C_a^(1/2))^(1/2), whose eigenvalues are real
    product = np.linalg.eigvalsh(root @ np.atleast_2d(cov_b) @ root)
    shift = np.square(a.mean(0) - b.mean(0)).sum()
    distance = shift + np.trace(np.atleast_2d(cov_a + cov_b)) - 2 * np.sqrt(product.clip(0)).sum()
    return float(max(distance, 0.0))


def precision_recall(restored: np.ndarray, true: np.ndarray, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall of restored features [N,D] against true ones [M,D] (Kynkäänniemi et al., 2019).

    Precision is the share of restored faces that lie within the distance of some true face to its k-th neighbor,
    recall the share of true faces that lie so near to restored ones. Both in [0,1]; NaN for sets of at most k.
    """
    if min(len(restored), len(true)) <= k:
        return float("nan"), float("nan")
    a, b = (torch.from_numpy(np.asarray(features, np.float64)) for features in (restored, true))

    def covered(points: Tensor, by: Tensor) -> float:
        reach = torch.cdist(by, by).kthvalue(k + 1, dim=1).values  # the nearest is the point itself
        return float((torch.cdist(points, by) <= reach[None]).any(1).double().mean())

    return covered(a, b), covered(b, a)


def mean_over(values: Tensor, region: Tensor | None) -> Tensor:
    """The mean of values [N,1,H,W] over each picture, [N], weighted by a region where given (NaN where it is empty)."""
    if region is None:
        return values.mean((1, 2, 3))
    weight = region.double()
    return (values * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3))
