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
FEW_TAPS = 8  # up to here one pass over the square is faster than two passes


class Activation(NamedTuple):
    """An activation and the gain that keeps the variance of its output (He et al. 2015)."""

    function: Callable[[Tensor], Tensor]
    gain: float


def _lrelu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE)


def _softplus(x: Tensor) -> Tensor:
    return F.softplus(x, threshold=40.0)  # beyond it, x itself is exact also in float64


ACTIVATIONS: dict[str, Activation] = {
    "linear": Activation(lambda x: x, 1.0),
    "relu": Activation(F.relu, math.sqrt(2)),
    "lrelu": Activation(_lrelu, math.sqrt(2)),
    "tanh": Activation(torch.tanh, 1.0),
    "sigmoid": Activation(torch.sigmoid, 1.0),
    "elu": Activation(F.elu, 1.0),
    "selu": Activation(F.selu, 1.0),
    "softplus": Activation(_softplus, 1.0),
    "swish": Activation(F.silu, math.sqrt(2)),
}


def bias_act(x: Tensor, b: Tensor | None, act: str, gain: float, clamp: float | None, dim: int) -> Tensor:
    """Plain PyTorch counterpart of :func:`unmask.ops.bias_act`, whose arguments it takes in resolved form."""
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
    """Plain PyTorch counterpart of :func:`unmask.ops.upfirdn2d`, whose arguments it takes in resolved form."""
    f = f.to(device=x.device, dtype=x.dtype)
    if flip:
        f = f.flip(list(range(f.ndim)))
    with _exact(x):
        if f.ndim == 2:
            return _filter(x, f * gain, up, down, padding)
        if f.shape[0] <= FEW_TAPS:
            return _filter(x, torch.outer(f, f) * gain, up, down, padding)
        x = _filter(x, f[None, :], (1, up[1]), (1, down[1]), [*padding[:2], 0, 0])
        return _filter(x, f[:, None] * gain, (up[0], 1), (down[0], 1), [0, 0, *padding[2:]])


def _filter(x: Tensor, f: Tensor, up: tuple[int, int], down: tuple[int, int], padding: Sequence[int]) -> Tensor:
    """Convolve every channel with ``f`` ``[taps_y, taps_x]``: the whole op for one pass."""
    channels = int(x.shape[1])  # a constant where a graph is traced
    left, right, top, bottom = padding
    if up == (1, 1):  # conv2d correlates, hence the flip
        inside = (0, 0)
        if top == bottom >= 0 and left == right >= 0:
            inside = (top, left)
        else:
            x = _pad(x, padding)
        weight = _depthwise(f.flip([0, 1]), channels)
        return F.conv2d(x, weight, stride=down, padding=inside, groups=channels)
    # A transposed convolution makes the full result of the zero-filled image without making that image.
    # What it has beyond the padded result at either end is cut off; what it lacks there is zero.
    taps_y, taps_x = f.shape
    left, right = taps_x - 1 - left, taps_x - up[1] - right
    top, bottom = taps_y - 1 - top, taps_y - up[0] - bottom
    cut = (max(0, min(top, bottom)), max(0, min(left, right)))
    x = F.conv_transpose2d(x, _depthwise(f, channels), stride=up, padding=cut, groups=channels)
    x = _pad(x, [cut[1] - left, cut[1] - right, cut[0] - top, cut[0] - bottom])
    return x[:, :, :: down[0], :: down[1]] if down != (1, 1) else x


def _pad(x: Tensor, padding: Sequence[int]) -> Tensor:
    """Zeros around the image, or less of it; in this order, as more may be cut off than there was."""
    for sides in ([max(0, p) for p in padding], [min(0, p) for p in padding]):
        x = F.pad(x, sides) if any(sides) else x
    return x


def _depthwise(f: Tensor, channels: int) -> Tensor:
    """One filter ``[h, w]`` as the weight ``[channels, 1, h, w]`` of a grouped convolution."""
    return f[None, None].expand(channels, 1, *f.shape).contiguous()


def _exact(x: Tensor) -> contextlib.AbstractContextManager[None]:
    """Keep autocast from rounding a float32 input: the result has the dtype of ``x``."""
    kind = x.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return torch.autocast(kind, enabled=False)
    return contextlib.nullcontext()
