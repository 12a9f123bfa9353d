"""The config of task ``g2d``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..config import Depths, Few, Number, Side, Weight, Width, Widths
from ..training import paired, shapes


@dataclass(frozen=True)
class EncoderShape:
    """Which encoder, and up to where."""

    kind: Literal["unmasker", "ict", "pixels", "painted", "crop"] = "unmasker"
    """The unmasker's encoder or ICT's, or the masked pixels (the baseline); before a reformer that is a given
    recognizer ``painted``, all of the unmasker, or its baseline ``crop``."""
    widths: Widths = (32, 64, 128, 224)
    """Channels of the unmasker's trunk, or ICT's three."""
    depths: Depths = (2, 3, 2)
    """Residual units of the unmasker's trunk; ICT has none."""
    block: Few = 2
    """Residual units that are used, from the start."""


@dataclass(frozen=True)
class ReformerShape:
    """Further arguments of :class:`.network.Reformer`."""

    widths: Widths = (64, 128, 256, 512)
    """Channels of each stage."""
    depths: Depths = (2, 3, 3, 2)
    """Residual units of each stage."""
    pool: Literal["mean", "gdc"] = "mean"
    """The mean over the places, or a learned weight for each channel and place."""
    act: Literal["prelu", "lrelu"] = "prelu"
    """Activation."""
    early_stride: bool = False
    """Whether a unit's first convolution has the stride."""
    onnx: str = ""
    """The file of a recognizer, or ``teacher``, to start from instead; it takes the place of all these."""


@dataclass(frozen=True)
class Network:
    """Arguments of :class:`unmask.g2d.network.G2D`."""

    size: Side = 128
    """Height and width of faces, in pixels."""
    embedding: Width = 512
    """Length of the embedding; the teacher's."""
    encoder: EncoderShape = EncoderShape()
    """Shape of the encoder."""
    reformer: ReformerShape = ReformerShape()
    """Shape of the reformer."""


@dataclass(frozen=True)
class Config(paired.Config):
    """Config of G2D and its baseline; ``lr`` is that of the reformer's stage."""

    model: Network = Network()
    """Shape of the network."""
    start: str = ""
    """The painter: an unmasker's weights by name or path, or ICT's generator checkpoint; empty: from nothing."""
    recognizer: str = ""
    """Name or path of a trained recognizer that gives the reformer its upper stages and head."""
    painter: shapes.Network = shapes.Network()
    """Shape of an unmasker that starts from nothing."""
    encoder_steps: Number = 0
    """Steps of the encoder's stage."""
    reformer_steps: Number = 1000
    """Steps of the reformer's stage; what is left up to ``max_steps`` is the classifier's."""
    weight_decay: Weight = 5e-4
    """Of the optimizers."""
    contrast_weight: Weight = 0.0
    """Of telling each face from all the others by the teacher's embeddings."""
