"""The two ops in plain PyTorch: what the native kernels are compared with, and what runs without them.

Both are built from differentiable PyTorch functions, so derivatives of any order, forward-mode derivatives,
``torch.compile`` and export work without further ado.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

SLOPE = 0.2  # of the leaky ReLU, as in StyleGAN2


class Activation(NamedTuple):
    """An activation and the gain that keeps the variance of its output (He et al. 2015)."""

    function: Callable[[Tensor], Tensor]
    gain: float


def _lrelu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE)


ACTIVATIONS: dict[str, Activation] = {
    "linear": Activation(lambda x: x, 1.0),
    "relu": Activation(F.relu, math.sqrt(2)),
    "lrelu": Activation(_lrelu, math.sqrt(2)),
    "tanh": Activation(torch.tanh, 1.0),
    "sigmoid": Activation(torch.sigmoid, 1.0),
    "elu": Activation(F.elu, 1.0),
    "selu": Activation(F.selu, 1.0),
    "softplus": Activation(F.softplus, 1.0),
    "swish": Activation(F.silu, math.sqrt(2)),
}


def bias_act(x: Tensor, b: Tensor | None, act: str, gain: float, clamp: float | None, dim: int) -> Tensor:
    """Plain PyTorch twin of :func:`unmask.ops.bias_act`, whose arguments it takes in resolved form."""
    if b is not None:
        shape = [1] * x.ndim
        shape[dim] = -1
        x = x + b.to(x.dtype).reshape(shape)
    x = ACTIVATIONS[act].function(x)
    if gain != 1:
        x = x * gain
    if clamp is not None:
        x = x.clamp(-clamp, clamp)
    return x


def upfirdn2d(
    x: Tensor,
    f: Tensor,
    up: tuple[int, int],
    down: tuple[int, int],
    padding: Sequence[int],
    flip: bool,
    gain: float,
) -> Tensor:
    """Plain PyTorch twin of :func:`unmask.ops.upfirdn2d`, whose arguments it takes in resolved form."""
    f = f.to(device=x.device, dtype=x.dtype)
    if not flip:  # conv2d correlates, so a convolution needs the taps reversed
        f = f.flip(list(range(f.ndim)))
    x = _insert_zeros(x, up)
    if any(padding):
        x = F.pad(x, list(padding))
    channels = x.shape[1]
    with _exact(x):
        if f.ndim == 2:
            return F.conv2d(x, _depthwise(f * gain, channels), stride=down, groups=channels)
        root = math.sqrt(abs(gain))
        x = F.conv2d(x, _depthwise((f * math.copysign(root, gain))[None, :], channels),
                     stride=(1, down[1]), groups=channels)  # fmt: skip
        return F.conv2d(x, _depthwise((f * root)[:, None], channels), stride=(down[0], 1), groups=channels)


def _insert_zeros(x: Tensor, up: tuple[int, int]) -> Tensor:
    """``[N, C, H, W] -> [N, C, H * up[0], W * up[1]]``: zeros below and to the right of every sample."""
    if up == (1, 1):
        return x
    n, c, h, w = x.shape
    x = F.pad(x.reshape(n, c, h, 1, w, 1), [0, up[1] - 1, 0, 0, 0, up[0] - 1])
    return x.reshape(n, c, h * up[0], w * up[1])


def _depthwise(f: Tensor, channels: int) -> Tensor:
    """One filter ``[h, w]`` as the weight ``[channels, 1, h, w]`` of a grouped convolution."""
    return f[None, None].expand(channels, 1, *f.shape).contiguous()


def _exact(x: Tensor) -> contextlib.AbstractContextManager[None]:
    """Keep autocast from rounding a float32 input: the result has the dtype of ``x``."""
    kind = x.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return torch.autocast(kind, enabled=False)
    return contextlib.nullcontext()
