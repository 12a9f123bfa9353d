"""Where the face mask is: a small U-Net (Ronneberger et al., 2015, arXiv:1505.04597) on aligned faces."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .small import ConvBN, Residual


class Segmenter(nn.Module):
    """Region of the face mask and whether there is one, from aligned faces of a size divisible by ``2 ** len(widths)``.

    Args:
        widths: channels at strides 2, 4, 8, ...
        depths: residual blocks at those strides.
        ups: channels on the way back up, coarsest first, one fewer than ``widths``.
    """

    def __init__(
        self,
        widths: Sequence[int] = (32, 48, 64, 80),
        depths: Sequence[int] = (1, 1, 1, 1),
        ups: Sequence[int] = (64, 48, 32),
    ) -> None:
        super().__init__()
        if len(ups) != len(widths) - 1 or len(depths) != len(widths):
            raise ValueError("a segmenter needs one depth per width and one 'ups' fewer than widths")
        self.divisor = 2 ** len(widths)
        downs, last = [], 3
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            first = ConvBN(last, width, kernel=3 if i else 5, stride=2)
            downs.append(nn.Sequential(first, *[Residual(width) for _ in range(depth)]))
            last = width
        self.downs = nn.ModuleList(downs)
        self.context = ConvBN(last, last, kernel=1)  # of the whole face, added everywhere at the bottom
        merges = []
        for width, skip in zip(ups, reversed(widths[:-1]), strict=True):
            merges.append(ConvBN(last + skip, width))
            last = width
        self.merges = nn.ModuleList(merges)
        self.region = nn.Conv2d(last, 4, 3, padding=1)  # the four pixels of a 2x2 block
        self.garment = nn.Sequential(nn.Linear(widths[-1] * 2, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Faces ``x`` [N,3,S,S] in [-1,1] -> region logits [N,1,S,S], garment logit [N], both float32."""
        skips, h = [], x
        for down in self.downs:
            h = down(h)
            skips.append(h)
        whole = self.context(h.mean((2, 3), keepdim=True))
        pooled = torch.cat([h.mean((2, 3)), h.amax((2, 3))], 1).float()
        h = h + whole
        for merge, skip in zip(self.merges, reversed(skips[:-1]), strict=True):
            h = merge(torch.cat([F.interpolate(h, scale_factor=2.0, mode="nearest"), skip], 1))
        return F.pixel_shuffle(self.region(h).float(), 2), self.garment(pooled)[:, 0].float()


class Probabilities(nn.Module):
    """A segmenter that gives region and garment score in [0,1] instead of logits, as its ONNX file does."""

    def __init__(self, segmenter: nn.Module) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Faces [N,3,S,S] in [-1,1] -> region [N,1,S,S], garment score [N]."""
        region, garment = self.segmenter(x)
        return region.sigmoid(), garment.sigmoid()
