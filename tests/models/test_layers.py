"""Layers against the paper's two-step forms: blur then convolve, convolve then blur, modulate the weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from unmask.models import layers
from unmask.ops import setup_filter, upfirdn2d

TAPS = setup_filter([1, 3, 3, 1], separable=False).double()


@pytest.mark.parametrize("kernel", [1, 3])
def test_downsampling_equals_a_strided_convolution_with_the_filter_folded_into_the_kernel(kernel: int) -> None:
    layer = layers.Conv(5, 7, kernel, act="linear", down=True, bias=False).double()
    x, weight = torch.randn(2, 5, 8, 8).double(), (layer.weight * layer.scale).reshape(35, 1, kernel, kernel)
    folded = functional.conv2d(weight, TAPS[None, None], padding=3).reshape(7, 5, kernel + 3, kernel + 3)
    wanted = functional.conv2d(x, folded, stride=2, padding=(kernel + 3) // 2 - 1)
    torch.testing.assert_close(layer(x), wanted)


@pytest.mark.parametrize("up", [False, True])
def test_unfused_modulation_equals_the_paper(up: bool) -> None:
    torch.manual_seed(1)
    layer = layers.ModulatedConv(6, 4, 10, up=up).double()
    x, w = torch.randn(3, 6, 5, 5).double(), torch.randn(3, 10).double()
    styles = layer.affine(w)
    wanted = []
    for picture, style in zip(x, styles, strict=True):
        modulated = layer.weight * layer.scale * style[None, :, None, None]
        modulated = modulated / (modulated.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if up:
            spread = functional.conv_transpose2d(picture[None], modulated.transpose(0, 1), stride=2)
            wanted.append(upfirdn2d(spread, TAPS, padding=1, gain=4.0))
        else:
            wanted.append(functional.conv2d(picture[None], modulated, padding=1))
    torch.testing.assert_close(layer(x, w), torch.cat(wanted), rtol=1e-5, atol=1e-5)


def test_linear_scales_by_fan_in_and_rate() -> None:
    layer = layers.Linear(16, 3, bias=1.0, lr_mult=0.01)
    x = torch.randn(2, 16)
    weight = layer.weight.detach().numpy() * 0.01 / 4
    np.testing.assert_allclose(layer(x).detach().numpy(), x.numpy() @ weight.T + 1.0, rtol=1e-4, atol=1e-5)


def test_normalized_rows_have_mean_square_one() -> None:
    y = layers.normalize_2nd_moment(torch.randn(4, 33) * 7)
    torch.testing.assert_close(y.square().mean(1), torch.ones(4))
