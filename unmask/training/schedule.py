"""Learning-rate schedules as functions of the step, so that a resumed run needs no state for them."""

from __future__ import annotations

import math

import torch


def warm_cosine(
    optimiser: torch.optim.Optimizer, lr: float, step: int, warmup: int, total: int, least: float = 0.01
) -> None:
    """Linear warm-up to ``lr`` over ``warmup`` steps, then a cosine down to ``least * lr`` at step ``total``."""
    if step < warmup:
        factor = (step + 1) / warmup
    else:
        along = min(1.0, (step - warmup) / max(1, total - warmup))
        factor = least + (1 - least) * 0.5 * (1 + math.cos(math.pi * along))
    for group in optimiser.param_groups:
        group["lr"] = lr * factor * group.get("lr_scale", 1.0)
