"""The reference ops against formulas written with NumPy and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import signal, special

from unmask.ops import bias_act, reference, setup_filter, upfirdn2d

FORMULAS = {
    "linear": lambda u: u,
    "relu": lambda u: np.maximum(u, 0),
    "lrelu": lambda u: np.where(u > 0, u, 0.2 * u),
    "tanh": np.tanh,
    "sigmoid": special.expit,
    "elu": lambda u: np.where(u > 0, u, np.expm1(u)),
    "selu": lambda u: 1.0507009873554805 * np.where(u > 0, u, 1.6732632423543772 * np.expm1(u)),
    "softplus": lambda u: np.logaddexp(0, u),
    "swish": lambda u: u * special.expit(u),
}


def upfirdn_numpy(x, f, up, down, padding, flip, gain):
    """Zeros in between, pad or crop, full 2-D convolution by SciPy, every ``down``-th sample."""
    f = np.outer(f, f) if f.ndim == 1 else f
    f = f[::-1, ::-1] if flip else f
    left, right, top, bottom = padding
    rows = []
    for plane in x.reshape(-1, *x.shape[2:]):
        u = np.zeros((plane.shape[0] * up[0], plane.shape[1] * up[1]))
        u[:: up[0], :: up[1]] = plane
        u = np.pad(u, ((max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0))))
        u = u[max(-top, 0) : u.shape[0] - max(-bottom, 0), max(-left, 0) : u.shape[1] - max(-right, 0)]
        rows.append(gain * signal.convolve2d(u, f, mode="valid")[:: down[0], :: down[1]])
    return np.stack(rows).reshape(*x.shape[:2], *rows[0].shape)


@pytest.mark.parametrize("act", FORMULAS)
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_bias_act_is_the_formula(act, dim, rng):
    x, b = rng.normal(size=(3, 4, 5)) * 3, rng.normal(size=(3, 4, 5)[dim])
    u = np.moveaxis(np.moveaxis(x, dim, -1) + b, -1, dim)
    got = bias_act(torch.tensor(x), torch.tensor(b), act, gain=0.7, clamp=1.1, dim=dim, impl="reference")
    want = np.clip(0.7 * FORMULAS[act](u), -1.1, 1.1)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("act", FORMULAS)
def test_default_gain(act, rng):
    x = rng.normal(size=(2, 3))
    gain = math.sqrt(2) if act in ("relu", "lrelu", "swish") else 1
    got = bias_act(torch.tensor(x), act=act, impl="reference")
    np.testing.assert_allclose(got.numpy(), gain * FORMULAS[act](x), rtol=1e-12)


@pytest.mark.parametrize(
    ("taps", "up", "down", "padding"),
    [
        ([1, 3, 3, 1], 1, 1, (2, 1, 2, 1)),
        ([1, 3, 3, 1], 2, 1, (2, 1, 2, 1)),
        ([1, 3, 3, 1], 1, 2, (1, 1, 1, 1)),
        ([1, 2, 5], (2, 3), (3, 1), (-1, 4, 2, -2)),
        ([[1, 2, 3], [4, 5, 6]], (1, 2), (2, 3), (3, 0, -1, 2)),
        ([[1, 2], [4, 5], [7, 8]], 3, 2, (0, 0, 0, 0)),
        ([1, 5, 2, 8, 3, 9, 4, 7, 6, 2], 2, 1, (6, 5, 4, 3)),
        ([1, 5, 2, 8, 3, 9, 4, 7, 6, 2], (1, 2), (2, 1), (5, 2, 5, 2)),
        ([2], 4, 1, (-1, 3, 0, -5)),
    ],
)
@pytest.mark.parametrize("flip", [False, True])
def test_upfirdn2d_is_convolution(taps, up, down, padding, flip, rng):
    x, f = rng.normal(size=(2, 3, 7, 6)), np.asarray(taps, float)
    ups, downs = ((v, v) if isinstance(v, int) else v for v in (up, down))
    want = upfirdn_numpy(x, f, ups, downs, padding, flip, -1.7)
    got = upfirdn2d(torch.tensor(x), torch.tensor(f), up, down, padding, flip, -1.7, impl="reference")
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-10, atol=1e-10)


def test_no_filter_is_the_identity():
    x = torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(upfirdn2d(x, None, impl="reference"), x)
    torch.testing.assert_close(upfirdn2d(x, None, up=2, impl="reference")[:, :, ::2, ::2], x)


@pytest.mark.parametrize("batch", [0, 1])
def test_empty_batches(batch):
    x = torch.randn(batch, 3, 8, 8)
    assert bias_act(x, torch.ones(3), "lrelu", impl="reference").shape == x.shape
    y = upfirdn2d(x, setup_filter([1, 3, 3, 1]), 2, 1, (2, 1, 2, 1), impl="reference")
    assert y.shape == (batch, 3, 16, 16)


def test_autocast_keeps_the_dtype_of_the_input():
    f, b = setup_filter([1, 2, 4]), torch.randn(3)
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.randn(2, 3, 8, 8).to(dtype)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = upfirdn2d(x, f, impl="reference")
            assert bias_act(x, b, "lrelu", impl="reference").dtype == dtype
        assert y.dtype == dtype
        assert torch.equal(y, upfirdn2d(x, f, impl="reference"))


def test_setup_filter():
    f = setup_filter([1, 3, 3, 1])
    assert f.dtype == torch.float32 and f.tolist() == [0.125, 0.375, 0.375, 0.125]
    square = setup_filter([1, 3, 3, 1], gain=4, separable=False)
    torch.testing.assert_close(square, 4 * torch.outer(f, f))
    assert setup_filter([1, 2], normalize=False, flip=True).tolist() == [2, 1]
    for bad in ([], [[[1.0]]], [1, -1]):
        with pytest.raises(ValueError):
            setup_filter(bad)


def test_wrong_arguments_name_themselves():
    x = torch.randn(2, 3, 4, 5)
    with pytest.raises(ValueError, match="gelu"):
        bias_act(x, act="gelu")
    with pytest.raises(ValueError, match="bias of shape"):
        bias_act(x, torch.ones(4))
    with pytest.raises(ValueError, match="clamp"):
        bias_act(x, clamp=-1)
    with pytest.raises(ValueError, match="smaller than the filter"):
        upfirdn2d(x, torch.ones(6))
    with pytest.raises(ValueError, match="up must"):
        upfirdn2d(x, None, up=0)
    with pytest.raises(ValueError, match="padding is"):
        upfirdn2d(x, None, padding=(1, 2))


def test_derivatives_of_any_order():
    x = torch.randn(1, 2, 4, 3, dtype=torch.float64, requires_grad=True)
    f = torch.randn(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(
        lambda x, f: upfirdn2d(x, f, (2, 1), (1, 2), (2, 1, 0, 1), impl="reference"), (x, f)
    )
    assert set(FORMULAS) == set(reference.ACTIVATIONS)
