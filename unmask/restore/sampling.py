"""What fills the region of aligned crops: one guess, or several that differ as much as the model is in doubt."""

from __future__ import annotations

import copy
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import UsageError
from ..faces import tone_curve
from ..faces.blend import Fill, Painted
from ..faces.tone import LUMA

VARIANTS = 24  # inputs with more of the face hidden, from whose codes the doubt is measured
REACH = 2.0  # length of a step from the one guess, in standard deviations of those codes
DRAWN = 3  # candidates for each sample that is kept
TINT = 0.25  # share of a difference in color that is kept; shapes and shades are kept whole
CELL = 8  # differences that are smooth over an eighth of the crop are light, not a face, and are dropped

Skips = dict[int, Tensor]


@runtime_checkable
class Inverter(Protocol):
    """A fill that goes by codes, as :class:`unmask.models.unmasker.Unmasker` does."""

    def codes(self, x: Tensor, region: Tensor) -> tuple[Tensor, Skips]:
        """x [N,3,S,S], region [N,1,S,S] -> W+ codes [N,num_ws,w_dim] and skip features {r: [N,C,r,r]}."""
        ...

    def synthesis(self, ws: Tensor, noise: str = "const", skips: Skips | None = None) -> Tensor:
        """Codes and skip features -> y_hat [N,3,S,S]."""
        ...


def seeded(fill: Fill, seed: int) -> Fill:
    """The fill with its generator's noise drawn anew; seed 0 is the noise stored in the checkpoint."""
    if seed == 0 or not isinstance(fill, nn.Module):
        return fill
    shared = {id(parameter): parameter for parameter in fill.parameters()}
    copied = copy.deepcopy(fill, memo=shared)  # a copy, so that threads do not see each other's noise
    drawn = torch.Generator().manual_seed(seed)
    for name, buffer in copied.named_buffers():
        if name.rpartition(".")[2] == "noise_const":
            buffer.copy_(torch.randn(buffer.shape, generator=drawn))
    return copied


def toned(fill: Fill, x: Tensor, painted: Painted, count: int, seed: int, device: torch.device) -> list[Tensor]:
    """:func:`several` for photos of any tone: drawn in natural colors, and given the photo's own again.

    Args:
        x: crops [N,3,S,S] in [-1,1] on the CPU, as the photo has them.
        painted: the one guess, which is among those given back, unchanged.
        device: of the fill.

    Returns:
        ``count`` times [N,3,S,S] on the CPU.
    """
    curves = tone_curve.curves_of(x)
    natural, plain = tone_curve.neutral(x, curves), tone_curve.neutral(painted.whole, curves)
    drawn = several(fill, natural.to(device), painted.region.to(device), plain.to(device), count, seed).cpu()
    found = []
    for one in drawn:
        own = (one == plain).flatten(1).all(1)[:, None, None, None]
        found.append(torch.where(own, painted.whole, tone_curve.toned(one, curves)))
    return found


@torch.no_grad()
def several(fill: Fill, x: Tensor, region: Tensor, restored: Tensor, count: int, seed: int = 0) -> Tensor:
    """``count`` guesses for each crop, those that agree best with the visible pixels first.

    The doubt is measured on the model itself: it sees the crop with other parts hidden as well, and a candidate is the
    one guess plus a Gaussian step along the differences of those codes and skip features. The generator's noise alone
    would hardly change a face. Of ``DRAWN`` times as many candidates the best are kept, and the one guess always is.

    Args:
        x, region: [N,3,S,S] in [-1,1] and [N,1,S,S], on the device of the fill.
        guess: [N,3,S,S] in [-1,1], what the fill makes of them.

    Returns:
        [count,N,3,S,S] in [-1,1].

    Raises:
        UsageError: the fill has no codes.
    """
    if not isinstance(fill, Inverter):
        raise UsageError("samples: this way to fill gives a single guess; use an unmasker")
    drawn = torch.Generator().manual_seed(seed)
    each = zip(x.split(1), region.split(1), restored.split(1), strict=True)
    faces = [_of_one(fill, *one, count, drawn) for one in each]
    return torch.stack(faces, 1)


def _of_one(fill: Inverter, x: Tensor, region: Tensor, plain: Tensor, count: int, drawn: torch.Generator) -> Tensor:
    """The guesses [count,3,S,S] for a single crop."""
    ws, skips = fill.codes(x, region)
    hidden = hidden_more(region, VARIANTS, drawn)
    other_ws, other_skips = fill.codes(x.expand(VARIANTS, -1, -1, -1), hidden)
    steps = torch.randn(DRAWN * (count - 1), VARIANTS, generator=drawn).to(x.device)
    steps = REACH * steps / steps.norm(dim=1, keepdim=True).clamp(min=1e-6)

    def stepped(at: Tensor, others: Tensor) -> Tensor:
        return at + torch.tensordot(steps, others - others.mean(0), 1)

    y = fill.synthesis(stepped(ws, other_ws), "const", {r: stepped(s, other_skips[r]) for r, s in skips.items()})
    visible = 1 - region
    misfit = ((y - x).abs() * visible).mean((1, 2, 3))
    best = misfit.argsort()[: count - 1]
    found = torch.cat([plain, plain + as_shape((y[best] - plain).clamp(-1, 1))]).clamp(-1, 1).float()
    order = ((found - x).abs() * visible).mean((1, 2, 3)).argsort(stable=True)
    return found[order]


def hidden_more(region: Tensor, count: int, drawn: torch.Generator) -> Tensor:
    """``count`` regions [count,1,S,S] that hide what ``region`` [1,1,S,S] hides and three random rectangles more."""
    side = region.shape[2]
    out = region.repeat(count, 1, 1, 1)
    for one in out:
        for _ in range(3):
            place, size = torch.rand(2, generator=drawn), 0.15 + 0.45 * torch.rand(2, generator=drawn)
            top, left = ((place * (1 - size)) * side).long().tolist()
            height, width = (size * side).long().tolist()
            one[:, top : top + height, left : left + width] = 1
    return out


def as_shape(difference: Tensor) -> Tensor:
    """Differences of pictures [N,3,S,S] without what is a tint or a light: color and what is smooth over the crop."""
    luma = (difference * difference.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
    kept = luma + TINT * (difference - luma)
    smooth = functional.interpolate(
        functional.adaptive_avg_pool2d(kept, CELL), kept.shape[2:], mode="bicubic", align_corners=False
    )
    return kept - smooth
