"""The native ops as PyTorch operators: fake-tensor rules, derivatives, and loading on first use."""

from __future__ import annotations

import contextlib
import functools
import threading
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._prims_common import suggest_memory_format

from . import build

PIECEWISE_LINEAR = ("linear", "relu", "lrelu")  # their output tells their derivative
DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)

_lock = threading.Lock()
_loaded = False
_devices: tuple[str, ...] = ()  # kinds of devices that the loaded library has kernels for
_failure: build.BuildError | None = None


def load(retry: bool = False) -> None:
    """Load the library into this process, building it first where there is none.

    Args:
        retry: Try again although an earlier attempt failed.

    Raises:
        BuildError: It cannot be built or loaded here. The failure is remembered: further calls fail at once.
    """
    global _failure
    if _loaded:  # asked first without the lock, which compiled graphs cannot take
        return
    with _lock:
        if _loaded:
            return
        if _failure is not None and not retry:
            raise _failure
        try:
            _open(build.ensure(retry))
        except build.BuildError as error:
            _failure = error
            raise


def _open(library: Path) -> None:
    global _loaded, _devices
    try:
        torch.ops.load_library(str(library))
    except OSError as error:
        raise build.BuildError(f"{library} does not load ({error}); run `unmask doctor --ops`") from error
    _register()
    has = torch._C._dispatch_has_kernel_for_dispatch_key
    _devices = tuple(kind for kind in ("cpu", "cuda") if has("unmask::bias_act", kind.upper()))
    _loaded = True


def available(device: torch.device, may_build: bool) -> bool:
    """Whether there are kernels for ``device``; says once why not, where they were to be built."""
    if device.type not in ("cpu", "cuda"):
        return False
    if not _loaded:
        if may_build and _failure is None:
            try:
                load()
            except build.BuildError as error:
                warnings.warn(f"using the slower reference ops: {error}", RuntimeWarning, stacklevel=4)
        elif not may_build:
            _load_if_built()
    return _loaded and supports(device)


@functools.cache
def _load_if_built() -> None:
    """Look once per process for a library that is built already."""
    with _lock, contextlib.suppress(build.BuildError):
        library = build.recipe().library
        if not _loaded and build.intact(library):
            _open(library)


def supports(device: torch.device) -> bool:
    """Whether the loaded library has kernels for ``device``."""
    return device.type in _devices


def bias_act(x: Tensor, b: Tensor | None, act: str, gain: float, clamp: float | None, dim: int) -> Tensor:
    """Native counterpart of :func:`unmask.ops.reference.bias_act`; two derivatives."""
    b = b if b is None else b.to(x.dtype)
    result: Tensor = torch.ops.unmask.bias_act(x, b, dim, act, gain, -1.0 if clamp is None else clamp)
    return result


def upfirdn2d(
    x: Tensor,
    f: Tensor,
    up: tuple[int, int],
    down: tuple[int, int],
    padding: tuple[int, int, int, int],
    flip: bool,
    gain: float,
) -> Tensor:
    """Native counterpart of :func:`unmask.ops.reference.upfirdn2d`; any derivative in ``x``, none in ``f``."""
    result: Tensor = torch.ops.unmask.upfirdn2d(x, f, up, down, padding, flip, gain)
    return result


def _register() -> None:
    """Tell PyTorch the shapes and the derivatives of the operators; once, after loading."""
    library = torch.library
    library.register_fake("unmask::bias_act", lambda x, b, dim, act, gain, clamp: torch.empty_like(x))
    library.register_fake("unmask::bias_act_grad", lambda g, h, ref, *rest: torch.empty_like(ref))
    library.register_fake("unmask::upfirdn2d", _upfirdn2d_fake)
    library.register_autograd("unmask::bias_act", _bias_act_backward, setup_context=_bias_act_save)
    library.register_autograd("unmask::bias_act_grad", _bias_act_backward_twice, setup_context=_keep_inputs)
    library.register_autograd("unmask::upfirdn2d", _upfirdn2d_backward, setup_context=_upfirdn2d_save)


