"""The networks, built by name from plain arguments."""

from __future__ import annotations

import importlib
from typing import Any

from torch import nn

from .. import ops
from ..errors import UnmaskError

BUILDERS: dict[str, str] = {
    "generator": "models.generator:Generator",
    "discriminator": "models.discriminator:Discriminator",
    "iresnet": "models.iresnet:IResNet",
    "unmasker": "models.unmasker:Unmasker",
    "from_net": "from_net.network:FromNet",
    "g2d": "g2d.network:G2D",
    "ict": "g2d.ict:IctUpsampler",
    "detector": "models.detector:Detector",
    "segmenter": "models.segmenter:Segmenter",
    "landmarker": "models.landmarker:Landmarker",
}


def build(kind: str, **arch: Any) -> nn.Module:
    """Build a network of a kind in ``BUILDERS`` with its arguments.

    Raises:
        UnmaskError: there is no such kind, or the arguments do not fit it.
        UsageError: ``UNMASK_OPS`` makes no sense.
    """
    if kind not in BUILDERS:
        raise UnmaskError(f"no network of kind {kind[:40]!r}; there are {', '.join(BUILDERS)}")
    ops.preferred()  # a wrong word there is told before anything is done
    module, name = BUILDERS[kind].split(":")
    try:
        network: nn.Module = getattr(importlib.import_module(f"unmask.{module}"), name)(**arch)
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, ArithmeticError, RuntimeError) as error:
        given, reason = (" ".join(str(text).split())[:200] for text in (arch, error))
        raise UnmaskError(f"a {kind} cannot be built from {given}: {reason}") from None
    return network
