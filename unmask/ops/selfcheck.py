"""Build, check and time the native ops on this machine: what ``unmask doctor --ops`` shows."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from ..errors import UnmaskError
from . import native, reference

SHAPE = (2, 32, 128, 128)
TAPS = (0.125, 0.375, 0.375, 0.125)


def state() -> str:
    """Load the kernels, building them if need be, compare them with the reference, and time both.

    Raises:
        UnmaskError: They cannot be built here, or they do not give what the reference gives.
    """
    start = time.perf_counter()
    native.load(retry=True)
    loaded = time.perf_counter() - start
    parts = [f"native ops for {' and '.join(native._devices)}, ready in {loaded:.1f} s"]
    for kind in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
        if not native.supports(torch.device(kind)):
            parts.append(f"no kernels for {kind}")
            continue
        x = torch.randn(SHAPE, device=kind)
        for name, run in _calls(torch.device(kind)).items():
            # In float64, since a GPU's convolutions may take float32 to have ten bits (TF32).
            got, want = run(native, x).double(), run(reference, x.double())
            if not torch.allclose(got, want, rtol=1e-4, atol=1e-4):
                raise UnmaskError(f"native {name} is wrong on {kind}; set UNMASK_OPS=reference and report this machine")
            ratio = _seconds(partial(run, reference, x), kind) / _seconds(partial(run, native, x), kind)
            parts.append(f"{name} on {kind} {ratio:.1f} times the speed of the reference")
    return "; ".join(parts)


def _calls(device: torch.device) -> dict[str, Callable[..., Tensor]]:
    b, f = torch.randn(SHAPE[1], device=device), torch.tensor(TAPS, device=device)
    return {
        "bias_act": lambda ops, x: ops.bias_act(x, b, "lrelu", 1.4, None, 1),
        "upsampling": lambda ops, x: ops.upfirdn2d(x, f, (2, 2), (1, 1), (2, 1, 2, 1), False, 4.0),
        "downsampling": lambda ops, x: ops.upfirdn2d(x, f, (1, 1), (2, 2), (1, 1, 1, 1), False, 1.0),
    }


def _seconds(run: Callable[[], Tensor], kind: str) -> float:
    times = []
    for _ in range(7):
        start = time.perf_counter()
        run()
        if kind == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times)
