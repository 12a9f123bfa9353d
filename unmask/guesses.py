"""What fills the region of aligned crops."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

Fill = Callable[[Tensor, Tensor], Tensor]  # x [N,3,S,S] in [-1,1], region [N,1,S,S] -> y_hat [N,3,S,S]


def seeded(fill: Fill, seed: int) -> Fill:
    """The fill with its generator's noise drawn anew; seed 0 is the noise stored in the checkpoint."""
    if seed == 0 or not isinstance(fill, nn.Module):
        return fill
    shared = {id(parameter): parameter for parameter in fill.parameters()}
    twin = copy.deepcopy(fill, memo=shared)  # a copy, so that threads do not see each other's noise
    drawn = torch.Generator().manual_seed(seed)
    for name, buffer in twin.named_buffers():
        if name.rpartition(".")[2] == "noise_const":
            buffer.copy_(torch.randn(buffer.shape, generator=drawn))
    return twin
