"""The native kernels against the reference in float64, and their derivatives against finite differences."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from unmask.errors import UsageError
from unmask.ops import bias_act, native, reference, setup_filter, upfirdn2d

pytestmark = pytest.mark.usefixtures("kernels")

ROUNDING = {torch.float64: 1e-12, torch.float32: 3e-6, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}
relaxed = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
dtypes = st.sampled_from(list(ROUNDING))
acts = st.sampled_from(list(reference.ACTIVATIONS))


def close(got: torch.Tensor, want: torch.Tensor) -> bool:
    """Whether the error is within the rounding of the dtype of ``got``, relative to the largest value."""
    scale = float(want.abs().max()) if want.numel() else 0.0
    return torch.allclose(got.double(), want, rtol=0, atol=ROUNDING[got.dtype] * (scale + 0.01))


@st.composite
def dense(draw):
    """A tensor whose dimensions lie in memory in any order."""
    shape = draw(st.lists(st.integers(0, 7), min_size=1, max_size=5))
    n = len(shape)
    order = draw(st.permutations(range(n)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    x = torch.randn([shape[i] for i in order], generator=generator, dtype=torch.float64) * 3
    return x.permute([order.index(i) for i in range(n)]).to(draw(dtypes))


@relaxed
@given(dense(), acts, st.booleans(), st.sampled_from([None, 1.0, -0.7]), st.sampled_from([None, 0.9]), st.data())
def test_bias_act_equals_the_reference(x, act, biased, gain, clamp, data):
    dim = data.draw(st.integers(-x.ndim, x.ndim - 1))
    b = torch.randn(x.shape[dim]).to(x.dtype) if biased else None
    got = bias_act(x, b, act, gain, clamp, dim, impl="native")
    want = bias_act(x.double(), None if b is None else b.double(), act, gain, clamp, dim, impl="reference")
    assert got.dtype == x.dtype and got.stride() == torch.empty_like(x).stride()
    assert close(got, want)


@st.composite
def filters(draw):
    """Arguments of upfirdn2d that leave at least one sample."""
    channels, height, width = draw(st.integers(1, 18)), draw(st.integers(1, 12)), draw(st.integers(1, 12))
    pair = st.tuples(st.integers(1, 4), st.integers(1, 4))
    square = st.sampled_from([(1, 1), (2, 2)])
    up, down = draw(pair | square), draw(pair | square)
    padding = draw(st.lists(st.integers(-4, 9), min_size=4, max_size=4))
    taps = draw(st.sampled_from([(4,), (4, 4)]) | st.tuples(st.integers(1, 10)) | pair)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    f = torch.randn(taps, generator=generator)
    if taps == (4, 4):  # of rank one
        f = setup_filter([1, 3, 3, 1], separable=False)
    assume(height * up[0] + padding[2] + padding[3] >= taps[0])
    assume(width * up[1] + padding[0] + padding[1] >= taps[-1])
    x = torch.randn(draw(st.integers(0, 2)), channels, height, width, generator=generator).to(draw(dtypes))
    if draw(st.booleans()):
        x = x.contiguous(memory_format=torch.channels_last)
    return x, f, up, down, padding, draw(st.booleans()), draw(st.sampled_from([1.0, -2.5]))


@relaxed
@given(filters())
def test_upfirdn2d_equals_the_reference(arguments):
    x, f, *rest = arguments
    got = upfirdn2d(x, f, *rest, impl="native")
    want = upfirdn2d(x.double(), f.double(), *rest, impl="reference")
    assert got.dtype == x.dtype
    assert close(got, want)
    if x.shape[1] > 1 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous():
        assert got.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("act", reference.ACTIVATIONS)
@pytest.mark.parametrize(("gain", "clamp"), [(1.3, None), (-0.6, 0.8)])
def test_derivatives_of_bias_act(act, gain, clamp):
    x = torch.randn(3, 5, 3, dtype=torch.float64, requires_grad=True)
    b = torch.randn(5, dtype=torch.float64, requires_grad=True)

    def run(x, b):
        return bias_act(x, b, act, gain, clamp, impl="native")

    assert gradcheck(run, (x, b))
    assert gradgradcheck(run, (x, b))


@pytest.mark.parametrize(
    ("taps", "up", "down", "padding"),
    [
        ((4,), 2, 1, (2, 1, 2, 1)),
        ((4,), 1, 2, (1, 1, 1, 1)),
        ((5,), (3, 2), (2, 3), (3, -1, 0, 4)),
        ((2, 3), (1, 2), (3, 1), (-1, 2, 1, 1)),
    ],
)
@pytest.mark.parametrize("channels_last", [False, True])
def test_derivatives_of_upfirdn2d(taps, up, down, padding, channels_last):
    f = torch.randn(taps, dtype=torch.float64)
    x = torch.randn(2, 3, 5, 4, dtype=torch.float64)
    x = x.contiguous(memory_format=torch.channels_last) if channels_last else x

    def run(x):
        return upfirdn2d(x, f, up, down, padding, gain=1.7, impl="native")

    assert gradcheck(run, (x.requires_grad_(),))
    assert gradgradcheck(run, (x,))


def test_gradients_equal_those_of_the_reference_in_any_format():
    for impl_format in (torch.contiguous_format, torch.channels_last):
        grads = []
        for impl in ("native", "reference"):
            torch.manual_seed(0)
            x = torch.randn(2, 6, 9, 7).contiguous(memory_format=impl_format).requires_grad_()
            b = torch.randn(6, requires_grad=True)
            y = bias_act(upfirdn2d(x, setup_filter([1, 3, 3, 1]), 2, 1, (2, 1, 2, 1), impl=impl), b, "lrelu",
                         clamp=0.5, impl=impl)  # fmt: skip
            (first,) = torch.autograd.grad((y * torch.randn_like(y)).sum(), x, create_graph=True)
            grads.append((first, *torch.autograd.grad(first.square().sum() + y.square().sum(), (x, b))))
        for native_grad, reference_grad in zip(*grads, strict=True):
            torch.testing.assert_close(native_grad, reference_grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", native.DTYPES)
def test_a_clipped_output_has_no_derivative_where_the_limit_is_rounded(dtype):
    x = torch.tensor([3.0, -3.0, 0.5], dtype=dtype, requires_grad=True)
    y = bias_act(x, act="linear", clamp=0.9, impl="native")  # 0.9 is rounded down in both 16-bit types
    (got,) = torch.autograd.grad(y.sum(), x)
    assert got.tolist() == [0, 0, 1]


@pytest.mark.parametrize("act", ["linear", "lrelu", "swish"])
def test_opcheck_bias_act(act):
    x = torch.randn(2, 5, 3, requires_grad=True)
    b = torch.randn(5, requires_grad=True)
    torch.library.opcheck(torch.ops.unmask.bias_act.default, (x, b, 1, act, 1.4, 0.8))
    g = torch.randn(2, 5, 3, requires_grad=True)
    torch.library.opcheck(torch.ops.unmask.bias_act_grad.default, (g, None, x, b, 1, act, act != "swish", 1.4, -1.0))


@pytest.mark.parametrize("channels_last", [False, True])
def test_opcheck_upfirdn2d(channels_last):
    x = torch.randn(2, 3, 6, 5)
    x = x.contiguous(memory_format=torch.channels_last) if channels_last else x
    arguments = (x.requires_grad_(), setup_filter([1, 2, 4]), [2, 1], [1, 2], [2, 1, 0, 1], False, 2.0)
    torch.library.opcheck(torch.ops.unmask.upfirdn2d.default, arguments)


def test_compiled_and_exported_graphs_keep_the_operator():
    f = setup_filter([1, 3, 3, 1])

    def block(x, b):
        return bias_act(upfirdn2d(x, f, 2, 1, (2, 1, 2, 1), impl="native"), b, "lrelu", impl="native")

    x, b = torch.randn(2, 3, 4, 4, requires_grad=True), torch.randn(3, requires_grad=True)
    compiled = torch.compile(block, backend="aot_eager", fullgraph=True, dynamic=True)
    torch.testing.assert_close(compiled(x, b), block(x, b))
    got, want = (torch.autograd.grad(run(x, b).square().sum(), (x, b)) for run in (compiled, block))
    torch.testing.assert_close(got, want)


def test_nan_and_infinity_pass_through():
    x = torch.tensor([[float("nan"), float("inf"), -float("inf"), 0.0]])
    for act in ("linear", "relu", "lrelu", "tanh", "sigmoid", "elu", "selu", "softplus"):
        got, want = (bias_act(x, None, act, clamp=3, impl=impl) for impl in ("native", "reference"))
        torch.testing.assert_close(got, want, equal_nan=True)


def test_wrong_tensors_are_refused():
    x = torch.randn(2, 3, 4, 4)
    with pytest.raises(RuntimeError, match="does not fit"):
        torch.ops.unmask.bias_act(x, torch.ones(4), 1, "relu", 1.0, -1.0)
    with pytest.raises(RuntimeError, match="unknown activation"):
        torch.ops.unmask.bias_act(x, None, 1, "gelu", 1.0, -1.0)
    with pytest.raises(RuntimeError, match="smaller than the filter"):
        torch.ops.unmask.upfirdn2d(x, torch.ones(9), [1, 1], [1, 1], [0, 0, 0, 0], False, 1.0)
    with pytest.raises(NotImplementedError, match="derivative by the filter"):
        f = torch.ones(2, requires_grad=True)
        upfirdn2d(x, f, impl="native").sum().backward()


@pytest.mark.filterwarnings("ignore:`torch.jit.trace` is deprecated:DeprecationWarning")  # as the ONNX export traces
def test_auto_takes_the_reference_where_it_must(monkeypatch):
    monkeypatch.setenv("UNMASK_OPS", "auto")
    x = torch.randn(1, 2, 3, 3)
    calls = []
    kept = native.bias_act
    monkeypatch.setattr(native, "bias_act", lambda *a: calls.append(1) or kept(*a))
    bias_act(x)
    assert len(calls) == 1
    torch.jit.trace(lambda x: bias_act(x), x, check_trace=False)
    monkeypatch.setenv("UNMASK_OPS", "reference")
    bias_act(x)
    assert len(calls) == 1
    bias_act(x, impl="native")
    assert len(calls) == 2
    monkeypatch.setenv("UNMASK_OPS", "fast")
    with pytest.raises(UsageError, match="'fast'"):
        bias_act(x)
