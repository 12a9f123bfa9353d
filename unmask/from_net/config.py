"""The config of task ``from``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..config import Grid, Margin, Number, Rate, Share, Weight, Width, Width0
from ..training import paired
from ..training.tasks import recognizer


@dataclass(frozen=True)
class Trunk(recognizer.Network):
    """Shape of the trunk."""

    onnx: str = ""
    """The file of a given recognizer, or ``teacher``; of the shape ``embedding`` and ``size`` are still told."""


@dataclass(frozen=True)
class Network:
    """Arguments of :class:`unmask.from_net.network.FromNet`."""

    trunk: Trunk = Trunk()
    """Shape of the trunk."""
    mask_kind: Literal["3d", "2d", "embedding", "none"] = "3d"
    """The mask's shape: by channel and place, by place alone, on the embedding; ``none`` is the baseline."""
    grid: Grid = 5
    """Cells along each side of the grid of occlusion patterns."""
    pyramid: Width = 256
    """Channels of the feature pyramid."""
    scales: Literal["multi", "single"] = "multi"
    """``multi`` decodes the finest of the last three levels (the paper's), ``single`` the last map alone."""
    statistics: Literal["shared", "separate"] = "separate"
    """Whether clean and cleaned features share the head's running statistics, as in the paper's code."""
    narrow: Width0 = 0
    """Channels to which the mask's are mixed before the pattern predictor; 0: all."""
    frozen: bool = False
    """Whether the trunk below its head stays as it is."""


@dataclass(frozen=True)
class Config(paired.Config):
    """Config of FROM and its baseline; ``lr`` is that of the clean stage."""

    model: Network = Network()
    """Shape of the network."""
    clean_steps: Number = 0
    """Steps of the clean stage; the rest are the masked one."""
    start: str = ""
    """A run of this task, whose trunk, head and classifier go on (so that FROM and its baseline can share one clean
    stage), or the name or path of a recognizer of the trunk's shape, which then is the clean stage."""
    mask_share: Share = 0.5
    """Of the covered faces, those with a simulated face mask; the others have a pasted occluder."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """The optimizer of both stages; ``sgd`` has the paper's drops of the learning rate, ``adamw`` a cosine."""
    lr_masked: Rate = 1e-3
    """Learning rate of the masked stage."""
    weight_decay: Weight = 5e-4
    """Of the optimizer."""
    label_weight: Weight = 1.0
    """Of the margin softmax over people."""
    distill_weight: Weight = 0.0
    """Of the distance from the teacher's embedding, face by face."""
    contrast_weight: Weight = 0.0
    """Of telling each face from all the others by the teacher's embeddings."""
    pattern_weight: Weight = 1.0
    """Of the occlusion pattern's cross entropy."""
    m_cos: Margin = 0.35
    """Margin of the margin softmax, taken from the cosine."""
