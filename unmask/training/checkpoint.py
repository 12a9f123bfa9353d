"""Checkpoints that resume exactly: modules, optimizers, step, best figures and the config that made them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from .. import files
from ..weights.runs import NAME, read

__all__ = ["NAME", "latest", "read", "save"]


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically: a crash leaves the previous one in place."""
    with files.replacing(path) as part, part.open("wb") as stream:
        try:
            torch.save(dict(content), stream)
        except RuntimeError as error:  # it hides the system's own words behind this
            cause = error.__context__
            raise cause if isinstance(cause, OSError) else OSError(files.reason(error)) from None


def latest(folder: Path) -> Path | None:
    """The newest checkpoint of a run folder, or None."""
    path = folder / NAME
    return path if path.is_file() else None
