"""FROM, the recognizer of "End2End Occluded Face Recognition by Masking Corrupted Features" (Qiu et al. 2021).

An IR trunk gives the last feature map X1. A mask decoder reads the finest level X3 of a feature pyramid and gives a
soft mask M in (0,1) of the shape of X1; the head embeds the cleaned feature ``X1 * M``. An occlusion pattern predictor
sees M alone, so that M has to know where the occlusion is. Layout and sizes are the paper's; the small trunk, the
narrow pyramid and the ``narrow`` predictor of the embedded model are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from ..models.iresnet import IResNet
from ..models.onnx_trunk import OnnxTrunk
from ..models.pyramid import top_down
from . import patterns

MASK_KINDS = ("3d", "2d", "embedding", "none")


class FromOutput(NamedTuple):
    """What FROM says of faces.

    ``embedding`` [N,D], not normalized; ``mask`` in (0,1): [N,C,h,w] ("3d"), [N,1,h,w] ("2d") or [N,D] ("embedding");
    ``occlusion_logits`` [N,patterns].
    """

    embedding: Tensor
    mask: Tensor
    occlusion_logits: Tensor


class MaskDecoder(nn.Module):
    """A pyramid level to the soft mask.

    Args:
        inputs: channels of the level.
        outputs: channels of the feature to clean.
        grid: its height and width.
        kind: ``"3d"`` one value per element, ``"2d"`` one per place, ``"embedding"`` one per entry of the embedding.
        stride: of both convolutions; 2 where the level is four times as large as the feature, 1 where it is as large.
        embedding: length of the embedding.
        bias: ours, where the mask starts: 0 lets half of every feature through, 3 nearly all of it.
    """

    def __init__(
        self, inputs: int, outputs: int, grid: tuple[int, int], kind: str = "3d", stride: int = 2,
        embedding: int = 512, bias: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        first = [nn.Conv2d(inputs, inputs, 3, stride, 1), nn.PReLU(inputs), nn.BatchNorm2d(inputs)]
        if kind == "embedding":
            values = 64 * grid[0] * grid[1]
            rest = [nn.Conv2d(inputs, 64, 3, stride, 1), nn.BatchNorm2d(64), nn.Flatten(), nn.Linear(values, embedding),
                    nn.BatchNorm1d(embedding)]  # fmt: skip
        else:
            rest = [nn.Conv2d(inputs, outputs, 3, stride, 1)]
            if kind == "2d":
                rest.append(nn.Conv2d(outputs, 1, 3, 1, 1))
        last = rest[-1]
        if bias and isinstance(last, nn.Conv2d | nn.BatchNorm1d) and last.bias is not None:
            nn.init.constant_(last.bias, bias)
        self.layers = nn.Sequential(*first, *rest, nn.Sigmoid())

    def forward(self, level: Tensor) -> Tensor:
        """[N,inputs,H,W] -> the mask in (0,1), see :class:`FromOutput`."""
        found: Tensor = self.layers(level)
        return found


class PatternPredictor(nn.Module):
    """The mask to logits of the occlusion patterns: BN, dropout, a linear layer without bias, BN.

    ``channels`` and ``places`` describe the mask; ``narrow`` (ours) first mixes its channels down to so many, if not 0.
    """

    def __init__(self, channels: int, places: int, classes: int, narrow: int = 0, dropout: float = 0.5) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, narrow, 1) if narrow and places > 1 else nn.Identity()
        values = (narrow if narrow and places > 1 else channels) * places
        self.layers = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(values), nn.Dropout(dropout),
                                    nn.Linear(values, classes, bias=False), nn.BatchNorm1d(classes))  # fmt: skip

    def forward(self, mask: Tensor) -> Tensor:
        """The mask -> [N,classes]."""
        found: Tensor = self.layers(self.mix(mask))
        return found


class OwnStatistics(nn.Module):
    """A second set of a module's buffers: what passes with these moves no running statistics of the module itself."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.names = [name for name, _ in module.named_buffers()]
        for name, buffer in module.named_buffers():
            self.register_buffer(name.replace(".", "_"), buffer.detach().clone())

    def run(self, module: nn.Module, x: Tensor) -> Tensor:
        """``module(x)`` with the module's weights and these statistics, which it updates in training."""
        own = {name: getattr(self, name.replace(".", "_")) for name in self.names}
        found: Tensor = functional_call(module, own, (x,))
        return found

    @torch.no_grad()
    def copy_from(self, module: nn.Module) -> None:
        """Take the module's statistics."""
        for name, buffer in module.named_buffers():
            getattr(self, name.replace(".", "_")).copy_(buffer)

    @torch.no_grad()
    def copy_to(self, module: nn.Module) -> None:
        """Give the module these statistics."""
        for name, buffer in module.named_buffers():
            buffer.copy_(getattr(self, name.replace(".", "_")))


