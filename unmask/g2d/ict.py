"""The up-sampling network of ICT (Wan et al. 2021), whose encoder G2D starts from, in the layout of its state dict.

It paints a 256 x 256 picture from the visible pixels (holes white) and a coarse prior. In ICT a transformer gives the
prior; here, where only the encoder's features are wanted, a smooth filling from the visible pixels stands in (ours).
The network is convolutional, so other sizes run too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import UnmaskError

_PRIOR = 32  # the finest level of the prior, ICT's token grid


class ResidualBlock(nn.Module):
    """``x + conv(relu(conv(x)))``, the first convolution dilated; no normalization, no activation after the sum."""

    def __init__(self, channels: int, dilation: int = 2) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(dilation), nn.Conv2d(channels, channels, 3, dilation=dilation), nn.ReLU(),
            nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """[N,C,H,W] -> [N,C,H,W]."""
        y: Tensor = x + self.conv_block(x)
        return y


def encoder(channels: Sequence[int]) -> nn.Sequential:
    """Six input channels to a quarter of the size, ``channels[-1]`` wide."""
    first, second, third = channels
    return nn.Sequential(
        nn.ReflectionPad2d(3), nn.Conv2d(6, first, 7), nn.ReLU(), nn.Conv2d(first, second, 4, 2, 1), nn.ReLU(),
        nn.Conv2d(second, third, 4, 2, 1), nn.ReLU(),
    )  # fmt: skip


def middle(channels: int, blocks: int) -> nn.Sequential:
    """The residual blocks."""
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks)))


class IctUpsampler(nn.Module):
    """The whole network: encoder, ``blocks`` residual blocks, decoder; the defaults are ICT's.

    ``forward`` maps x [N,3,S,S] in [-1,1] and the region [N,1,S,S] in [0,1] to the painted picture [N,3,S,S] in [-1,1].
    """

    def __init__(self, channels: Sequence[int] = (64, 128, 256), blocks: int = 8) -> None:
        super().__init__()
        first, second, third = channels
        self.encoder = encoder(channels)
        self.middle = middle(third, blocks)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(third, second, 4, 2, 1), nn.ReLU(),
            nn.ConvTranspose2d(second, first, 4, 2, 1), nn.ReLU(),
            nn.ReflectionPad2d(3), nn.Conv2d(first, 3, 7),
        )  # fmt: skip

    def forward(self, x: Tensor, region: Tensor) -> Tensor:
        """See the class."""
        y: Tensor = self.decoder(self.middle(self.encoder(inputs(x, region))))
        return torch.tanh(y)


def inputs(x: Tensor, region: Tensor) -> Tensor:
    """What ICT's encoder sees: x [N,3,S,S] in [-1,1] with the region white, and the prior, in [0,1] -> [N,6,S,S]."""
    unit = (x + 1) / 2
    return torch.cat([unit * (1 - region) + region, prior(unit, region)], 1)


def prior(unit: Tensor, region: Tensor) -> Tensor:
    """A smooth filling [N,3,S,S] of a picture in [0,1]: averages of what is visible, at 1 px and doubling up to 32 px.

    At each level a cell keeps the mean of its visible pixels as far as it has any, and else the coarser level's value.
    """
    seen = 1 - region
    level, side = torch.zeros_like(unit[:, :, :1, :1]), 1
    while side <= min(_PRIOR, unit.shape[-1]):
        share = functional.adaptive_avg_pool2d(seen, side)
        colors = functional.adaptive_avg_pool2d(unit * seen, side)
        coarse = functional.interpolate(level, size=(side, side), mode="nearest")
        level = (colors + 0.05 * coarse) / (share + 0.05)
        side *= 2
    return functional.interpolate(level, size=unit.shape[2:], mode="bilinear", align_corners=False)


def read(path: str | Path) -> dict[str, Tensor]:
    """The state dict of ICT's generator from its checkpoint (the tensors themselves, or under ``generator``).

    No code of the file is run.

    Raises:
        UnmaskError: the file holds something else.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UnmaskError(f"{path}: no such file; give ICT's generator checkpoint") from None
    except Exception as error:
        raise UnmaskError(f"{path}: not a file of plain tensors ({type(error).__name__})") from None
    state = content.get("generator", content) if isinstance(content, dict) else None
    found = {k.removeprefix("module."): v for k, v in (state or {}).items() if isinstance(v, Tensor)}
    if "encoder.1.weight" not in found or "middle.0.conv_block.1.weight" not in found:
        raise UnmaskError(f"{path}: no generator of ICT's up-sampler, which has tensors such as encoder.1.weight")
    return {k: v.float() for k, v in found.items()}
