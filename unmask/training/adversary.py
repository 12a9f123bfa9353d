"""Adversaries: the step of any of them, and a discriminator on pixels, on a recognizer's features, or both together."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..losses import adversarial, perceptual
from ..models.discriminator import Discriminator, FeatureDiscriminator
from . import distributed, loop


class DiscriminatorPair(nn.Module):
    """Both discriminators as one module: pictures [N,3,S,S] in [-1,1] to logits [N,K].

    Args:
        pixels: the StyleGAN2 discriminator, or None. Where it is made for less than the pictures' size it sees one
            window of that size, placed anew at each call (the same for all pictures of it).
        features: a frozen recognizer whose maps the second one reads, or None. It sees the whole crop at its own
            size, not the recognizer's alignment, so that hair and background are judged as well.
        width: channels of the heads on the maps.
    """

    def __init__(self, pixels: Discriminator | None, features: perceptual.FaceFeatures | None, width: int = 64) -> None:
        super().__init__()
        if pixels is None and features is None:
            raise ValueError("an adversary takes pixels, features or both")
        self.pixels = pixels
        self.trunk = [features.network] if features is not None else []  # in a list: frozen, no part of this module
        self.heads = FeatureDiscriminator(self.trunk[0].widths, width) if self.trunk else None

    def maps(self, x: Tensor) -> list[Tensor]:
        """The recognizer's maps of pictures, from the stem's on; gradients flow to the pictures."""
        return [m.float() for m in self.trunk[0].all_maps(x.contiguous(memory_format=torch.channels_last))]

    def _window(self, x: Tensor) -> Tensor:
        assert self.pixels is not None
        side = self.pixels.img_resolution
        top, left = (int(torch.randint(0, extent - side + 1, ())) for extent in x.shape[2:])
        return x[:, :, top : top + side, left : left + side]

    def forward(self, x: Tensor) -> Tensor:
        """Logits of pictures, a column for the pixels and one for each map."""
        columns = []
        if self.pixels is not None:
            columns.append(self.pixels(self._window(x))[:, None])
        if self.heads is not None:
            columns.append(self.heads(self.maps(x)))
        return torch.cat(columns, 1)

    def r1(self, x: Tensor) -> Tensor:
        """R1 of each discriminator at its own input: the pictures, and the maps, which costs next to nothing."""
        total = x.new_zeros(())
        if self.pixels is not None:
            given = self._window(x.detach()).requires_grad_()
            total = total + adversarial.r1(given, self.pixels(given))
        if self.heads is not None:
            with torch.no_grad():
                found = self.maps(x)
            for m in found:
                m.requires_grad_()
            logits = self.heads(found)
            total = total + sum((adversarial.r1(m, logits) for m in found), x.new_zeros(()))
        return total


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
