"""Which engine is taken, and what is said where it cannot be."""

from __future__ import annotations

import pytest

from unmask import engines
from unmask.engines import choice
from unmask.errors import UnmaskError, UsageError


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "has_torch", lambda: False)


def test_cpus_take_onnx_and_weights_without_a_file_take_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "has_gpu", lambda: False)
    for device in ("auto", "cpu"):
        found = engines.choose(device=device)
        assert (found.engine, found.device) == ("onnx", "cpu") and "faster" in found.why
    assert engines.choose(device="cpu", has_onnx=False).engine == "torch"
    assert (engines.choose("torch", "cpu").engine, engines.choose("onnx", "auto").engine) == ("torch", "onnx")


def test_a_gpu_that_torch_sees_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "has_gpu", lambda: True)
    monkeypatch.setattr(choice, "has_torch", lambda: True)
    monkeypatch.setattr(choice, "pick_device", lambda name="auto": "cuda" if name == "auto" else name)
    assert engines.choose() == engines.Choice("torch", "cuda", "torch sees a GPU")
    assert engines.choose(device="cuda:1").device == "cuda:1" and engines.choose(device="mps").engine == "torch"
    monkeypatch.setattr(choice, "pick_device", lambda name="auto": "cpu")  # a torch built without CUDA
    assert engines.choose().engine == "onnx"


@pytest.mark.usefixtures("no_torch")
def test_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "has_gpu", lambda: True)
    assert engines.choose().engine == "onnx"
    for options in ({"engine": "torch"}, {"has_onnx": False}, {"device": "mps"}):
        with pytest.raises(UnmaskError, match=r"x\.safetensors: needs torch .* pip install torch"):
            engines.choose(**options, called="x.safetensors")
    with pytest.raises(UnmaskError, match="has no ONNX file"):
        engines.choose("onnx", has_onnx=False)


def test_devices_that_are_not_there() -> None:
    for engine, device in (("onnx", "mps"), ("onnx", "cuda:x"), ("auto", "dml"), ("auto", "coreml"), ("torch", "tpu9")):
        with pytest.raises(UsageError, match=f"{device}: no such device here"):
            engines.choose(engine, device)
    with pytest.raises(UsageError, match="no such engine"):
        engines.choose("tensorflow")
