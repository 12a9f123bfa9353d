"""Runs of ``unmask train``: their checkpoint, which is read as data, and the unmasker in it."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

from .. import files
from ..errors import UnmaskError
from .table import Checkpoint

NAME = "last.pt"
UNMASKER = "unmasker"
NETWORK = "average"  # what a run of the unmasker calls the network to use: the average of its weights


def checkpoint_of(path: str | Path) -> Path | None:
    """The checkpoint of a run's folder, or the path itself where it is named like one; None for all else."""
    place = Path(path)
    if place.is_dir():
        return place / NAME if (place / NAME).is_file() else None
    return place if place.suffix == Path(NAME).suffix else None


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint (never executing pickled code), after its checksums. Raises UnmaskError naming the file."""
    import torch

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


def unmasker(path: Path) -> Checkpoint:
    """The unmasker in a run's checkpoint, as it would be read from the file that ``unmask export`` makes of it.

    Raises:
        UnmaskError: the file is no checkpoint of a run, or one of another task.
    """
    content = read(path)
    if content["task"] != UNMASKER:
        raise UnmaskError(
            f"{path}: a run of the task {content['task']!r}, which restores nothing by itself; `unmask export` its run "
            "and give the folder that it writes"
        )
    try:
        tensors, arch = dict(content["modules"][NETWORK]), dict(content["config"]["model"])
    except (KeyError, TypeError, ValueError):
        raise UnmaskError(f"{path}: its {NETWORK} or its config is missing; export or train it again") from None
    meta = {"steps": content["step"], **content.get("extra", {})}
    return Checkpoint(UNMASKER, arch, tensors, meta, path, files.sha256(path))


def _check(path: Path) -> None:
    """Compare every part of a checkpoint with the checksum (CRC-32) that torch wrote for it and does not look at."""
    try:
        with zipfile.ZipFile(path) as archive:
            # torch takes a part marked as a folder (MS-DOS: 16) for one and gives back whatever memory held
            marked = next((part.filename for part in archive.infolist() if part.external_attr & 16), None)
            damaged = archive.testzip() or marked
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, zlib.error) as error:
        raise UnmaskError(f"{path}: not a readable checkpoint ({files.reason(error)}); start without it") from None
    if damaged:
        raise UnmaskError(
            f"{path}: altered since it was written ({damaged} has another checksum or kind); start without it"
        )
