"""The pick of the device."""

from __future__ import annotations

import pytest
import torch

from unmask.devices import pick_device
from unmask.errors import UsageError


def test_devices() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type in ("cpu", "cuda")
    for name in ("gpu", "cuda:99"):
        with pytest.raises(UsageError, match="no such device"):
            pick_device(name)
