"""Exponential moving averages of weights."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

from . import distributed

M = TypeVar("M", bound=nn.Module)


def frozen_copy(module: M) -> M:
    """A frozen copy to average into."""
    return copy.deepcopy(module).eval().requires_grad_(False)


@torch.no_grad()
def update(average: nn.Module, module: nn.Module, batch_size: int, kimg: float, step: int) -> None:
    """Move the average towards the module with a half-life of ``kimg`` thousand images, shorter at the start.

    ``batch_size`` is one process's; the images of all count. Buffers (running statistics, constant noise) are copied.
    """
    images = batch_size * distributed.count()
    half_life = min(kimg * 1000, 0.1 * (step + 1) * images)  # the ramp of StyleGAN2-ADA
    beta = 0.5 ** (images / max(half_life, 1e-8))
    for slow, fast in zip(average.parameters(), module.parameters(), strict=True):
        slow.lerp_(fast, 1 - beta)
    for kept, current in zip(average.buffers(), module.buffers(), strict=True):
        kept.copy_(current)
