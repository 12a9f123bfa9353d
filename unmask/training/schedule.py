"""Learning-rate schedules as functions of the step, so that a resumed run needs no state for them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch


def warm_cosine(
    optimizer: torch.optim.Optimizer, lr: float, step: int, warmup: int, total: int, least: float = 0.01
) -> None:
    """Linear warm-up to ``lr`` over ``warmup`` steps, then a cosine down to ``least * lr`` at step ``total``."""
    if step < warmup:
        factor = (step + 1) / warmup
    else:
        along = min(1.0, (step - warmup) / max(1, total - warmup))
        factor = least + (1 - least) * 0.5 * (1 + math.cos(math.pi * along))
    _set(optimizer, lr * factor)


def warm_drops(
    optimizer: torch.optim.Optimizer, lr: float, step: int, warmup: int, total: int, drops: Sequence[float]
) -> None:
    """Linear warm-up, then ``lr``, a tenth of it after each share of ``total`` in ``drops``; without drops a cosine."""
    if not drops:
        return warm_cosine(optimizer, lr, step, warmup, total)
    early = min(1.0, (step + 1) / warmup) if warmup else 1.0
    _set(optimizer, lr * early * 0.1 ** sum(step >= share * total for share in drops))


def stage(step: int, ends: Sequence[int]) -> tuple[int, int, int]:
    """Which stage of a run a step belongs to, the step's number within it, and how long it is.

    ``ends`` are the steps at which the stages end, in order; stages of no length are passed over.
    """
    start = 0
    for index, end in enumerate(ends):
        if step < end or index == len(ends) - 1:
            return index, step - start, max(1, end - start)
        start = max(start, end)
    raise ValueError("a run has at least one stage")


def _set(optimizer: torch.optim.Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("lr_scale", 1.0)
