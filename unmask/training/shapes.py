"""Shapes of networks that several tasks train: the encoder and the unmasker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import config as field


def levels(name: str, channels: Sequence[int], side: int) -> None:
    """Raise ValueError unless ``channels`` has an entry for 4, 8, ... ``side`` px; ``name`` is the field's."""
    wanted = int(np.log2(side)) - 1
    if len(channels) != wanted:
        raise ValueError(f"{name} has {len(channels)} entries; {side} px takes {wanted}, for 4, 8, ... {side} px")


@dataclass(frozen=True)
class EncoderShape:
    """Further arguments of :class:`unmask.models.encoder.Encoder`."""

    widths: field.Widths = (32, 64, 128, 224)
    """Channels of the trunk: of the stem and of each stage."""
    depths: field.Depths = (2, 3, 2)
    """Residual blocks of each stage."""
    pyramid: field.Width = 96
    """Channels of the feature pyramid."""
    narrow: field.Width0 = 16
    """Channels that each style head reads at 4x4."""


@dataclass(frozen=True)
class Network:
    """Arguments of :class:`unmask.models.unmasker.Unmasker`."""

    img_resolution: field.Side = 128
    """Height and width of what the generator paints, in pixels."""
    w_dim: field.Width = 256
    """Length of a style vector."""
    channels: field.Widths = (160, 160, 160, 128, 64, 32)
    """Channels of the generator at 4, 8, ... pixels."""
    encoder: EncoderShape = EncoderShape()
    """Shape of the encoder."""
    skips: field.Sides = (16, 32, 64)
    """Resolutions at which features of the encoder go straight to the generator."""
    gated: field.Sides = (64,)
    """Those of ``skips`` that the region shuts."""
    conv_clamp: field.Positive | None = None
    """What every layer's output is held to; that of the given ``generator``."""
    identity: field.Width0 = 0
    """Length of the masked face's embedding that joins the styles; 0: none does."""
    detail: field.Width0 = 0
    """Channels of the layers that double the side of what the generator paints; 0: there are none."""

    def __post_init__(self) -> None:
        levels("channels", self.channels, self.img_resolution)
        if not {*self.gated} <= {*self.skips}:
            raise ValueError(f"gated is {list(self.gated)}; it names some of skips, {list(self.skips)}")