def _bias_act_save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, b, ctx.dim, ctx.act, ctx.gain, ctx.clamp = inputs
    ctx.from_output = ctx.act in PIECEWISE_LINEAR and ctx.gain > 0
    if ctx.act == "linear" and ctx.clamp < 0:  # nothing but a factor
        ctx.save_for_backward()
    else:
        ctx.save_for_backward(output if ctx.from_output else x, b)


def _bias_act_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    if ctx.saved_tensors:
        ref, b = ctx.saved_tensors
        settings = (ref, b, ctx.dim, ctx.act, ctx.from_output, ctx.gain, ctx.clamp)
        dx = torch.ops.unmask.bias_act_grad(grad, None, *settings)
    else:
        dx = grad * ctx.gain
    return dx, _sum_to_bias(dx, ctx.dim) if ctx.needs_input_grad[1] else None, None, None, None, None


def _keep_inputs(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:4])
    ctx.settings = inputs[4:]


def _bias_act_backward_twice(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """The result is ``g * gain * act'(u)``, or ``g * h * gain * act''(u)``, with ``u = x + b``."""
    g, h, ref, b = ctx.saved_tensors
    dim, act = ctx.settings[:2]
    derive = torch.ops.unmask.bias_act_grad
    dg = derive(grad, h, ref, b, *ctx.settings) if ctx.needs_input_grad[0] else None
    dh = derive(grad, g, ref, b, *ctx.settings) if h is not None and ctx.needs_input_grad[1] else None
    dx = db = None
    if act not in PIECEWISE_LINEAR and (ctx.needs_input_grad[2] or ctx.needs_input_grad[3]):
        if h is not None:
            raise NotImplementedError(f"the third derivative of {act}: use impl='reference'")
        dx = derive(grad, g, ref, b, *ctx.settings)
        db = _sum_to_bias(dx, dim) if ctx.needs_input_grad[3] else None
    return dg, dh, dx, db, None, None, None, None, None


def _sum_to_bias(dx: Tensor, dim: int) -> Tensor:
    return dx.sum([i for i in range(dx.ndim) if i != dim])


def _upfirdn2d_fake(
    x: Tensor, f: Tensor, up: list[int], down: list[int], padding: list[int], flip: bool, gain: float
) -> Tensor:
    height = (x.shape[2] * up[0] + padding[2] + padding[3] - f.shape[0]) // down[0] + 1
    width = (x.shape[3] * up[1] + padding[0] + padding[1] - f.shape[-1]) // down[1] + 1
    shape = (x.shape[0], x.shape[1], height, width)
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=suggest_memory_format(x))


def _upfirdn2d_save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, f, ctx.up, ctx.down, ctx.padding, ctx.flip, ctx.gain = inputs
    ctx.save_for_backward(f)
    ctx.size = x.shape[2:]


def _upfirdn2d_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    """The transpose of a filter: up and down change places, the taps turn round, the padding follows.

    With ``y[o] = sum_k t[k] * u[o * down - before + k]`` and ``u[i * up] = x[i]`` the derivative is
    ``dx[i] = sum_o dy[o] * t[i * up + before - o * down]``.
    """
    if ctx.needs_input_grad[1]:
        raise NotImplementedError("the derivative by the filter: use impl='reference'")
    (f,) = ctx.saved_tensors
    padding: list[int] = []
    for axis in (1, 0):  # (left, right), then (top, bottom)
        taps, up, down = f.shape[axis if f.ndim == 2 else 0], ctx.up[axis], ctx.down[axis]
        before = ctx.padding[2 * (1 - axis)]
        after = ctx.size[axis] * up - grad.shape[2 + axis] * down + before - up + 1
        padding += [taps - 1 - before, after]
    dx = torch.ops.unmask.upfirdn2d(grad, f, ctx.down, ctx.up, padding, not ctx.flip, ctx.gain)
    return dx, None, None, None, None, None, None
