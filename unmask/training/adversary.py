"""The step of an adversary."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..losses import adversarial
from . import distributed, loop

R1_EVERY = 16  # steps


def discriminate(
    discriminator: nn.Module,
    penalty: Callable[[Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    real: Tensor,
    fake: Tensor,
    gamma: float,
    every: int,
    step: int,
    penalised: int,
    precision: loop.Precision,
) -> dict[str, Tensor]:
    """One step of an adversary on real and made inputs [N,C,H,W], with R1 (lazily, every ``every`` steps).

    ``penalty`` gives R1 at real inputs; it sees the first ``penalised`` of them. Returns detached figures by name.
    """
    discriminator.requires_grad_(True)
    with loop.autocast(precision, real.device):
        good, bad = discriminator(torch.cat([real, fake.detach()])).chunk(2)
    total = adversarial.discriminator_logistic(good, bad)
    found = {
        "discriminator": total.detach(),
        "real": good.detach().mean(),
        "fake": bad.detach().mean(),
        "signs": good.detach().sign().mean(),
    }
    if gamma and step % every == 0:
        found["r1"] = penalty(real[:penalised])
        total = total + gamma * every * found["r1"]
    distributed.descend(optimizer, total)
    discriminator.requires_grad_(False)
    return {name: value.detach() for name, value in found.items()}
