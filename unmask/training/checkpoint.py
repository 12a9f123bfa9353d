"""Checkpoints that resume exactly: modules, optimizers, step, best figures and the config that made them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..errors import UnmaskError

NAME = "last.pt"


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically: a crash leaves the previous one in place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    torch.save(dict(content), partial)
    os.replace(partial, path)


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
