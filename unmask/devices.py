"""The one pick of the device that a command or a model runs on."""

from __future__ import annotations

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
