"""What the doctor says of the native ops."""

from __future__ import annotations

import pytest

from unmask.errors import UnmaskError
from unmask.ops import native, selfcheck, state


@pytest.mark.usefixtures("kernels")
def test_state_names_devices_and_ratios(monkeypatch):
    monkeypatch.setattr(selfcheck, "SHAPE", (1, 4, 16, 16))
    said = state()
    assert "native ops for cpu" in said
    for name in ("bias_act", "upsampling", "downsampling"):
        assert f"{name} on cpu" in said


@pytest.mark.usefixtures("kernels")
def test_wrong_kernels_are_found(monkeypatch):
    monkeypatch.setattr(selfcheck, "SHAPE", (1, 4, 16, 16))
    kept = native.upfirdn2d
    monkeypatch.setattr(native, "upfirdn2d", lambda *a: kept(*a) * 1.01)
    with pytest.raises(UnmaskError, match="upsampling is wrong on cpu"):
        state()
