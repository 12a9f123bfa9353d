"""Refinement while restoring: the codes of an encoder moved until the generator agrees with what can be seen.

GAN inversion by optimisation (Zhu et al. 2016; Abdal et al. 2019) from the encoder's codes instead of the mean: what is
visible around the region is the target, the region itself is free.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from .errors import UsageError
from .faces import blend

__all__ = ["Inverter", "Refined"]

_NEAR = 1 / 8  # of the crop size: pixels this close to the region count in full
_FAR = 0.25  # and this much further away


class Inverter(Protocol):
    """What can be refined: :class:`unmask.models.unmasker.Unmasker`."""

    size: int
    template: str
    synthesis: nn.Module

    def codes(self, x: Tensor, region: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        """x [N,3,S,S], region [N,1,S,S] -> codes [N,num_ws,w_dim] and skip features {r: [N,C_r,r,r]}."""
        ...


class Refined(nn.Module):
    """A fill that optimises the W+ codes of an unmasker for every crop; any caller of a fill can take it instead.

    Minimises ``mean_visible |G(w) - x| + hold * mean (w - w_0)^2`` by Adam, each crop for itself, and gives the face
    with the least of it: never one that agrees less than the encoder's own. Skip features and weights stay.

    Args:
        unmasker: an :class:`Inverter` that is also a module, in evaluation mode.
        steps: of the optimiser; 0 leaves the encoder's codes. Each costs a pass forward and back through the generator.
        rate: of Adam, in units of the codes.
        hold: how strongly codes are held to the encoder's.
    """

    def __init__(self, unmasker: nn.Module, steps: int, rate: float = 0.005, hold: float = 1.0) -> None:
        super().__init__()
        if not hasattr(unmasker, "codes") or not hasattr(unmasker, "synthesis"):
            raise UsageError(f"{type(unmasker).__name__} has no codes to refine; leave refinement at 0")
        if steps < 0:
            raise UsageError(f"refinement of {steps} steps; give 0 or more")
        self.unmasker, self.steps, self.rate, self.hold = unmasker, steps, rate, hold

    @property
    def size(self) -> int:
        """Side of the crops."""
        return int(self.unmasker.size)  # type: ignore[arg-type]

    @property
    def template(self) -> str:
        """Alignment of the crops."""
        return str(self.unmasker.template)

    def forward(self, x: Tensor, region: Tensor) -> Tensor:
        """x [N,3,S,S] in [-1,1], region [N,1,S,S] in [0,1] -> y_hat [N,3,S,S], without gradients."""
        with torch.inference_mode(False), torch.no_grad():
            x, region = x.clone(), region.clone()  # tensors that gradients may pass, wherever they came from
            start, skips = self.unmasker.codes(x, region)  # type: ignore[operator]
            best = self._face(start, skips)
            if self.steps == 0:
                return best
            weight = (1 - blend.grown(region)) * (_FAR + (1 - _FAR) * blend.grown(region, _NEAR))
            weight = weight / weight.sum((1, 2, 3), keepdim=True).clamp_min(1)
            ws = start.clone().requires_grad_()
            adam = torch.optim.Adam([ws], lr=self.rate)
            least = torch.full((len(x),), torch.inf, device=x.device)
            for step in range(self.steps + 1):
                with torch.enable_grad():
                    face = self._face(ws, skips)
                    misfit = self._misfit(face, x, weight, ws, start)
                    if step < self.steps:
                        adam.zero_grad()
                        misfit.sum().backward()
                better = misfit.detach() < least
                best = torch.where(better[:, None, None, None], face.detach(), best)
                least = torch.where(better, misfit.detach(), least)
                if step < self.steps:
                    adam.step()
            return best

    def _face(self, ws: Tensor, skips: dict[int, Tensor]) -> Tensor:
        found: Tensor = self.unmasker.synthesis(ws, "const", skips)  # type: ignore[operator]
        return found

    def _misfit(self, face: Tensor, x: Tensor, weight: Tensor, ws: Tensor, start: Tensor) -> Tensor:
        """What is minimised, one a crop [N]."""
        seen = ((face - x).abs().mean(1, keepdim=True) * weight).sum((1, 2, 3))
        return seen + self.hold * (ws - start).square().mean((1, 2))
