"""``bias_act`` and ``upfirdn2d``, the two ops StyleGAN2 is made of besides convolution.

``impl`` chooses the code that runs: ``"reference"`` is plain PyTorch, ``"native"`` the compiled kernels of
``third_party/stylegan2_ops``, and ``"auto"`` (the default) does what the environment variable ``UNMASK_OPS``
says, which is ``auto`` too where it is not set:

- ``UNMASK_OPS=native`` builds the kernels on the first call, which takes about a minute once per machine; where
  that is impossible it says so in one warning and takes the reference. ``impl="native"`` raises instead.
- ``UNMASK_OPS=auto`` takes the kernels where they are built already and the reference where they are not: it never
  makes anyone wait for a compiler. ``unmask doctor --ops`` builds them.
- ``UNMASK_OPS=reference`` takes the reference.

While a graph is exported or compiled the variable is not asked and the reference runs: its parts are known to
exporters, and compilers fuse them. The same holds for a filter that needs a gradient, for forward-mode
derivatives, and for tensors on devices other than CPU and CUDA.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import UsageError
from . import native, reference

__all__ = ["bias_act", "preferred", "setup_filter", "state", "upfirdn2d"]
IMPLEMENTATIONS = ("auto", "native", "reference")


def bias_act(
    x: Tensor,
    b: Tensor | None = None,
    act: str = "linear",
    gain: float | None = None,
    clamp: float | None = None,
    dim: int = 1,
    impl: str = "auto",
) -> Tensor:
    """``y = clip(gain * act(x + b), -clamp, clamp)``.

    Args:
        x: Any shape, floating point.
        b: ``[x.shape[dim]]``, added along ``dim``; None for no bias. It is rounded to the dtype of ``x``.
        act: linear, relu, lrelu (slope 0.2), tanh, sigmoid, elu, selu, softplus or swish.
        gain: None for the gain that keeps the variance: sqrt(2) for relu, lrelu and swish, else 1.
        clamp: Half-width of the range of the output, >= 0; None for no limit.
        dim: The dimension of the bias, may be negative.
        impl: ``auto``, ``reference`` or ``native``.

    Returns:
        A tensor of the shape, dtype and memory format of ``x``.

    Raises:
        ValueError: An unknown activation, a bias of the wrong shape, a negative clamp.
    """
    if act not in reference.ACTIVATIONS:
        raise ValueError(f"unknown activation {act!r}; choose one of {', '.join(reference.ACTIVATIONS)}")
    if not x.is_floating_point():
        raise ValueError(f"bias_act takes floating point tensors, not {x.dtype}")
    if clamp is not None and not clamp >= 0:
        raise ValueError(f"clamp must not be negative, got {clamp}")
    if b is not None:
        if not -x.ndim <= dim < x.ndim:
            raise ValueError(f"dim {dim} is no dimension of a tensor of shape {tuple(x.shape)}")
        dim %= x.ndim
        if b.ndim != 1 or b.shape[0] != x.shape[dim]:
            raise ValueError(f"a bias of shape {tuple(b.shape)} does not fit dim {dim} of {tuple(x.shape)}")
    gain = reference.ACTIVATIONS[act].gain if gain is None else float(gain)
    ops = native if _takes_native(impl, x) else reference
    return ops.bias_act(x, b, act, gain, clamp, dim)


def upfirdn2d(
    x: Tensor,
    f: Tensor | None,
    up: int | Sequence[int] = 1,
    down: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    flip: bool = False,
    gain: float = 1.0,
    impl: str = "auto",
) -> Tensor:
    """Upsample with zeros, pad, convolve every channel with one filter, keep every ``down``-th sample.

    With ``u`` the input in which ``up - 1`` zeros follow each sample, padded with zeros (or cropped, where
    the padding is negative): ``y[i] = gain * sum_k f[k] * u[i * down + taps - 1 - k]`` along both axes. The
    result has ``(size * up + padding - taps + down) // down`` samples.

    Args:
        x: ``[N, C, H, W]``, floating point.
        f: ``[taps]`` (separable: the same along both axes), ``[taps_y, taps_x]``, or None for the identity.
        up: Whole factor >= 1, or ``(vertical, horizontal)``.
        down: Whole factor >= 1, or ``(vertical, horizontal)``.
        padding: One number or ``(left, right, top, bottom)``, in samples of the upsampled image.
        flip: True to correlate, i.e. not to reverse the taps.
        gain: Factor on the result.
        impl: ``auto``, ``reference`` or ``native``.

    Returns:
        ``[N, C, H', W']`` of the dtype of ``x``.

    Raises:
        ValueError: Arguments of the wrong shape or range, or an empty result.
    """
    if x.ndim != 4 or not x.is_floating_point():
        raise ValueError(f"upfirdn2d takes floating point [N, C, H, W], not {x.dtype} {tuple(x.shape)}")
    if f is None:
        f = torch.ones(1, dtype=torch.float32, device=x.device)
    if f.ndim not in (1, 2) or f.numel() == 0:
        raise ValueError(f"a filter is [taps] or [taps_y, taps_x], not of shape {tuple(f.shape)}")
    ups, downs, pads = _pair(up, "up"), _pair(down, "down"), _padding(padding)
    height = x.shape[2] * ups[0] + pads[2] + pads[3] - f.shape[0]
    width = x.shape[3] * ups[1] + pads[0] + pads[1] - f.shape[-1]
    if height < 0 or width < 0:
        raise ValueError(f"{tuple(x.shape)} with padding {pads} is smaller than the filter {tuple(f.shape)}")
    ops = native if _takes_native(impl, x, f) else reference
    return ops.upfirdn2d(x, f, ups, downs, pads, flip, float(gain))


def setup_filter(
    taps: Sequence[float] | Sequence[Sequence[float]] | Tensor,
    normalize: bool = True,
    gain: float = 1.0,
    flip: bool = False,
    separable: bool = True,
    device: torch.device | str | None = None,
) -> Tensor:
    """Make the float32 filter of :func:`upfirdn2d` from its taps.

    Args:
        taps: ``[taps]`` or ``[taps_y, taps_x]``, for example ``[1, 3, 3, 1]``.
        normalize: Divide by the sum, so that a constant image stays as it is.
        gain: Factor on the two-dimensional filter (a separable one gets its square root per axis).
        flip: Reverse the taps.
        separable: Keep one-dimensional taps as they are; False makes their outer product.
        device: Where the filter lives.

    Raises:
        ValueError: No taps, too many dimensions, a sum of zero to divide by, or a negative gain.
    """
    f = torch.as_tensor(taps, dtype=torch.float64, device=taps.device if isinstance(taps, Tensor) else "cpu")
    if f.ndim not in (1, 2) or f.numel() == 0:
        raise ValueError(f"a filter is [taps] or [taps_y, taps_x], not of shape {tuple(f.shape)}")
    if gain < 0:
        raise ValueError(f"the gain of a filter must not be negative, got {gain}")
    if normalize:
        if f.sum() == 0:
            raise ValueError("taps that sum to zero cannot be normalized")
        f = f / f.sum()
    f = f * (math.sqrt(gain) if f.ndim == 1 else gain)
    if flip:
        f = f.flip(list(range(f.ndim)))
    if f.ndim == 1 and not separable:
        f = torch.outer(f, f)
    return f.to(device=device, dtype=torch.float32)


def preferred() -> str:
    """What ``UNMASK_OPS`` says: auto, native or reference; UsageError where it says something else."""
    chosen = os.environ.get("UNMASK_OPS") or "auto"
    if chosen not in IMPLEMENTATIONS:
        raise UsageError(f"UNMASK_OPS={chosen!r} is no way to run an op; set it to auto, native or reference")
    return chosen


def state() -> str:
    """Build, check and time the native kernels: one line for ``unmask doctor --ops``; see ``selfcheck.state``."""
    from . import selfcheck

    return selfcheck.state()


def _takes_native(impl: str, x: Tensor, f: Tensor | None = None) -> bool:
    """Whether the call goes to the native kernels, see the head of this file."""
    chosen = preferred() if impl == "auto" else impl
    if chosen not in IMPLEMENTATIONS:
        raise ValueError(f"{chosen!r} is no way to run an op: choose auto, native or reference")
    if impl == "native":
        native.load()
        if not native.supports(x.device):
            raise ValueError(f"there are no native kernels for {x.device}; use impl='reference'")
        return True
    if chosen == "reference" or torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
        return False
    if torch.autograd.forward_ad._current_level >= 0 or (f is not None and f.requires_grad):
        return False
    return x.dtype in native.DTYPES and native.available(x.device, chosen == "native")


def _pair(value: int | Sequence[int], name: str) -> tuple[int, int]:
    vertical, horizontal = (value, value) if isinstance(value, int) else value
    if vertical < 1 or horizontal < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return int(vertical), int(horizontal)


def _padding(value: int | Sequence[int]) -> tuple[int, int, int, int]:
    if isinstance(value, int):
        return value, value, value, value
    if len(value) != 4:
        raise ValueError(f"padding is one number or (left, right, top, bottom), got {value}")
    left, right, top, bottom = value
    return int(left), int(right), int(top), int(bottom)
