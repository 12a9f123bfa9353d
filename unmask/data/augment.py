"""Augmentations on batches of float crops [N,3,H,W], cheap and driven by one numpy generator."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def to_float(images: np.ndarray) -> Tensor:
    """uint8 [N,H,W,3] -> float32 [N,3,H,W] in [-1,1], channels last in memory."""
    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    return x.float().div_(127.5).sub_(1)


def mirror(images: np.ndarray, flip: np.ndarray) -> np.ndarray:
    """Mirror those pictures [N,H,W,C] (or maps [N,H,W]) left to right for which ``flip`` [N] holds."""
    out = np.array(images)
    out[flip] = images[flip][:, :, ::-1]
    return out


def affine(
    x: Tensor, rng: np.random.Generator, shift: float, turn: float, zoom: float, mode: str = "bilinear"
) -> Tensor:
    """Random shift (share of the width), turn (degrees) and zoom (share) of each crop, borders replicated.

    ``mode`` "bicubic" blurs less than "bilinear" and may overshoot the range.
    """
    n = len(x)
    angle = np.deg2rad(rng.normal(0, turn, n))
    scale = np.exp(rng.normal(0, zoom, n))
    theta = np.zeros((n, 2, 3), np.float32)
    theta[:, 0, 0] = theta[:, 1, 1] = np.cos(angle) * scale
    theta[:, 0, 1], theta[:, 1, 0] = -np.sin(angle) * scale, np.sin(angle) * scale
    theta[:, :, 2] = rng.normal(0, 2 * shift, (n, 2))
    grid = functional.affine_grid(torch.from_numpy(theta), list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, mode, padding_mode="border", align_corners=False)


def light(x: Tensor, rng: np.random.Generator, strength: float = 0.2) -> Tensor:
    """Random gain, offset and color balance of each crop, clipped to [-1,1]."""
    n = len(x)
    gain = torch.from_numpy(np.exp(rng.normal(0, strength, (n, 1, 1, 1)) + rng.normal(0, strength / 4, (n, 3, 1, 1))))
    offset = torch.from_numpy(rng.normal(0, strength / 2, (n, 1, 1, 1)))
    return (x * gain.float() + offset.float()).clamp_(-1, 1)


def soften(x: Tensor, rng: np.random.Generator, share: float = 0.3, least: float = 0.25) -> Tensor:
    """Make a random share of the batch coarse: shrink to between ``least`` and all of its size, and enlarge again."""
    size = x.shape[2:]
    chosen = np.flatnonzero(rng.random(len(x)) < share)
    if len(chosen):
        factor = rng.uniform(least, 0.9)
        small = [int(side * factor) for side in size]
        part = functional.interpolate(x[chosen], size=small, mode="area")
        x = x.clone()
        x[chosen] = functional.interpolate(part, size=size, mode="bilinear", align_corners=False)
    return x
