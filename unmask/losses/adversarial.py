"""Adversarial losses of StyleGAN2: non-saturating logistic, R1, path length."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def generator_logistic(fake: Tensor) -> Tensor:
    """``mean softplus(-D(fake))`` (Goodfellow et al. 2014, non-saturating form); logits [N]."""
    return functional.softplus(-fake).mean()


def discriminator_logistic(real: Tensor, fake: Tensor) -> Tensor:
    """``mean softplus(D(fake)) + mean softplus(-D(real))``; logits [N]."""
    return functional.softplus(fake).mean() + functional.softplus(-real).mean()


def r1(real: Tensor, logits: Tensor) -> Tensor:
    """``1/2 E |grad_x D(x)|^2`` on real pictures that require gradients (Mescheder et al. 2018, eq. 9)."""
    (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
    return 0.5 * gradient.float().square().sum((1, 2, 3)).mean()


def path_length(image: Tensor, ws: Tensor, mean: Tensor, decay: float = 0.01) -> tuple[Tensor, Tensor]:
    """Path length regularization (Karras et al. 2020, eq. 4).

    image [N,3,H,W] was made from ws [N,num_ws,w_dim]; ``mean`` is the running mean length. Returns the penalty
    ``E (|J^T y| - mean)^2`` for random pictures y, and the new mean.
    """
    noise = torch.randn_like(image) / math.sqrt(image.shape[2] * image.shape[3])
    (gradient,) = torch.autograd.grad((image * noise).sum(), ws, create_graph=True)
    lengths = gradient.float().square().sum(2).mean(1).sqrt()
    updated = mean.lerp(lengths.mean().detach(), decay)
    return (lengths - updated).square().mean(), updated
