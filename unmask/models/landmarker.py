"""A second look at a crop around what a detector took for a face: is it one, how is it turned, where are its points.

What MTCNN's last stage does (Zhang et al. 2016, arXiv:1604.02878), with our own small residual network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .small import ConvBN, Residual

POINTS = 5

SIZE = 96  # pixels


class LandmarkerOutput(NamedTuple):
    """What the network sees in crops, float32 all.

    Attributes:
        face: logit [N], a real face in about the middle.
        roll: cosine and sine [N,2] (not of unit length) of the angle by which the face is turned clockwise.
        points: eyes, nose and mouth corners [N,5,2] (x, y) of the bare face; 0 the middle of the crop, 1 its edge.
        garment: logit [N], the face wears a face mask.
    """

    face: Tensor
    roll: Tensor
    points: Tensor
    garment: Tensor


class Landmarker(nn.Module):
    """Face or not, roll, five points and garment from crops of ``size`` x ``size`` pixels.

    Args:
        size: side of the crops, divisible by ``2 ** len(widths)``.
        widths: channels at strides 2, 4, 8, ...
        depths: residual blocks at those strides.
        squeeze: channels of the coarsest map as the layer before the answers sees it, place by place.
        hidden: width of that layer.
    """

    def __init__(
        self,
        size: int = SIZE,
        widths: Sequence[int] = (24, 40, 56, 64),
        depths: Sequence[int] = (0, 1, 1, 1),
        squeeze: int = 16,
        hidden: int = 96,
    ) -> None:
        super().__init__()
        if len(widths) != len(depths) or size % 2 ** len(widths):
            raise ValueError("a landmarker needs one depth per width and a size that halves as often")
        self.size = size
        stages, last = [], 3
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            first = ConvBN(last, width, kernel=3 if i else 5, stride=2)
            stages.append(nn.Sequential(first, *[Residual(width) for _ in range(depth)]))
            last = width
        self.trunk = nn.Sequential(*stages)
        self.squeeze = ConvBN(last, squeeze, kernel=1)
        self.hidden = nn.Linear(squeeze * (size // 2 ** len(widths)) ** 2, hidden)
        self.answers = nn.Linear(hidden, 4 + 2 * POINTS)

    def forward(self, x: Tensor) -> LandmarkerOutput:
        """Crops ``x`` [N,3,size,size] RGB in [-1,1] -> :class:`Looks`."""
        h = torch.relu(self.hidden(self.squeeze(self.trunk(x)).flatten(1)))
        out = self.answers(h).float()
        return LandmarkerOutput(out[:, 0], out[:, 1:3], out[:, 3:-1].unflatten(1, (POINTS, 2)), out[:, -1])


class Likely(nn.Module):
    """A landmarker that gives scores in [0,1] instead of logits, as its ONNX file does."""

    def __init__(self, landmarker: nn.Module) -> None:
        super().__init__()
        self.landmarker = landmarker

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Crops [N,3,size,size] in [-1,1] -> face [N], roll [N,2], points [N,5,2], garment [N]."""
        face, roll, points, garment = self.landmarker(x)
        return face.sigmoid(), roll, points, garment.sigmoid()
