"""A small face detector in SCRFD's output layout (Guo et al. 2021, arXiv:2105.04714).

Strides 8, 16, 32, two anchors per location, and for each anchor a score, four box distances and five points in units of
the stride. The network is our own: plain residual stages, a top-down and a bottom-up path, and one head shared by the
levels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .small import ConvBN, Residual

STRIDES = (8, 16, 32)
ANCHORS = 2
SIZES = ((16.0, 32.0), (64.0, 128.0), (256.0, 512.0))  # nominal face sizes of the two anchors of each stride
POINTS = 5


class Detector(nn.Module):
    """Faces with boxes and five points from photos of any size divisible by 32.

    Args:
        stem: channels at stride 4.
        widths: channels at strides 8, 16 and 32.
        depths: residual blocks at strides 4, 8, 16 and 32.
        neck: channels of the feature pyramid and the head.
        head: 3x3 convolutions in the shared head.
    """

    def __init__(
        self,
        stem: int = 32,
        widths: Sequence[int] = (64, 64, 64),
        depths: Sequence[int] = (1, 2, 2, 1),
        neck: int = 64,
        head: int = 2,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            ConvBN(3, stem, kernel=7, stride=4),
            *[Residual(stem) for _ in range(depths[0])],
        )
        stages, last = [], stem
        for width, depth in zip(widths, depths[1:], strict=True):
            stages.append(nn.Sequential(ConvBN(last, width, stride=2), *[Residual(width) for _ in range(depth)]))
            last = width
        self.stages = nn.ModuleList(stages)
        self.laterals = nn.ModuleList([ConvBN(width, neck, kernel=1) for width in widths])
        self.down = nn.ModuleList([ConvBN(neck, neck, stride=2) for _ in widths[1:]])
        self.head = nn.Sequential(*[ConvBN(neck, neck) for _ in range(head)])
        self.score = nn.Conv2d(neck, ANCHORS, 3, padding=1)
        self.box = nn.Conv2d(neck, ANCHORS * 4, 3, padding=1)
        self.points = nn.Conv2d(neck, ANCHORS * POINTS * 2, 3, padding=1)
        self.scales = nn.Parameter(torch.ones(len(STRIDES), ANCHORS))  # of the distances, per level and anchor
        with torch.no_grad():
            for predictor in (self.score, self.box, self.points):
                predictor.weight.normal_(0, 0.01)
                assert predictor.bias is not None
                predictor.bias.zero_()
            assert self.score.bias is not None
            self.score.bias.fill_(-4.6)  # a prior of 0.01, as in focal loss
            self.scales.copy_(torch.tensor(SIZES) / torch.tensor(STRIDES)[:, None] / 2)

    def features(self, x: Tensor) -> list[Tensor]:
        """Feature pyramid at strides 8, 16, 32 of ``x`` [N,3,H,W]."""
        x = self.stem(x)
        levels = []
        for stage, lateral in zip(self.stages, self.laterals, strict=True):
            x = stage(x)
            levels.append(lateral(x))
        for i in (1, 0):  # top-down
            levels[i] = levels[i] + F.interpolate(levels[i + 1], scale_factor=2.0, mode="nearest")
        for i in (1, 2):  # bottom-up
            levels[i] = levels[i] + self.down[i - 1](levels[i - 1])
        return levels

    def shared(self, levels: list[Tensor]) -> list[Tensor]:
        """The head's layers on all levels.

        In training their normalization sees the levels together: one set of running statistics must serve them all
        afterwards.
        """
        for block in self.head:
            assert isinstance(block, ConvBN)
            maps = [block.conv(level) for level in levels]
            if self.training:
                flat = block.bn(torch.cat([m.flatten(2) for m in maps], 2)[..., None])  # [N, C, all pixels, 1]
                parts = flat[..., 0].split([m[0, 0].numel() for m in maps], 2)
                maps = [part.reshape(m.shape) for part, m in zip(parts, maps, strict=True)]
            else:
                maps = [block.bn(m) for m in maps]
            levels = [torch.relu(m) for m in maps]
        return levels

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Predictions for photos ``x`` [N,3,H,W] RGB in [-1,1], H and W divisible by 32.

        Returns three lists with one entry per stride, A = (H / stride) * (W / stride) * 2, rows first, anchors last:
        score logits [N,A,1]; distances to left, top, right, bottom [N,A,4]; points x, y [N,A,10]; both in strides.
        """
        scores, boxes, points = [], [], []
        for level, feature in enumerate(self.shared(self.features(x))):
            scale = self.scales[level].float()[:, None]  # [anchors, 1]
            scores.append(_flat(self.score(feature), 1))
            boxes.append(_scaled(F.elu(_flat(self.box(feature), 4)) + 1.0, scale))
            points.append(_scaled(_flat(self.points(feature), POINTS * 2), scale))
        return scores, boxes, points


def _flat(x: Tensor, width: int) -> Tensor:
    """[N, anchors * width, H, W] -> [N, H * W * anchors, width] in float32."""
    return x.float().permute(0, 2, 3, 1).reshape(x.shape[0], -1, width)


def _scaled(x: Tensor, scale: Tensor) -> Tensor:
    n, _, width = x.shape
    return (x.reshape(n, -1, ANCHORS, width) * scale).reshape(n, -1, width)


class ScrfdLayout(nn.Module):
    """The detector for ONNX as insightface's SCRFD class reads it.

    Photo [1,3,H,W], RGB, ``(x - 127.5) / 128`` -> nine outputs without batch axis: scores (after the sigmoid) of the
    three strides, boxes, points.
    """

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Scores [A,1], boxes [A,4] and points [A,10] of each stride, one kind after the other."""
        scores, boxes, points = self.detector(x)
        scores = [s.sigmoid() for s in scores]
        return tuple(t.reshape(-1, width) for group, width in ((scores, 1), (boxes, 4), (points, 10)) for t in group)


def centers(height: int, width: int) -> list[Tensor]:
    """Anchor positions in pixels, one [A,2] (x, y) per stride, in the order of the detector's outputs."""
    out = []
    for stride in STRIDES:
        ys, xs = torch.meshgrid(torch.arange(height // stride), torch.arange(width // stride), indexing="ij")
        xy = torch.stack([xs, ys], -1).reshape(-1, 1, 2).expand(-1, ANCHORS, 2).reshape(-1, 2)
        out.append(xy.float() * stride)
    return out


def decode(distances: Tensor, points: Tensor, center: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Distances [...,A,4], points [...,A,10] in strides -> boxes (x1, y1, x2, y2), points [...,A,5,2] in pixels."""
    lt, rb = distances[..., :2] * stride, distances[..., 2:] * stride
    boxes = torch.cat([center - lt, center + rb], -1)
    return boxes, points.unflatten(-1, (POINTS, 2)) * stride + center[..., None, :]
