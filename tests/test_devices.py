"""The pick of the device, and memory kept."""

from __future__ import annotations

import platform
import subprocess
import sys

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


FAULTS = """
import resource, sys, torch
from unmask.devices import keep_memory
if sys.argv[1] == "keep":
    assert keep_memory()
for _ in range(20):
    torch.ones(1 << 23)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(1 << 23)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of the GNU C library")
def test_kept_memory_is_not_mapped_again() -> None:
    anew, kept = (
        int(subprocess.run([sys.executable, "-c", FAULTS, how], check=True, capture_output=True).stdout)
        for how in ("plain", "keep")
    )
    assert anew > 300  # 640 MiB, by pages of 4 KiB or of 2 MiB
    assert kept < anew / 5
