"""Checkpoints that resume exactly: modules, optimizers, step, best figures and the config that made them."""

from __future__ import annotations

import zipfile
import zlib
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
    """Read a checkpoint (never executing pickled code), after its checksums. Raises UnmaskError naming the file."""
    try:
        _check(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UnmaskError(f"{path}: no such checkpoint; train first or name another") from None
    except UnmaskError:
        raise
    except Exception as error:
        raise UnmaskError(f"{path}: not a readable checkpoint ({type(error).__name__}); start without it") from None
    if not isinstance(content, dict) or not {"task", "step", "modules", "optimizers"} <= content.keys():
        raise UnmaskError(f"{path}: not a checkpoint of `unmask train`; start without it")
    return content


def _check(path: Path) -> None:
    """Compare every part of a checkpoint with the checksum (CRC-32) that torch wrote for it and does not look at."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, zlib.error) as error:
        raise UnmaskError(f"{path}: not a readable checkpoint ({files.reason(error)}); start without it") from None
    if damaged:
        raise UnmaskError(f"{path}: altered since it was written ({damaged} has another checksum); start without it")


def latest(folder: Path) -> Path | None:
    """The newest checkpoint of a run folder, or None."""
    path = folder / NAME
    return path if path.is_file() else None
