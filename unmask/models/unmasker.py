"""The unmasker: encoder and synthesis network, GAN inversion in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .encoder import Encoder, grown
from .generator import Synthesis


class Unmasker(nn.Module):
    """Masked crop and region to a crop of the whole face, ``y_hat = G(w_avg + E(x, region))``.

    Args:
        img_resolution, w_dim, channels, conv_clamp: of the :class:`unmask.models.generator.Synthesis` network.
        encoder: further arguments of :class:`unmask.models.encoder.Encoder`.
        skips: resolutions with skip features.
        gated: those of them that pass only outside the region.
        margin: pixels by which the region grows before the encoder sees the crop, so that no rim of the face mask does.

    Crops are aligned to :attr:`template` at :attr:`size`.
    """

    template = "ffhq"
    w_avg: Tensor

    def __init__(
        self,
        img_resolution: int = 128,
        w_dim: int = 256,
        channels: Sequence[int] | None = None,
        encoder: Mapping[str, Any] | None = None,
        skips: Sequence[int] = (16, 32, 64),
        gated: Sequence[int] = (64,),
        margin: int = 1,
        conv_clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.size, self.margin = img_resolution, margin
        self.synthesis = Synthesis(w_dim, img_resolution, channels, conv_clamp)
        wanted = {r: self.synthesis.channels[r] for r in skips}
        self.encoder = Encoder(
            self.synthesis.num_ws, w_dim, img_resolution, skips=wanted, gated=gated, **dict(encoder or {})
        )
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def codes(self, x: Tensor, region: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        """The W+ codes [N,num_ws,w_dim] and skip features of masked crops."""
        offsets, skips = self.encoder(x, grown(region, self.margin))
        return offsets + self.w_avg, skips

    def forward(self, x: Tensor, region: Tensor, noise: str = "const") -> Tensor:
        """x [N,3,S,S] in [-1,1], region [N,1,S,S] in [0,1] -> y_hat [N,3,S,S], about [-1,1]."""
        ws, skips = self.codes(x, region)
        return self.synthesis(ws, noise, skips)


def noise_buffers(network: nn.Module) -> list[tuple[str, Tensor]]:
    """The stored noise of a generator's layers, by name and in the order in which it is drawn."""
    return [(name, one) for name, one in network.named_buffers() if name.rpartition(".")[2] == "noise_const"]
