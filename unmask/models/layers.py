"""Layers of StyleGAN2 (Karras et al. 2020), with equalised learning rate and un-fused modulation.

Resampling convolutions fold the 4-tap low-pass filter into the 3x3 kernel, which is exact (both are linear and nothing
is cut between them) and turns "transposed convolution, then blur" into one convolution and a pixel shuffle.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..ops import bias_act, setup_filter

TAPS = (1.0, 3.0, 3.0, 1.0)


def normalize_2nd_moment(x: Tensor, eps: float = 1e-8) -> Tensor:
    """Scale each row of [N,C] to a mean square of one."""
    return x * (x.float().square().mean(1, keepdim=True) + eps).rsqrt().to(x.dtype)


def fold_blur(weight: Tensor, taps: Tensor, gain: float = 1.0) -> Tensor:
    """The full convolution of each kernel [O,I,k,k] with the filter ``taps`` [f,f]: [O,I,k+f-1,k+f-1]."""
    outputs, inputs, k, _ = weight.shape
    f = taps.shape[0]
    flat = weight.reshape(outputs * inputs, 1, k, k)
    blurred = functional.conv2d(flat, (gain * taps).flip(0, 1)[None, None].to(weight.dtype), padding=f - 1)
    return blurred.reshape(outputs, inputs, k + f - 1, k + f - 1)


def up_kernel(weight: Tensor, taps: Tensor) -> Tensor:
    """Kernels [O,I,3,3] as [4*O,I,3,3]: a plain convolution whose pixel shuffle is upsampling, convolving and blurring.

    Output ``2i+a`` of the stride-2 transposed convolution with the folded 6-tap kernel K reads inputs ``i-1..i+1`` with
    taps ``K[a+4], K[a+2], K[a]``.
    """
    outputs, inputs = weight.shape[:2]
    folded = fold_blur(weight, taps, gain=4.0).reshape(outputs, inputs, 3, 2, 3, 2)
    phases = folded.flip(2, 4).permute(0, 3, 5, 1, 2, 4)  # [O, a, b, I, ty, tx]
    return phases.reshape(4 * outputs, inputs, 3, 3)


class Linear(nn.Module):
    """Equalised linear layer: weights ~ N(0, 1/lr_mult), scaled at run time; optional fused activation."""

    def __init__(
        self, inputs: int, outputs: int, act: str = "linear", bias: float = 0.0, lr_mult: float = 1.0
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_mult)
        self.bias = nn.Parameter(torch.full((outputs,), bias / lr_mult))
        self.act, self.gain, self.lr_mult = act, lr_mult / math.sqrt(inputs), lr_mult

    def forward(self, x: Tensor) -> Tensor:
        """[N,inputs] -> [N,outputs]."""
        bias = self.bias * self.lr_mult
        if self.act == "linear":
            return functional.linear(x, self.weight * self.gain, bias.to(x.dtype))
        y = functional.linear(x, self.weight * self.gain)
        return bias_act(y, bias.to(y.dtype), act=self.act)


class Conv(nn.Module):
    """Equalised convolution of a discriminator or encoder, optionally downsampling by two with the low-pass filter."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, act: str = "lrelu", down: bool = False, bias: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.act, self.down, self.kernel = act, down, kernel
        self.scale = 1 / math.sqrt(inputs * kernel * kernel)
        self.register_buffer("taps", setup_filter(TAPS), persistent=False)

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """[N,inputs,H,W] -> [N,outputs,H,W], or half of H and W."""
        weight = self.weight * self.scale
        if self.down:
            weight = fold_blur(weight, self.taps)
            y = functional.conv2d(x, weight, stride=2, padding=weight.shape[-1] // 2 - 1)
        else:
            y = functional.conv2d(x, weight, padding=self.kernel // 2)
        bias = self.bias.to(y.dtype) if self.bias is not None else None
        act_gain = (math.sqrt(2) if self.act == "lrelu" else 1.0) * gain
        return bias_act(y, bias, act=self.act, gain=act_gain)


class ModulatedConv(nn.Module):
    """Modulated convolution (Karras et al. 2020, eq. 1 and 3), un-fused: scale the input, convolve, scale the output.

    ``y = d * conv(w, s * x)`` with ``s`` the styles and ``d = rsqrt(sum (w s)^2)`` is the paper's form exactly, with one
    shared kernel for the whole batch.
    """

    def __init__(
        self, inputs: int, outputs: int, w_dim: int, kernel: int = 3, up: bool = False, demodulate: bool = True
    ) -> None:
        super().__init__()
        self.affine = Linear(w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.kernel, self.up, self.demodulate = kernel, up, demodulate
        self.scale = 1 / math.sqrt(inputs * kernel * kernel)
        self.register_buffer("taps", setup_filter(TAPS), persistent=False)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """x [N,inputs,H,W], w [N,w_dim] -> [N,outputs,H,W] (or twice H and W)."""
        styles = self.affine(w).float()
        weight = self.weight * self.scale
        y = x * styles.to(x.dtype)[:, :, None, None]
        if self.up:
            y = functional.pixel_shuffle(functional.conv2d(y, up_kernel(weight, self.taps), padding=1), 2)
        else:
            y = functional.conv2d(y, weight, padding=self.kernel // 2)
        if self.demodulate:
            energy = styles.square() @ weight.float().square().sum((2, 3)).T
            y = y * (energy + 1e-8).rsqrt().to(y.dtype)[:, :, None, None]
        return y
