"""The StyleGAN2 discriminator (Karras et al. 2020): residual blocks, minibatch standard deviation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .generator import channels_at
from .layers import Conv, Linear


def minibatch_stddev(x: Tensor, group: int = 4) -> Tensor:
    """Append one map with the mean standard deviation over groups of the batch (Karras et al. 2018, section 3)."""
    n, _, h, w = x.shape
    size = math.gcd(group, n)
    y = x.float().reshape(size, n // size, -1)
    std = (y.var(0, unbiased=False) + 1e-8).sqrt().mean(1)  # [n / size]
    return torch.cat([x, std.repeat(size)[:, None, None, None].expand(-1, 1, h, w).to(x.dtype)], 1)


class Block(nn.Module):
    """Two convolutions, the second downsampling, and a downsampling shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv0 = Conv(inputs, inputs)
        self.conv1 = Conv(inputs, outputs, down=True)
        self.skip = Conv(inputs, outputs, kernel=1, act="linear", down=True, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N,inputs,H,W] -> [N,outputs,H/2,W/2]."""
        half = math.sqrt(0.5)
        return self.conv1(self.conv0(x), gain=half) + self.skip(x, gain=half)


class Discriminator(nn.Module):
    """Picture to one logit.

    Args:
        img_resolution: side of the picture, a power of two from 8.
        channels: channels at 4, 8, ... img_resolution; None takes the paper's.
        inputs: 3 for RGB; 4 where a region map is given as well.
        mbstd_group: group size of the minibatch standard deviation; 0 leaves it out.
    """

    def __init__(
        self,
        img_resolution: int = 256,
        channels: Sequence[int] | None = None,
        inputs: int = 3,
        mbstd_group: int = 4,
    ) -> None:
        super().__init__()
        levels = int(math.log2(img_resolution)) - 1
        widths = list(channels) if channels else [channels_at(4 * 2**i) for i in range(levels)]
        if len(widths) != levels:
            raise ValueError(f"channels has {len(widths)} entries; {img_resolution} px takes {levels}")
        self.img_resolution, self.inputs, self.mbstd_group = img_resolution, inputs, mbstd_group
        self.stem = Conv(inputs, widths[-1], kernel=1)
        self.blocks = nn.Sequential(*(Block(widths[i], widths[i - 1]) for i in range(levels - 1, 0, -1)))
        self.conv = Conv(widths[0] + bool(mbstd_group), widths[0])
        self.fc = Linear(widths[0] * 16, widths[0], act="lrelu")
        self.out = Linear(widths[0], 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N,inputs,S,S] -> logits [N]."""
        x = self.blocks(self.stem(x.contiguous(memory_format=torch.channels_last)))
        if self.mbstd_group:
            x = minibatch_stddev(x, self.mbstd_group)
        x = self.fc(self.conv(x).flatten(1))
        return self.out(x).squeeze(1).float()
