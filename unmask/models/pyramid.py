"""The top-down path of a feature pyramid (Lin et al. 2017), shared by the unmasking encoder and the mask decoder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor, nn
from torch.nn import functional


def top_down(lateral: Iterable[nn.Module], maps: Sequence[Tensor]) -> list[Tensor]:
    """Each map through its lateral layer, plus the coarser level enlarged twofold (nearest).

    Args:
        lateral: one layer a map, all with the same output channels, finest map first.
        maps: [N,C_i,H_i,W_i], finest first, each twice the size of the next.

    Returns:
        The levels, *coarsest first*, not yet smoothed.
    """
    levels: list[Tensor] = []
    for layer, fine in zip(reversed(list(lateral)), reversed(maps), strict=True):
        level = layer(fine)
        if levels:
            level = level + functional.interpolate(levels[-1], scale_factor=2.0, mode="nearest")
        levels.append(level)
    return levels
