"""The networks, built by name from plain arguments."""

from __future__ import annotations

import importlib
from typing import Any

from torch import nn

from ..errors import UnmaskError

BUILDERS: dict[str, str] = {
    "generator": "generator:Generator",
    "discriminator": "discriminator:Discriminator",
    "iresnet": "iresnet:IResNet",
    "unmasker": "unmasker:Unmasker",
    "from_net": "from_net:FromNet",
    "g2d": "g2d:G2D",
    "ict": "ict:IctUpsampler",
    "detector": "detector:Detector",
    "segmenter": "segmenter:Segmenter",
}


def build(kind: str, **arch: Any) -> nn.Module:
    """Build a network of a kind in ``BUILDERS`` with its arguments; raises UnmaskError where they do not fit."""
    if kind not in BUILDERS:
        raise UnmaskError(f"no network of kind {kind!r}; there are {', '.join(BUILDERS)}")
    module, name = BUILDERS[kind].split(":")
    try:
        network: nn.Module = getattr(importlib.import_module(f"{__name__}.{module}"), name)(**arch)
    except TypeError as error:
        raise UnmaskError(f"a {kind} cannot be built from {arch}: {error}") from None
    return network
