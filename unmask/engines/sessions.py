"""The one way to a session of ONNX Runtime: on which device it runs, and with how many threads."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import UsageError

# device -> provider of ONNX Runtime
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "dml": "DmlExecutionProvider",
}

_limit: int | None = None


def threads() -> int:
    """Threads that one session computes with: ``OMP_NUM_THREADS`` where it is set, else the cores of this process."""
    if _limit is not None:
        return _limit
    told = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if told.isdecimal() and int(told) > 0:
        return int(told)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """One thread each for OpenCV, torch where it is loaded, and sessions opened meanwhile: else their pools fight."""
    global _limit
    import cv2

    torch = sys.modules.get("torch")
    before, of_cv2, of_torch = _limit, cv2.getNumThreads(), torch.get_num_threads() if torch else 0
    _limit = 1
    cv2.setNumThreads(1)
    if torch:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        _limit = before
        cv2.setNumThreads(of_cv2)
        if torch:
            torch.set_num_threads(of_torch)


def provider(device: str) -> tuple[str, dict[str, str]]:
    """The provider of a device ("cpu", "cuda", "cuda:1", "coreml", "dml") and its options.

    Raises:
        UsageError: this build of ONNX Runtime has no such device.
    """
    import onnxruntime

    kind, _, number = device.partition(":")
    name = PROVIDERS.get(kind)
    if name is None or name not in onnxruntime.get_available_providers() or (number and not number.isdecimal()):
        known = ", ".join(key for key, value in PROVIDERS.items() if value in onnxruntime.get_available_providers())
        raise UsageError(f"{device}: no such device here for ONNX Runtime; use auto, {known}")
    return name, {"device_id": number} if number else {}


def options(device: str = "cpu") -> Any:
    """Session options whose threads sleep while they wait, so that the cores are left to others meanwhile."""
    import onnxruntime

    made = onnxruntime.SessionOptions()
    made.intra_op_num_threads, made.inter_op_num_threads = threads(), 1
    made.log_severity_level = 3
    made.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if device.startswith("dml"):
        made.enable_mem_pattern = False  # as that provider asks for
    return made


def open_session(model: Path | bytes, device: str = "cpu") -> Any:
    """A session of an ONNX file, or of the bytes of one; what ONNX Runtime raises comes through."""
    import onnxruntime

    name, given = provider(device)
    chosen = [(name, given)] if name == PROVIDERS["cpu"] else [(name, given), (PROVIDERS["cpu"], {})]
    return onnxruntime.InferenceSession(
        model if isinstance(model, bytes) else str(model), options(device), providers=chosen
    )
