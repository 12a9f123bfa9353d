"""The unmasker: encoder and synthesis network, GAN inversion in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .detail import Detail
from .encoder import Encoder, grown, shrunk, visible
from .generator import Synthesis


class Unmasker(nn.Module):
    """Masked crop and region to a crop of the whole face, ``y_hat = D(G(w_avg + E(x, region)))``.

    Args:
        img_resolution, w_dim, channels, conv_clamp: of the :class:`unmask.models.generator.Synthesis` network.
        encoder: further arguments of :class:`unmask.models.encoder.Encoder`.
        skips: resolutions with skip features.
        gated: those of them that pass only outside the region.
        identity: length of a recognizer's embedding of the masked crop that joins the styles through a linear map,
            which starts at zero; 0: none does.
        margin: pixels by which the region grows before the encoder sees the crop, so that no rim of the face mask does;
            None: one for every 128 of its side.
        detail: channels of a :class:`unmask.models.detail.Detail` behind the generator, which doubles the side;
            0: none.

    Crops are aligned to :attr:`template` at :attr:`size`: ``img_resolution``, or twice as much with detail.
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
        margin: int | None = None,
        conv_clamp: float | None = None,
        identity: int = 0,
        detail: int = 0,
    ) -> None:
        super().__init__()
        self.size = img_resolution * (2 if detail else 1)
        self.margin = max(1, img_resolution // 128) if margin is None else margin
        self.synthesis = Synthesis(w_dim, img_resolution, channels, conv_clamp)
        wanted = {r: self.synthesis.channels[r] for r in skips}
        self.encoder = Encoder(
            *(self.synthesis.num_ws, w_dim, img_resolution), skips=wanted, gated=gated, **dict(encoder or {})
        )
        self.identity: nn.Linear | None = None
        if identity:
            self.identity = nn.Linear(identity, self.synthesis.num_ws * w_dim, bias=False)
            nn.init.zeros_(self.identity.weight)
        self.detail: Detail | None = Detail(detail) if detail else None
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def codes(self, x: Tensor, region: Tensor, identity: Tensor | None = None) -> tuple[Tensor, dict[int, Tensor]]:
        """The W+ codes [N,num_ws,w_dim] and skip features of masked crops.

        ``identity`` [N,D] of unit length is what a recognizer makes of the person; a network that takes one raises
        ValueError without. A network with detail takes crops of ``img_resolution`` too, for pictures without detail;
        of those of :attr:`size`, what is seen [N,4,S,S] is one more skip feature.
        """
        side, fine = self.synthesis.img_resolution, x.shape[3] > self.synthesis.img_resolution
        if x.shape[3] not in (side, self.size):
            raise ValueError(f"crops of {x.shape[3]} px; this unmasker takes {side} or {self.size} px")
        hidden = functional.max_pool2d(region, 2) if fine else region
        offsets, skips = self.encoder(shrunk(x, side), grown(hidden, self.margin))
        if (self.identity is None) != (identity is None):
            wanted = "no identity" if self.identity is None else f"identity [N,{self.identity.in_features}]"
            raise ValueError(f"this unmasker takes {wanted}")
        if self.identity is not None and identity is not None:
            offsets = offsets + self.identity(identity).float().unflatten(1, (-1, offsets.shape[2]))
        if fine:
            skips[self.size] = visible(x, grown(region, 2 * self.margin))
        return offsets + self.w_avg, skips

    def decode(self, ws: Tensor, noise: str, skips: Mapping[int, Tensor]) -> Tensor:
        """Codes and skip features to a picture [N,3,S,S], about [-1,1]; ``noise`` as the synthesis network takes it."""
        picture: Tensor = self.synthesis(ws, noise, skips)
        return self.detail(picture, skips[self.size]) if self.detail and self.size in skips else picture

    def forward(self, x: Tensor, region: Tensor, noise: str = "const", identity: Tensor | None = None) -> Tensor:
        """x [N,3,S,S] in [-1,1], region [N,1,S,S] in [0,1], identity [N,D] -> y_hat [N,3,S,S], about [-1,1]."""
        ws, skips = self.codes(x, region, identity)
        return self.decode(ws, noise, skips)

    @torch.no_grad()
    def start_from(self, other: Mapping[str, Tensor]) -> None:
        """Take over the tensors of an unmasker of the same shape but for detail and identity.

        Of these, what this network alone has adds nothing yet. Raises ValueError where the tensors belong to another
        shape of network.
        """
        own = self.state_dict()
        for name, tensor in other.items():
            if name not in own or own[name].shape != tensor.shape:
                raise ValueError(f"{name} {list(tensor.shape)} has no place in this network")
        if missing := [n for n in own if n not in other and not n.startswith(("detail.", "identity."))]:
            raise ValueError(f"{missing[0]} is missing")
        self.load_state_dict({**own, **other})


def noise_buffers(network: nn.Module) -> list[tuple[str, Tensor]]:
    """The stored noise of a generator's layers, by name and in the order in which it is drawn."""
    return [(name, one) for name, one in network.named_buffers() if name.rpartition(".")[2] == "noise_const"]
