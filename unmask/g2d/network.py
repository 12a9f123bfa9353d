"""G2D: generative-to-discriminative representations (Ge et al., ICML 2024), ``phi(x, region)``.

A generative encoder, cut out of a face-inpainting network, turns the masked face into a descriptor; a discriminative
reformer turns that into an identity vector; a feature classifier names people. From the paper: the three parts, the
reformer of 22 layers (one convolution, four residual stages, pooling, a fully connected layer) and the training order.
Ours: the inpainting network (our unmasker; ICT's, the paper's, can be loaded), which block gives the descriptor, the
split of the stages into 2, 3, 3 and 2 units, and every width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..models import encoder
from ..models.iresnet import IResNet
from ..models.onnx_trunk import OnnxTrunk
from ..models.unmasker import Unmasker
from . import ict
from .reformer import Reformer

NATIVE = 128  # crops aligned to ffhq have about as much of a face at this size as an arcface crop of 112
MARGIN = 1  # pixels by which the region is grown, as the unmasker grows it
FOLD = 4  # side of the squares of pixels that become channels: as fine as the descriptor of the embedded model
GARMENT = 0.5  # from this score of the segmenter on, a face wears a mask


class TrunkDescriptor(nn.Module):
    """The unmasking encoder's trunk up to a residual unit: stem and the first ``block`` units.

    ``channels`` and ``side`` describe the output [N,channels,side,side].
    """

    def __init__(self, size: int, widths: Sequence[int], depths: Sequence[int], block: int) -> None:
        super().__init__()
        if not 0 <= block <= sum(depths):
            raise ValueError(f"block is {block}; the trunk has {sum(depths)} residual units")
        whole = encoder.trunk(size, widths, depths)
        self.block = block
        self.channels, self.side = widths[0], size // 2
        self.stem, self.stages = whole.stem, nn.ModuleList()
        self._cut(whole)
        for i in range(len(self.stages)):
            self.channels, self.side = widths[i + 1], -(-self.side // 2)

    def _cut(self, trunk: IResNet) -> None:
        left, stages = self.block, []
        for stage in trunk.stages:
            units = list(stage.children())[:left]
            left -= len(units)
            if units:
                stages.append(nn.Sequential(*units))
        self.stem, self.stages = trunk.stem, nn.ModuleList(stages)

    def share(self, painter: Unmasker) -> None:
        """Use the very layers of an :class:`unmask.models.unmasker.Unmasker`; ValueError if they have another shape."""
        before = {k: v.shape for k, v in self.state_dict().items()}
        self._cut(painter.encoder.trunk)
        if {k: v.shape for k, v in self.state_dict().items()} != before:
            raise ValueError("the unmasker's encoder has other widths or depths")

    def forward(self, x: Tensor, region: Tensor) -> Tensor:
        """x [N,3,S,S] in [-1,1], region [N,1,S,S] in [0,1] -> the descriptor."""
        found: Tensor = self.stem(encoder.visible(x, encoder.grown(region, MARGIN)))
        for stage in self.stages:
            found = stage(found)
        return found


class IctDescriptor(nn.Module):
    """ICT's encoder and its first ``block`` residual blocks: 256 channels at a quarter of the size in ICT itself."""

    def __init__(self, size: int, widths: Sequence[int], block: int) -> None:
        super().__init__()
        self.channels, self.side, self.block = widths[-1], size // 4, block
        self.encoder, self.middle = ict.encoder(widths), ict.middle(widths[-1], block)

    def share(self, painter: ict.IctUpsampler) -> None:
        """Use the very layers of an :class:`unmask.g2d.ict.IctUpsampler`."""
        self.encoder, self.middle = painter.encoder, nn.Sequential(*list(painter.middle)[: self.block])

    def forward(self, x: Tensor, region: Tensor) -> Tensor:
        """x [N,3,S,S] in [-1,1], region [N,1,S,S] in [0,1] -> the descriptor."""
        found: Tensor = self.middle(self.encoder(ict.inputs(x, region)))
        return found


