"""G2D's discriminative reformer: from a descriptor to an identity vector."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .. import weights
from ..errors import UsageError
from ..models.iresnet import GlobalDepthwise, IRBlock, IResNet, activation


class Reformer(nn.Module):
    """A descriptor [N,inputs,side,side] to an identity vector [N,embedding], not normalized.

    Args:
        inputs, side: shape of the descriptor.
        embedding: length of the vector.
        widths: channels of the four stages, the first also of the convolution before them.
        depths: residual units (two convolutions each) per stage; (2, 3, 3, 2) makes the paper's 22 layers.
        pool: ``"mean"`` over the places, or ``"gdc"``, a learned weight per channel and place.
        act, early_stride: see :class:`unmask.models.iresnet.IRBlock`.
    """

    def __init__(
        self,
        inputs: int,
        side: int,
        embedding: int = 512,
        widths: Sequence[int] = (64, 128, 256, 512),
        depths: Sequence[int] = (2, 3, 3, 2),
        pool: str = "mean",
        act: str = "prelu",
        early_stride: bool = False,
    ) -> None:
        super().__init__()
        if len(widths) != len(depths):
            raise ValueError(f"widths has {len(widths)} entries and depths {len(depths)}; a stage has one of each")
        if pool not in ("mean", "gdc"):
            raise ValueError(f"pool is {pool!r}; it can be 'mean' or 'gdc'")
        last = widths[-1]
        self.conv = nn.Sequential(nn.Conv2d(inputs, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]),
                                  activation(act, widths[0]))  # fmt: skip
        stages, before = [], widths[0]
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            stride = 2 if i else 1
            units = [IRBlock(before, width, stride, act, early_stride)]
            units += [IRBlock(width, width, 1, act) for _ in range(depth - 1)]
            stages.append(nn.Sequential(*units))
            before, side = width, -(-side // stride)
        self.stages = nn.Sequential(*stages)
        pooling: nn.Module = GlobalDepthwise(last, (side, side)) if pool == "gdc" else nn.AdaptiveAvgPool2d(1)
        self.pool = nn.Sequential(nn.BatchNorm2d(last), pooling, nn.Flatten(), nn.BatchNorm1d(last))
        self.fc = nn.Sequential(nn.Linear(last, embedding, bias=False), nn.BatchNorm1d(embedding))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    @torch.no_grad()
    def start_from(self, trunk: IResNet) -> None:
        """Take the upper stages and the head of a recognizer whose lower ones are the encoder's, or were its start.

        The last stages and the ``gdc`` head must have the same shape; weights of places are resampled. The units
        before them begin as what passes their input on. Raises ValueError where nothing fits.
        """
        own, given = list(self.stages), list(trunk.stages)
        shared = 0
        while shared < min(len(own), len(given)) and _shapes(own[-1 - shared]) == _shapes(given[-1 - shared]):
            shared += 1
        head = list(trunk.head.children()) if isinstance(trunk.head, nn.Sequential) else []
        pooling = next((m for m in head if isinstance(m, GlobalDepthwise)), None)
        if not shared or pooling is None or not isinstance(self.pool[1], GlobalDepthwise):
            raise ValueError("none of its last stages, or not its head, has the reformer's shape")
        for stage, taken in zip(own[len(own) - shared :], given[len(given) - shared :], strict=True):
            stage.load_state_dict(taken.state_dict())
        for stage in own[: len(own) - shared]:
            for unit in stage.modules():
                if isinstance(unit, IRBlock):
                    nn.init.zeros_(unit.bn3.weight)
        for mine, theirs in zip((self.pool[0], self.pool[3], *self.fc), (head[0], *head[2:]), strict=True):
            mine.load_state_dict(theirs.state_dict())
        places, before = self.pool[1].weight, pooling.weight
        resized = functional.interpolate(before, places.shape[2:], mode="bilinear", align_corners=False)
        places.copy_(resized * (before.shape[2:].numel() / places.shape[2:].numel()))

    def forward(self, descriptor: Tensor) -> Tensor:
        """[N,inputs,side,side] -> [N,embedding]."""
        found: Tensor = self.fc(self.pool(self.stages(self.conv(descriptor))))
        return found


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in module.state_dict().items()}


def start(reformer: Reformer, name_or_path: str) -> None:
    """:meth:`Reformer.start_from` a recognizer's weights; raises UsageError where they do not fit."""
    trunk = weights.build(weights.read(name_or_path, kind="iresnet"))
    try:
        reformer.start_from(trunk)
    except ValueError as error:
        raise UsageError(f"recognizer: {name_or_path}: {error}; change model.reformer") from None
