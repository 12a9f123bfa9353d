"""Style vectors like those of faces: an adversary on codes and their moments, for the mapping network to learn from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..losses import adversarial

MEMORY = 2048  # codes of faces that the latent adversary keeps
DRAWN = 256  # codes drawn for each of its steps


class LatentDiscriminator(nn.Module):
    """A small adversary on style vectors: [N,w_dim] -> logits [N] (the latent discriminator of e4e).

    It remembers the last ``MEMORY`` codes of faces, so that it, and the moments, see more than one batch of them.
    """

    memory: Tensor

    def __init__(self, w_dim: int, width: int = 512, layers: int = 3) -> None:
        super().__init__()
        self.register_buffer("memory", torch.zeros(0, w_dim))
        steps: list[nn.Module] = []
        for i in range(layers):
            steps += [nn.Linear(w_dim if i == 0 else width, width), nn.LeakyReLU(0.2)]
        self.net = nn.Sequential(*steps, nn.Linear(width, 1))

    def remember(self, codes: Tensor) -> None:
        """Add codes [N,w_dim] of faces; the oldest are forgotten."""
        self.memory = torch.cat([self.memory, codes])[-MEMORY:]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        self.memory = torch.zeros_like(state_dict[f"{prefix}memory"], device=self.memory.device)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def forward(self, w: Tensor) -> Tensor:
        """Style vectors to logits."""
        found: Tensor = self.net(w)
        return found.squeeze(1)


def moments(w: Tensor, real: Tensor) -> Tensor:
    """Distance of the first two moments, relative to the codes' own spread: it steadies the latent adversary.

    The correlations count: channels drawn one by one with the right spread are no face.
    """
    scale = real.std(0).square().mean().clamp(min=1e-8)
    means = (w.mean(0) - real.mean(0)).square().mean() / scale
    if len(real) < 2 * DRAWN:
        return means + (w.std(0) - real.std(0)).square().mean() / scale
    wanted = torch.cov(real.T)
    return means + (torch.cov(w.T) - wanted).square().sum() / wanted.square().sum()


def discriminator_loss(network: LatentDiscriminator, real: Tensor, drawn: Tensor) -> Tensor:
    """Loss of the adversary on codes of faces and drawn ones, both [N,w_dim], with R1 on the former."""
    real = real.detach().requires_grad_()
    logits = network(real)
    (slope,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
    return adversarial.discriminator_logistic(logits, network(drawn)) + 5 * slope.square().sum(1).mean()
