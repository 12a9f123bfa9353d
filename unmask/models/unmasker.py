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
        encoder_size: side at which the encoder's trunk sees the crop; None: that of the picture.
        identity: length of a recognizer's embedding of the masked crop that joins the styles through a linear map,
            which starts at zero; 0: none does.
        margin: pixels by which the region grows before the encoder sees the crop, so that no rim of the face mask does;
            None: one for every 128 of the side.

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
        margin: int | None = None,
        conv_clamp: float | None = None,
        encoder_size: int | None = None,
        identity: int = 0,
    ) -> None:
        super().__init__()
        self.size = img_resolution
        self.margin = max(1, img_resolution // 128) if margin is None else margin
        self.synthesis = Synthesis(w_dim, img_resolution, channels, conv_clamp)
        if too_large := [r for r in skips if 2 * r > img_resolution]:
            raise ValueError(f"skips is {list(skips)}; {too_large[0]} px takes a picture of {2 * too_large[0]} px")
        wanted = {r: self.synthesis.channels[r] for r in skips}
        self.encoder = Encoder(
            self.synthesis.num_ws,
            w_dim,
            encoder_size or img_resolution,
            skips=wanted,
            gated=gated,
            **dict(encoder or {}),
        )
        self.identity: nn.Linear | None = None
        if identity:
            self.identity = nn.Linear(identity, self.synthesis.num_ws * w_dim, bias=False)
            nn.init.zeros_(self.identity.weight)
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def codes(self, x: Tensor, region: Tensor, identity: Tensor | None = None) -> tuple[Tensor, dict[int, Tensor]]:
        """The W+ codes [N,num_ws,w_dim] and skip features of masked crops.

        ``identity`` [N,D] of unit length is what a recognizer makes of the person; a network that takes one raises
        ValueError without.
        """
        offsets, skips = self.encoder(x, grown(region, self.margin))
        if (self.identity is None) != (identity is None):
            wanted = "no identity" if self.identity is None else f"identity [N,{self.identity.in_features}]"
            raise ValueError(f"this unmasker takes {wanted}")
        if self.identity is not None and identity is not None:
            scaled = identity * identity.shape[1] ** 0.5  # of variance 1
            offsets = offsets + self.identity(scaled).float().unflatten(1, (-1, offsets.shape[2]))
        return offsets + self.w_avg, skips

    def forward(self, x: Tensor, region: Tensor, noise: str = "const", identity: Tensor | None = None) -> Tensor:
        """x [N,3,S,S] in [-1,1], region [N,1,S,S] in [0,1], identity [N,D] -> y_hat [N,3,S,S], about [-1,1]."""
        ws, skips = self.codes(x, region, identity)
        return self.synthesis(ws, noise, skips)

    @torch.no_grad()
    def grow_from(self, smaller: Mapping[str, Tensor]) -> list[nn.Parameter]:
        """Take over the tensors of an unmasker of the same side, or of half of it and the same ``encoder_size``.

        What this network has beside them adds nothing yet: the picture is that one's, enlarged. Returns the parameters
        that are its own wholly. Raises ValueError where the tensors belong to another shape of network.
        """
        own = self.state_dict()
        for name, tensor in smaller.items():
            place = own.get(name)
            if place is not None and tensor.ndim:
                place = place[: len(tensor)]  # the new layers' styles come last
            if place is None or place.shape != tensor.shape:
                raise ValueError(f"{name} {list(tensor.shape)} has no place in this network")
            place.copy_(tensor)
        self.load_state_dict(own)
        if f"synthesis.rgb.{len(self.synthesis.rgb) - 1}.bias" not in smaller:
            self.synthesis.rgb[-1].conv.weight.zero_()  # type: ignore[operator, union-attr]
            self.synthesis.rgb[-1].bias.zero_()  # type: ignore[operator]
        return [parameter for name, parameter in self.named_parameters() if name not in smaller]


def halved(arch: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The unmasker of half the side that a larger one holds: a picture is a sum over sides, and this one's ends before.

    Takes and gives the arguments of :class:`Unmasker` and its tensors; the inverse of :meth:`Unmasker.grow_from`.
    ValueError where the encoder sees more than the half.
    """
    side = arch["img_resolution"] // 2
    if (arch.get("encoder_size") or arch["img_resolution"]) > side:
        raise ValueError(f"an unmasker of {2 * side} px whose encoder sees them all has none of {side} px in it")
    kept = {name: [r for r in arch[name] if 2 * r <= side] for name in ("skips", "gated")}
    smaller = {**arch, **kept, "img_resolution": side, "channels": list(arch["channels"])[:-1], "margin": None}
    with torch.device("meta"):
        shapes = {name: t.shape for name, t in Unmasker(**smaller).state_dict().items()}
    return smaller, {name: tensors[name][: shape[0]] if shape else tensors[name] for name, shape in shapes.items()}


def noise_buffers(network: nn.Module) -> list[tuple[str, Tensor]]:
    """The stored noise of a generator's layers, by name and in the order in which it is drawn."""
    return [(name, one) for name, one in network.named_buffers() if name.rpartition(".")[2] == "noise_const"]
