"""From a checkpoint to the network that it describes: the one way for every kind."""

from __future__ import annotations

from typing import Any

from ..errors import UnmaskError, UsageError
from .table import Checkpoint, fill


def build(checkpoint: Checkpoint) -> Any:
    """The network of a checkpoint, filled; UnmaskError where its description does not fit this version."""
    from .. import models  # torch, which those who only read tables do without

    try:
        network = models.build(checkpoint.kind, **checkpoint.arch)
    except (UnmaskError, TypeError, ValueError) as error:
        told = UnmaskError(f"{checkpoint.path}: {error}; use weights made for this version")
        raise error if isinstance(error, UsageError) else told from None
    fill(network, checkpoint)
    return network