class FoldedPixels(nn.Module):
    """No generative encoder, for the baseline: the visible pixels and the region, ``FOLD`` x ``FOLD`` to a place.

    That is 64 channels at a quarter of the size, the shape of the embedded model's descriptor.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.channels, self.side = 4 * FOLD * FOLD, size // FOLD

    def forward(self, x: Tensor, region: Tensor) -> Tensor:
        """x [N,3,S,S] in [-1,1], region [N,1,S,S] in [0,1] -> [N,64,S/4,S/4]."""
        return functional.pixel_unshuffle(encoder.visible(x, encoder.grown(region, MARGIN)), FOLD)


class Crop(nn.Module):
    """No generative encoder and the alignment of a given recognizer: the visible pixels, gray under the region.

    [N,3,size,size] aligned to ``ffhq`` become [N,3,side,side] aligned to ``arcface``; ``matrix`` [2,3] takes pixels of
    the one at :data:`NATIVE` (or ``size``, if that is smaller) to pixels of the other.
    """

    channels = 3
    grid: Tensor

    def __init__(self, size: int, matrix: Sequence[Sequence[float]], side: int = 112) -> None:
        super().__init__()
        self.side, self.inner = side, min(size, NATIVE)
        inverse = torch.linalg.inv(torch.tensor([*matrix, (0.0, 0.0, 1.0)], dtype=torch.float64))[:2]
        at = torch.arange(side, dtype=torch.float64)
        places = torch.stack([*torch.meshgrid(at, at, indexing="xy"), torch.ones(side, side).double()], -1)
        # pixel i of a side of S lies at (2 i + 1) / S - 1
        grid = (2 * places @ inverse.T + 1) / self.inner - 1
        self.register_buffer("grid", grid.float()[None], persistent=False)

    def whole(self, x: Tensor, region: Tensor) -> Tensor:
        """The picture that is cropped."""
        return x * (1 - region)

    def forward(self, x: Tensor, region: Tensor) -> Tensor:
        """x [N,3,S,S] in [-1,1], region [N,1,S,S] in [0,1] -> [N,3,side,side]."""
        whole = self.whole(x, region)
        if self.inner < whole.shape[-1]:
            whole = functional.interpolate(whole, (self.inner, self.inner), mode="area")
        grid = self.grid.to(whole.dtype).expand(x.shape[0], -1, -1, -1)
        return functional.grid_sample(whole, grid, mode="bilinear", padding_mode="border", align_corners=False)


class Painted(Crop):
    """All of an unmasker as the encoder: its face in the region, in the alignment of a given recognizer."""

    def __init__(
        self, size: int, matrix: Sequence[Sequence[float]], painter: Mapping[str, Any], side: int = 112
    ) -> None:
        super().__init__(size, matrix, side)
        self.painter = Unmasker(**painter)

    def share(self, painter: Unmasker) -> None:
        """Use this very unmasker."""
        self.painter = painter

    def whole(self, x: Tensor, region: Tensor) -> Tensor:
        """The picture that is cropped."""
        made: Tensor = self.painter(x, region)
        return x + (made.to(x.dtype).clamp(-1, 1) - x) * region


ENCODERS: dict[str, Callable[[int, Mapping[str, Any]], nn.Module]] = {
    "unmasker": lambda size, a: TrunkDescriptor(size, a["widths"], a["depths"], a["block"]),
    "ict": lambda size, a: IctDescriptor(size, a["widths"], a["block"]),
    "pixels": lambda size, a: FoldedPixels(size),
    "painted": lambda size, a: Painted(size, a["matrix"], a["painter"]),
    "crop": lambda size, a: Crop(size, a["matrix"]),
}


class G2D(nn.Module):
    """Generative encoder and discriminative reformer.

    Args:
        size: side of the faces (template ``ffhq``).
        embedding: length of the identity vector.
        encoder: ``kind`` (a name of :data:`ENCODERS`) and that encoder's arguments.
        reformer: further arguments of :class:`Reformer`; or ``graph``, the description of a given recognizer
            (:func:`unmask.recognition.trunk.read`), which then takes the place of the 22 layers.
    """

    def __init__(
        self, size: int, embedding: int, encoder: Mapping[str, Any], reformer: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        if encoder["kind"] not in ENCODERS:
            raise ValueError(f"encoder.kind is {encoder['kind']!r}; it can be {', '.join(ENCODERS)}")
        self.size, self.embedding = size, embedding
        self.encoder = ENCODERS[encoder["kind"]](size, encoder)
        self.reformer = _reformer(self.encoder, embedding, dict(reformer or {}))

    def forward(self, x: Tensor, region: Tensor) -> Tensor:
        """x [N,3,S,S] in [-1,1], region [N,1,S,S] in [0,1] -> the identity vector [N,embedding], not normalized."""
        found: Tensor = self.reformer(self.encoder(x, region))
        return found


def _reformer(before: Any, embedding: int, shape: dict[str, Any]) -> nn.Module:
    if "graph" not in shape:
        return Reformer(before.channels, before.side, embedding, **shape)
    found = OnnxTrunk(shape["graph"])
    if (before.channels, before.side, before.side) != (3, *found.size):
        raise ValueError(f"a given recognizer takes pictures [3,{found.size[0]},{found.size[1]}]; "
                         "set encoder.kind to 'painted' or 'crop'")  # fmt: skip
    return found


class FeatureClassifier(nn.Linear):
    """The last part: one fully connected layer, [N,embedding] -> logits [N,people]; the softmax is the loss's."""


class Segmented(nn.Module):
    """G2D that finds the region itself: faces [N,3,S,S] in [-1,1] -> [N,embedding], not normalized.

    ``segmenter`` (:class:`unmask.models.segmenter.Segmenter`, trained on crops of ``side`` pixels) says where the face
    mask is; a face that wears none by its score (below 0.5) is embedded as it is.
    """

    def __init__(self, network: G2D, segmenter: nn.Module, side: int = 128) -> None:
        super().__init__()
        self.network, self.segmenter, self.side = network, segmenter, side
        self.size, self.embedding = (network.size, network.size), network.embedding

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        resized = self.side != self.size[0]
        side = (self.side, self.side)
        small = functional.interpolate(x, side, mode="bilinear", align_corners=False) if resized else x
        logits, score = self.segmenter(small)
        worn = (score.sigmoid() >= GARMENT).to(x.dtype)
        region = logits.sigmoid() * worn[:, None, None, None]
        if resized:
            region = functional.interpolate(region, self.size, mode="bilinear", align_corners=False)
        found: Tensor = self.network(x, region)
        return found

    def embed(self, x: Tensor) -> Tensor:
        """[N,3,S,S] in [-1,1] -> [N,embedding] of unit length."""
        return functional.normalize(self(x).float(), dim=1)
