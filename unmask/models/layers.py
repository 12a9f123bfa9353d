"""Layers of StyleGAN2 (Karras et al. 2020), with equalized learning rate and un-fused modulation.

Resampling convolutions and their 4-tap low-pass filter are two steps, as published. Folding the filter into the kernel
is exact too, but quadruples the products: the two steps are 1.2 to 2.5 times as fast (benchmarks/generator.py).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..ops import bias_act, setup_filter, upfirdn2d

TAPS = (1.0, 3.0, 3.0, 1.0)


def normalize_2nd_moment(x: Tensor, eps: float = 1e-8) -> Tensor:
    """Scale each row of [N,C] to a mean square of one."""
    return x * (x.float().square().mean(1, keepdim=True) + eps).rsqrt().to(x.dtype)


class Linear(nn.Module):
    """Equalized linear layer: weights ~ N(0, 1/lr_mult), scaled at run time; optional fused activation."""

    def __init__(self, inputs: int, outputs: int, act: str = "linear", bias: float = 0.0, lr_mult: float = 1.0) -> None:
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
    """Equalized convolution of a discriminator or encoder, optionally downsampling by two with the low-pass filter."""

    taps: Tensor

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
            y = functional.conv2d(upfirdn2d(x, self.taps, padding=self.kernel // 2 + 1), weight, stride=2)
        else:
            y = functional.conv2d(x, weight, padding=self.kernel // 2)
        bias = self.bias.to(y.dtype) if self.bias is not None else None
        act_gain = (math.sqrt(2) if self.act == "lrelu" else 1.0) * gain
        return bias_act(y, bias, act=self.act, gain=act_gain)


class ModulatedConv(nn.Module):
    """Modulated convolution (Karras et al. 2020, eq. 1 and 3), un-fused: scale the input, convolve, scale the output.

    ``y = d * conv(w, s * x)`` with ``s`` the styles and ``d = rsqrt(sum (w s)^2)`` is the paper's form exactly, one
    shared kernel for the whole batch.
    """

    taps: Tensor

    def __init__(
        self, inputs: int, outputs: int, w_dim: int, kernel: int = 3, up: bool = False, demodulate: bool = True
    ) -> None:
        super().__init__()
        self.affine = Linear(w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.kernel, self.up, self.demodulate = kernel, up, demodulate
        self.energy: Tensor | None = None  # [inputs, outputs], once frozen
        self.scale = 1 / math.sqrt(inputs * kernel * kernel)
        self.register_buffer("taps", setup_filter(TAPS), persistent=False)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """x [N,inputs,H,W], w [N,w_dim] -> [N,outputs,H,W] (or twice H and W)."""
        styles = self.affine(w).float()
        weight = self.weight * self.scale
        y = x * styles.to(x.dtype)[:, :, None, None]
        if self.up:
            y = functional.conv_transpose2d(y, weight.transpose(0, 1), stride=2)
            y = upfirdn2d(y, self.taps, padding=1, gain=4.0)
        else:
            y = functional.conv2d(y, weight, padding=self.kernel // 2)
        if self.demodulate:
            energy = styles.square() @ (self.energy if self.energy is not None else self._energy())
            y = y * (energy + 1e-8).rsqrt().to(y.dtype)[:, :, None, None]
        return y

    def _energy(self) -> Tensor:
        return (self.weight.float() * self.scale).square().sum((2, 3)).T

    def freeze(self) -> None:
        """Compute once what depends on the weights alone; for inference and export, not for training."""
        if self.demodulate:
            self.energy = self._energy().detach().contiguous()


def freeze(module: nn.Module) -> nn.Module:
    """Freeze every modulated convolution inside a module (:meth:`ModulatedConv.freeze`) and return it."""
    for part in module.modules():
        if isinstance(part, ModulatedConv):
            part.freeze()
    return module
