"""Building blocks of the two small convolutional networks (face detector and face-mask segmenter).

Dense 3x3 convolutions with batch normalization: on processors with matrix units they are faster than depthwise ones
of the same size. ``fuse`` folds the normalization into the convolutions for inference and export.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class ConvBN(nn.Module):
    """``relu(bn(conv(x)))``; [N, cin, H, W] -> [N, cout, ceil(H / stride), ceil(W / stride)]."""

    def __init__(self, cin: int, cout: int, kernel: int = 3, stride: int = 1, act: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(cout)
        self.act: nn.Module = nn.ReLU(inplace=True) if act else nn.Identity()
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """The formula of the class."""
        return self.act(self.bn(self.conv(x)))


class Residual(nn.Module):
    """``relu(x + conv(relu(conv(x))))`` with two 3x3 convolutions; the shape stays."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvBN(channels, channels)
        self.second = ConvBN(channels, channels, act=False)
        nn.init.constant_(self.second.bn.weight, 0.5)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """The formula of the class."""
        return torch.relu(x + self.second(self.first(x)))


def fuse(model: nn.Module) -> nn.Module:
    """A copy of ``model`` in eval mode whose batch normalizations are folded into the convolutions before them."""
    model = copy.deepcopy(model).eval()
    for module in model.modules():
        if isinstance(module, ConvBN) and isinstance(module.bn, nn.BatchNorm2d):
            module.conv = torch.nn.utils.fuse_conv_bn_eval(module.conv, module.bn)
            module.bn = nn.Identity()
    return model
