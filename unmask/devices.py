"""The one pick of the device that a command or a model runs on, and how a CPU's memory is used."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from .errors import UsageError

if TYPE_CHECKING:
    import torch


def pick_device(name: str = "auto") -> torch.device:
    """The torch device of a name ("auto", "cpu", "cuda", "cuda:1", "mps"), "auto" being the GPU where there is one.

    Raises:
        UsageError: there is no such device here.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UsageError(f"{name}: no such device here; use auto, cpu or cuda") from None
    return device


def keep_memory() -> bool:
    """Let this process keep the memory that it frees, for what needs as much again.

    The GNU C library gives large blocks back to the system at once and gets them anew, empty page by empty page: a
    quarter of the time of a training step at 256 px. Returns whether the setting was taken; other C libraries have
    none.
    """
    most_mapped, trim_above = -4, -1  # M_MMAP_MAX, M_TRIM_THRESHOLD of malloc.h
    try:
        setting = ctypes.CDLL(None).mallopt
    except (AttributeError, TypeError, OSError):
        return False
    return bool(setting(most_mapped, 0) and setting(trim_above, 2**31 - 1))
