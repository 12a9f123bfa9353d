"""Which engine runs a network: ONNX Runtime or torch, and on which device."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from dataclasses import dataclass

from ..devices import pick_device
from ..errors import UnmaskError, UsageError
from . import sessions

ENGINES = ("auto", "onnx", "torch")


@dataclass(frozen=True)
class Choice:
    """An engine ("onnx" or "torch"), the device it runs on, and why it was taken."""

    engine: str
    device: str
    why: str


def has_torch() -> bool:
    """Whether torch is installed; does not import it."""
    try:
        return sys.modules.get("torch") is not None or importlib.util.find_spec("torch") is not None
    except (ImportError, ValueError):
        return False


def has_gpu() -> bool:
    """Whether a driver of NVIDIA sees a GPU here; asks the driver itself, which takes no time."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        count = ctypes.c_int(0)
        return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    except (OSError, AttributeError):
        return False


def choose(engine: str = "auto", device: str = "auto", has_onnx: bool = True, called: str = "the network") -> Choice:
    """The engine for a network.

    Args:
        engine: "onnx", "torch", or "auto": ONNX Runtime on CPUs, torch where a GPU is wanted or there is no ONNX file.
        device: "auto", "cpu", "cuda", "cuda:1", "mps" (torch), "coreml" or "dml" (ONNX Runtime).
        has_onnx: whether the network has an ONNX file.
        called: its file, for messages.

    Raises:
        UsageError: there is no such engine or device.
        UnmaskError: torch is needed and not installed, or an ONNX file and there is none.
    """
    if engine not in ENGINES:
        raise UsageError(f"{engine}: no such engine; use {', '.join(ENGINES)}")
    kind = device.partition(":")[0]
    if engine == "torch":
        return _torch(device, "it was asked for", called)
    if engine == "onnx" or kind in ("coreml", "dml"):
        if not has_onnx:
            raise UnmaskError(f"{called}: has no ONNX file; make it with 'unmask export', or use torch")
        return _onnx("cpu" if device == "auto" else device, "it was asked for")
    if not has_onnx:
        return _torch(device, "it has no ONNX file", called)
    if device == "cpu":
        return _onnx(device, "it is faster on CPUs than torch")
    if device == "auto":
        if has_torch() and has_gpu() and (found := str(pick_device())) != "cpu":
            return Choice("torch", found, "torch sees a GPU")
        return _onnx("cpu", "there is no GPU that torch sees, and on CPUs it is faster than torch")
    if kind == "cuda" and not has_torch():
        return _onnx(device, "torch is not installed")
    return _torch(device, f"{device} was asked for", called)


def _onnx(device: str, why: str) -> Choice:
    sessions.provider(device)
    return Choice("onnx", device, why)


def _torch(device: str, why: str, called: str) -> Choice:
    if not has_torch():
        raise UnmaskError(f"{called}: needs torch ({why}), which is not installed; pip install torch")
    return Choice("torch", str(pick_device(device)), why)
