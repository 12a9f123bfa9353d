"""Refinement while restoring: the codes of an encoder moved until the generator agrees with what can be seen.

GAN inversion by optimization (Zhu et al. 2016; Abdal et al. 2019) from the encoder's codes instead of the mean: what is
visible around the region is the target, the region itself is free.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..faces import blend
from .sampling import Inverter, Skips

__all__ = ["Refined"]

_NEAR = 1 / 8  # of the crop size: pixels this close to the region count in full
_FAR = 0.25  # and this much further away


class Refined(nn.Module):
    """A fill that optimizes the W+ codes of an unmasker for every crop; any caller of a fill can take it instead.

    Minimizes ``mean_visible |G(w) - x| + hold * mean (w - w_0)^2`` by Adam, each crop for itself, and gives the face
    with the least of it: never one that agrees less than the encoder's own. Skip features and weights stay.

    It goes by codes itself, so that several guesses can be drawn around the refined one.

    Args:
        unmasker: an :class:`unmask.restore.sampling.Inverter` that is also a module, in evaluation mode.
        steps: of the optimizer; 0 leaves the encoder's codes. Each costs a pass forward and back through the generator.
        rate: of Adam, in units of the codes.
        hold: how strongly codes are held to the encoder's.
    """

    def __init__(self, unmasker: nn.Module, steps: int, rate: float = 0.005, hold: float = 1.0) -> None:
        super().__init__()
        if not isinstance(unmasker, Inverter):
            raise UsageError(f"{type(unmasker).__name__} has no codes to refine; leave refinement at 0")
        if steps < 0:
            raise UsageError(f"refinement of {steps} steps; give 0 or more")
        self.unmasker: Any = unmasker
        self.steps, self.rate, self.hold = steps, rate, hold

    @property
    def size(self) -> int:
        """Side of the crops."""
        return int(self.unmasker.size)

    @property
    def template(self) -> str:
        """Alignment of the crops."""
        return str(self.unmasker.template)

    def forward(self, x: Tensor, region: Tensor) -> Tensor:
        """x [N,3,S,S] in [-1,1], region [N,1,S,S] in [0,1] -> y_hat [N,3,S,S], without gradients."""
        with torch.no_grad():
            ws, skips = self.codes(x, region)
            return self.synthesis(ws, "const", skips)

    def synthesis(self, ws: Tensor, noise: str = "const", skips: Skips | None = None) -> Tensor:
        """Codes and skip features to y_hat [N,3,S,S], as the unmasker's own generator."""
        found: Tensor = self.unmasker.synthesis(ws, noise, skips)
        return found

    def codes(self, x: Tensor, region: Tensor) -> tuple[Tensor, Skips]:
        """The refined W+ codes [N,num_ws,w_dim] and the encoder's skip features, without gradients."""
        with torch.inference_mode(False), torch.no_grad():
            x, region = x.clone(), region.clone()  # tensors that gradients may pass, wherever they came from
            start, skips = self.unmasker.codes(x, region)
            weight = (1 - blend.grown(region)) * (_FAR + (1 - _FAR) * blend.grown(region, _NEAR))
            weight = weight / weight.sum((1, 2, 3), keepdim=True).clamp_min(1)
            best, ws = start, start.clone().requires_grad_()
            adam = torch.optim.Adam([ws], lr=self.rate)
            least = torch.full((len(x),), torch.inf, device=x.device)
            for step in range(self.steps + 1 if self.steps else 0):
                with torch.enable_grad():
                    face = self.synthesis(ws, "const", skips)
                    seen = ((face - x).abs().mean(1, keepdim=True) * weight).sum((1, 2, 3))
                    misfit = seen + self.hold * (ws - start).square().mean((1, 2))  # [N]
                    total = misfit.sum()
                better = misfit.detach() < least
                best = torch.where(better[:, None, None], ws.detach(), best)
                least = torch.where(better, misfit.detach(), least)
                if step < self.steps:
                    adam.zero_grad()
                    total.backward()
                    adam.step()
            return best, skips
