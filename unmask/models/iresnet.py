"""The IR residual network of ArcFace (Deng et al. 2019, improved residual units), any widths and depths."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


def activation(name: str, channels: int) -> nn.Module:
    """``prelu`` (a learned slope per channel, as in ArcFace) or ``lrelu`` (slope 0.2, cheaper to train on a CPU)."""
    if name not in ("prelu", "lrelu"):
        raise ValueError(f"act is {name!r}; it can be 'prelu' or 'lrelu'")
    return nn.PReLU(channels) if name == "prelu" else nn.LeakyReLU(0.2)


class IRBlock(nn.Module):
    """BN, conv 3x3, BN, activation, conv 3x3, BN, plus a shortcut (1x1 conv and BN where the shape changes).

    The stride is the second convolution's as in ArcFace, or the first one's (``early``), several times cheaper.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, act: str = "prelu", early: bool = False) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride if early else 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.act = activation(act, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1 if early else stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """[N,inputs,H,W] -> [N,outputs,H/stride,W/stride]."""
        y = self.conv1(self.bn1(x))
        y = self.conv2(self.act(self.bn2(y)))
        return self.bn3(y) + self.shortcut(x)


class GlobalDepthwise(nn.Module):
    """One learned weight per channel and place: [N,C,H,W] -> [N,C] (the global depthwise layer of MobileFaceNet)."""

    def __init__(self, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((1, channels, *size), 1.0 / (size[0] * size[1])))

    def forward(self, x: Tensor) -> Tensor:
        """Weighted sum over the places."""
        return (x * self.weight).sum((2, 3))


class IResNet(nn.Module):
    """IR residual recognizer.

    Args:
        widths: channels of the stem and of each stage (one more than ``depths``).
        depths: residual units per stage.
        embedding: length of the output vector.
        size: (height, width) of the input faces.
        head: ``"fc"`` flattens the last map into a linear layer (ArcFace); ``"flat"`` too, but normalizes each of its
            values apart (FROM); ``"gdc"`` weights its places per channel.
        stem_stride: 1 as in ArcFace, or 2 for a network four times cheaper.
        dropout: before the linear layer of ``"fc"`` and ``"flat"``.
        act, early_stride: see :func:`activation` and :class:`IRBlock`.
        inputs: channels of the input, 3 for RGB.

    ``forward`` maps [N,3,H,W] in [-1,1] to [N,embedding], *not* normalized. Sizes that reproduce the literature:
    widths (64,64,128,256,512) with depths (3,4,14,3) is LResNet50E-IR.
    """

    def __init__(
        self,
        widths: Sequence[int] = (64, 64, 128, 256, 512),
        depths: Sequence[int] = (3, 4, 14, 3),
        embedding: int = 512,
        size: Sequence[int] = (112, 112),
        head: str = "fc",
        stem_stride: int = 1,
        dropout: float = 0.4,
        act: str = "prelu",
        early_stride: bool = False,
        inputs: int = 3,
    ) -> None:
        super().__init__()
        if len(widths) != len(depths) + 1:
            raise ValueError(f"widths has {len(widths)} entries; it takes one more than depths ({len(depths)})")
        self.embedding, self.size, self.widths = embedding, (int(size[0]), int(size[1])), tuple(widths)
        self.stem = nn.Sequential(
            nn.Conv2d(inputs, widths[0], 3, stem_stride, 1, bias=False),
            nn.BatchNorm2d(widths[0]),
            activation(act, widths[0]),
        )
        self.stages = nn.ModuleList()
        shrink = stem_stride
        for i, depth in enumerate(depths):
            shrink *= 2
            units = [IRBlock(widths[i], widths[i + 1], 2, act, early_stride)]
            units += [IRBlock(widths[i + 1], widths[i + 1], 1, act) for _ in range(depth - 1)]
            self.stages.append(nn.Sequential(*units))
        last, grid = widths[-1], (-(-self.size[0] // shrink), -(-self.size[1] // shrink))
        self.grid = grid
        self.head: nn.Module
        if head == "fc":
            self.head = nn.Sequential(
                nn.BatchNorm2d(last),
                nn.Dropout(dropout),
                nn.Flatten(),
                nn.Linear(last * grid[0] * grid[1], embedding),
                nn.BatchNorm1d(embedding),
            )
        elif head == "flat":
            values = last * grid[0] * grid[1]
            self.head = nn.Sequential(
                nn.Flatten(),
                nn.BatchNorm1d(values),
                nn.Dropout(dropout),
                nn.Linear(values, embedding),
                nn.BatchNorm1d(embedding),
            )
        elif head == "gdc":
            self.head = nn.Sequential(
                nn.BatchNorm2d(last),
                GlobalDepthwise(last, grid),
                nn.BatchNorm1d(last),
                nn.Linear(last, embedding, bias=False),
                nn.BatchNorm1d(embedding),
            )
        else:
            raise ValueError(f"head is {head!r}; it can be 'fc', 'flat' or 'gdc'")
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def maps(self, x: Tensor) -> list[Tensor]:
        """The feature maps after each stage, finest first; any side."""
        last, found = self.stem(x), []
        for stage in self.stages:
            last = stage(last)
            found.append(last)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """[N,3,H,W] in [-1,1] -> [N,embedding], not normalized."""
        found: Tensor = self.head(self.maps(x)[-1])
        return found

    def embed(self, x: Tensor) -> Tensor:
        """[N,3,H,W] in [-1,1] -> [N,embedding] of unit length."""
        return functional.normalize(self(x).float(), dim=1)
