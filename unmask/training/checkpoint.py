"""Checkpoints that resume exactly: modules, optimizers, step, best figures and the config that made them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from .. import files
from ..errors import UnmaskError

NAME = "last.pt"


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically: a crash leaves the previous one in place."""
    with files.replacing(path) as part, part.open("wb") as stream:
        try:
            torch.save(dict(content), stream)
        except RuntimeError as error:  # it hides the system's own words behind this
            cause = error.__context__
            raise cause if isinstance(cause, OSError) else OSError(files.reason(error)) from None


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint (never executing pickled code). Raises UnmaskError naming the file."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UnmaskError(f"{path}: no such checkpoint; train first or name another") from None
    except Exception as error:
        raise UnmaskError(f"{path}: not a readable checkpoint ({type(error).__name__}); start without it") from None
    if not isinstance(content, dict) or not {"task", "step", "modules", "optimizers"} <= content.keys():
        raise UnmaskError(f"{path}: not a checkpoint of `unmask train`; start without it")
    return content


def latest(folder: Path) -> Path | None:
    """The newest checkpoint of a run folder, or None."""
    path = folder / NAME
    return path if path.is_file() else None