class FromNet(nn.Module):
    """FROM, or its baseline.

    Args:
        trunk: arguments of :class:`unmask.models.iresnet.IResNet`, whose head embeds the feature; or ``graph``, the
            description of a given recognizer (:func:`unmask.recognition.trunk.read`).
        mask_kind: see :class:`MaskDecoder`; ``"none"`` is the baseline, trunk and head alone.
        grid: cells K along each side of the pattern grid.
        pyramid: channels of the feature pyramid.
        scales: ``"multi"`` decodes the finest of the last three levels (the paper's); ``"single"`` the last map alone.
        statistics: ``"shared"``: clean and cleaned features move the same running statistics of the head, as in the
            paper's code; ``"separate"``: each has its own.
        narrow, dropout: of :class:`PatternPredictor`.
        mask_bias: ``bias`` of :class:`MaskDecoder`.
        frozen: the trunk below its head stays as it is, in weights and statistics.
    """

    def __init__(
        self,
        trunk: Mapping[str, Any],
        mask_kind: str = "3d",
        grid: int = 5,
        pyramid: int = 256,
        scales: str = "multi",
        statistics: str = "separate",
        narrow: int = 0,
        dropout: float = 0.5,
        mask_bias: float = 0.0,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        if mask_kind not in MASK_KINDS:
            raise ValueError(f"mask_kind is {mask_kind!r}; it can be {', '.join(MASK_KINDS)}")
        if scales not in ("multi", "single") or statistics not in ("shared", "separate"):
            raise ValueError("scales is 'multi' or 'single', statistics 'shared' or 'separate'")
        self.trunk = OnnxTrunk(trunk["graph"]) if "graph" in trunk else IResNet(**trunk)
        self.frozen = frozen
        if frozen:
            below = (p for name, p in self.trunk.named_parameters() if not name.startswith("head."))
            nn.ParameterList(below).requires_grad_(False)
        self.size, self.embedding = self.trunk.size, self.trunk.embedding
        self.mask_kind, self.grid, self.scales = mask_kind, grid, scales
        if mask_kind == "none":
            return
        widths, places = self.trunk.widths, self.trunk.grid
        if scales == "multi":
            if len(widths) < 4:
                raise ValueError("the pyramid takes a trunk of at least three stages")
            self.lateral = nn.ModuleList(nn.Conv2d(c, pyramid, 1) for c in widths[-3:])
            self.smooth = nn.Conv2d(pyramid, pyramid, 3, 1, 1)  # of the finest level, the only one that is read
        inputs, stride = (pyramid, 2) if scales == "multi" else (widths[-1], 1)
        self.decoder = MaskDecoder(inputs, widths[-1], places, mask_kind, stride, self.embedding, mask_bias)
        channels = {"3d": widths[-1], "2d": 1, "embedding": self.embedding}[mask_kind]
        spread = 1 if mask_kind == "embedding" else places[0] * places[1]
        self.predictor = PatternPredictor(channels, spread, patterns.count(grid), narrow if mask_kind == "3d" else 0,
                                          dropout)  # fmt: skip
        if statistics == "separate":
            self.clean_statistics = OwnStatistics(self.trunk.head)

    def train(self, mode: bool = True) -> FromNet:
        """As of any module, but what is frozen stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            for name, part in self.trunk.named_children():
                part.train(mode and name == "head")
        return self

    def features(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Faces [N,3,H,W] -> X1 [N,C,h,w] and the mask (None for the baseline)."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            maps = self.trunk.maps(x)
        if self.mask_kind == "none":
            return maps[-1], None
        level = self.smooth(top_down(self.lateral, maps[-3:])[-1]) if self.scales == "multi" else maps[-1]
        return maps[-1], self.decoder(level)

    def cleaned(self, last: Tensor, mask: Tensor) -> Tensor:
        """The embedding [N,D] of a feature X1 and its mask, not normalized."""
        found: Tensor = self.trunk.head(last) * mask if self.mask_kind == "embedding" else self.trunk.head(last * mask)
        return found

    def plain(self, last: Tensor) -> Tensor:
        """The embedding [N,D] of X1 as it is, not normalized: the clean stage's, and the baseline's."""
        if hasattr(self, "clean_statistics"):
            return self.clean_statistics.run(self.trunk.head, last)
        found: Tensor = self.trunk.head(last)
        return found

    def begin_masking(self) -> None:
        """Start the statistics of cleaned features from those of clean ones, where they are kept apart."""
        if hasattr(self, "clean_statistics"):
            self.clean_statistics.copy_to(self.trunk.head)

    def explain(self, x: Tensor) -> FromOutput:
        """Faces [N,3,H,W] in [-1,1] -> embedding, mask and pattern logits; ValueError for the baseline."""
        last, mask = self.features(x)
        if mask is None:
            raise ValueError("the baseline has no mask to explain")
        return FromOutput(self.cleaned(last, mask), mask, self.predictor(mask))

    def forward(self, x: Tensor) -> Tensor:
        """[N,3,H,W] in [-1,1] -> [N,D], not normalized."""
        last, mask = self.features(x)
        return self.plain(last) if mask is None else self.cleaned(last, mask)

    def embed(self, x: Tensor) -> Tensor:
        """[N,3,H,W] in [-1,1] -> [N,D] of unit length."""
        return functional.normalize(self(x).float(), dim=1)
