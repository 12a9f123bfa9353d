"""Adaptive discriminator augmentation (Karras et al. 2020b): geometric and color changes with probability p."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def augment(x: Tensor, p: float) -> Tensor:
    """Mirror, turn, zoom, shift and recolor each picture [N,3,H,W], each change with probability ``p``.

    Differentiable in x. Draws from torch's global generator.
    """
    if p <= 0:
        return x
    n, device = len(x), x.device

    def when(value: Tensor, neutral: float) -> Tensor:
        return torch.where(torch.rand(n, device=device) < p, value, torch.full_like(value, neutral))

    turn = when(torch.randn(n, device=device) * 0.12, 0.0)
    zoom = torch.exp2(when(torch.randn(n, device=device) * 0.15, 0.0))
    flip = when(torch.where(torch.rand(n, device=device) < 0.5, -1.0, 1.0), 1.0)
    shift = [when((torch.rand(n, device=device) - 0.5) * 0.25, 0.0) for _ in range(2)]
    theta = torch.stack(
        [
            torch.stack([turn.cos() * zoom * flip, -turn.sin() * zoom, shift[0]], 1),
            torch.stack([turn.sin() * zoom * flip, turn.cos() * zoom, shift[1]], 1),
        ],
        1,
    )
    grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
    y = functional.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
    brightness = when(torch.randn(n, device=device) * 0.2, 0.0)
    contrast = torch.exp2(when(torch.randn(n, device=device) * 0.3, 0.0))
    saturation = torch.exp2(when(torch.randn(n, device=device) * 0.5, 0.0))
    y = y * contrast[:, None, None, None] + brightness[:, None, None, None]
    gray = y.mean(1, keepdim=True)
    return gray + (y - gray) * saturation[:, None, None, None]


def adjust(p: float, signs: float, images: int, target: float = 0.6, kimg: float = 500.0) -> float:
    """The new probability after ``images`` pictures with mean ``sign(D(real)) = signs`` (eq. 1, heuristic r_t)."""
    step = math.copysign(images / (kimg * 1000), signs - target)
    return min(max(p + step, 0.0), 0.9)
