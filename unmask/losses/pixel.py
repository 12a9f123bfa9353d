"""Pixel losses and figures, weighted by the region."""

from __future__ import annotations

import torch
from torch import Tensor


def region_error(y_hat: Tensor, y: Tensor, region: Tensor, inside: float = 1.0, outside: float = 0.2) -> Tensor:
    """``inside`` times the mean absolute error under the region plus ``outside`` times the one elsewhere.

    y_hat, y [N,3,H,W]; region [N,1,H,W] in [0,1]. Means are over the region's (or the rest's) area, so that large and
    small face masks weigh the same per picture.
    """
    apart = y_hat - y
    error = apart.abs().mean(1, keepdim=True)
    under = (error * region).sum((1, 2, 3)) / region.sum((1, 2, 3)).clamp(min=1.0)
    rest = (error * (1 - region)).sum((1, 2, 3)) / (1 - region).sum((1, 2, 3)).clamp(min=1.0)
    return inside * under.mean() + outside * rest.mean()


def psnr(y_hat: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio in dB of each picture [N] for values in [-1,1]; ``weight`` [N,1,H,W] picks pixels."""
    error = (y_hat - y).square().mean(1, keepdim=True)
    if weight is None:
        weight = torch.ones_like(error)
    mse = (error * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp(min=1e-6)
    return 10 * torch.log10(4 / mse.clamp(min=1e-10))


def gradient_energy(x: Tensor, weight: Tensor) -> Tensor:
    """Mean squared difference of neighboring pixels under ``weight`` [N,1,H,W], per picture [N]; falls with blur."""
    dx = (x[..., :, 1:] - x[..., :, :-1]).square().mean(1, keepdim=True)
    dy = (x[..., 1:, :] - x[..., :-1, :]).square().mean(1, keepdim=True)
    wx, wy = weight[..., :, 1:] * weight[..., :, :-1], weight[..., 1:, :] * weight[..., :-1, :]
    total = (dx * wx).sum((1, 2, 3)) + (dy * wy).sum((1, 2, 3))
    return total / (wx.sum((1, 2, 3)) + wy.sum((1, 2, 3))).clamp(min=1e-6)
