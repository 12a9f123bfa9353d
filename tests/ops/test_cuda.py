"""The CUDA kernels without a GPU: they run on the CPU, thread by thread, and compile with nvcc where there is one."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from unmask.ops import bias_act, build, native, reference, setup_filter, upfirdn2d

HERE = Path(__file__).parent
# (relative, absolute): the 16-bit types are rounded once, at the end, since sums are made in float32.
TOLERANCE = {
    torch.float64: (1e-12, 1e-12),
    torch.float32: (1e-5, 2e-5),
    torch.float16: (2**-11 + 1e-5, 2e-5),
    torch.bfloat16: (2**-8 + 1e-5, 2e-5),
}


@pytest.fixture(scope="module")
def emulated(tmp_path_factory) -> ctypes.CDLL:
    """The kernels as a library for the CPU."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ on PATH")
    library = tmp_path_factory.mktemp("emulated") / "emulated.so"
    headers = Path(torch.__file__).parent / "include"  # for the 16-bit types
    subprocess.run(
        [compiler, "-std=c++20", "-O1", "-w", "-fPIC", "-shared", '-DUNMASK_EMULATE="emulate_cuda.h"',
         "-DUNMASK_PART=24", f"-I{HERE}", f"-I{build.source_folder()}", "-isystem", str(headers),
         str(HERE / "cuda_emulated.cpp"), "-o", str(library)],
        check=True,
    )  # fmt: skip
    return ctypes.CDLL(str(library))


def close(got: torch.Tensor, want: torch.Tensor) -> None:
    rtol, atol = TOLERANCE[got.dtype]
    torch.testing.assert_close(got.double(), want, rtol=rtol, atol=atol)


def pointer(t: torch.Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if t is None else t.data_ptr())


def run_upfirdn2d(library, x, f, up, down, padding, flip, gain):
    """What cuda_bindings.cpp does: work out the axes, and call."""
    axes = []
    for i, (before, after) in enumerate(((padding[2], padding[3]), (padding[0], padding[1]))):
        size, taps = x.shape[2 + i], f.shape[i if f.ndim == 2 else 0]
        out = (size * up[i] + before + after - taps) // down[i] + 1
        axes.append((ctypes.c_int64 * 6)(size, out, up[i], down[i], before, taps))
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    form = torch.channels_last if last else torch.contiguous_format
    y = torch.full((*x.shape[:2], axes[0][1], axes[1][1]), 7.0, dtype=x.dtype).contiguous(memory_format=form)
    f = f.to(torch.float64 if x.dtype == torch.float64 else torch.float32).contiguous()
    code = library.run_upfirdn2d(
        native.DTYPES.index(x.dtype), int(last), int(f.ndim == 1), int(flip), pointer(y), pointer(x), pointer(f),
        ctypes.c_int64(x.shape[0]), ctypes.c_int64(x.shape[1]), *axes, ctypes.c_double(gain),
    )  # fmt: skip
    assert code == 0
    return y


@pytest.mark.parametrize(
    ("shape", "taps", "up", "down", "padding"),
    [
        ((2, 3, 40, 35), (4,), (1, 1), (1, 1), (2, 1, 2, 1)),  # tiles with every phase
        ((1, 2, 37, 70), (4,), (2, 2), (1, 1), (2, 1, 2, 1)),
        ((1, 2, 37, 34), (4,), (2, 2), (1, 1), (1, 2, 3, 0)),
        ((1, 2, 9, 12), (4,), (2, 2), (1, 1), (-3, 5, -2, 7)),
        ((1, 2, 75, 140), (4,), (1, 1), (2, 2), (1, 1, 1, 1)),
        ((1, 2, 20, 11), (3,), (1, 1), (2, 2), (-1, 4, 6, 2)),
        ((1, 1, 6, 5), (2,), (2, 2), (1, 1), (0, 1, 1, 0)),
        ((2, 3, 6, 5), (5,), (2, 3), (3, 1), (3, 4, -1, 6)),  # the general kernel
        ((1, 2, 6, 5), (3, 4), (2, 2), (1, 1), (3, 4, 1, 6)),
        ((0, 2, 6, 5), (4,), (2, 2), (1, 1), (2, 1, 2, 1)),
    ],
)
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", native.DTYPES)
def test_upfirdn2d(emulated, shape, taps, up, down, padding, channels_last, dtype):
    channels = 8 if channels_last and shape[1] == 2 else shape[1]  # whole packs of channels, and not
    x = torch.randn(shape[0], channels, *shape[2:]).to(dtype)
    x = x.contiguous(memory_format=torch.channels_last) if channels_last else x
    f = torch.randn(taps)
    for flip in (False, True):
        want = upfirdn2d(x.double(), f.double(), up, down, padding, flip, 1.5, impl="reference")
        got = run_upfirdn2d(emulated, x, f, up, down, padding, flip, 1.5)
        close(got, want)


@pytest.mark.parametrize("act", reference.ACTIVATIONS)
@pytest.mark.parametrize(
    ("shape", "dim", "inner", "biased"),
    [
        ((3, 8, 4, 4), 1, 16, True),  # several launches each, most of which start within a run of the bias
        ((6, 12), 1, 1, True),
        ((6, 16), 1, 1, True),
        ((2, 3, 5), 1, 5, True),
        ((5, 1, 7), 1, 7, True),
        ((7, 11), 1, 1, False),
    ],
)
@pytest.mark.parametrize("dtype", native.DTYPES)
def test_bias_act(emulated, act, shape, dim, inner, biased, dtype):
    x, g, h = (torch.randn(shape).to(dtype).double() for _ in range(3))
    b = torch.randn(shape[dim]).to(dtype).double() if biased else None
    gain, clamp = 1.3, 0.9  # which no type has, and the 16-bit ones round down

    def run(order, from_output=0, ref=x):
        tensors = [None if t is None else t.to(dtype) for t in (ref, g, h, b)]
        out = torch.zeros(shape, dtype=dtype)
        code = emulated.run_bias_act(
            native.DTYPES.index(dtype), act.encode(), order, from_output, pointer(out), pointer(tensors[0]),
            pointer(tensors[1] if order else None), pointer(tensors[2] if order == 2 else None),
            pointer(tensors[3] if not from_output else None), ctypes.c_int64(x.numel()), ctypes.c_int64(shape[dim]),
            ctypes.c_int64(inner), ctypes.c_double(gain), ctypes.c_double(clamp),
        )  # fmt: skip
        assert code == 0
        return out

    leaf, factor = x.clone().requires_grad_(), g.clone().requires_grad_()
    want = bias_act(leaf, b, act, gain, clamp, dim, impl="reference")
    (first,) = torch.autograd.grad(want, leaf, factor, create_graph=True)
    second = torch.autograd.grad(first, leaf, h, allow_unused=True)[0]
    # Rounding moves a value that is next to the limit to its other side, where the derivative is another.
    whole = bias_act(x, b, act, gain, None, dim, impl="reference")
    sure = (whole.abs() - clamp).abs() > 0.01
    close(run(0), want.detach())
    close(run(1)[sure], first.detach()[sure])
    close(run(2)[sure], torch.zeros_like(x)[sure] if second is None else second[sure])
    if act in native.PIECEWISE_LINEAR:
        close(run(1, 1, want.detach())[sure], first.detach()[sure])


@pytest.mark.slow
@pytest.mark.parametrize("source", ["bias_act.cu", "upfirdn2d.cu"])
def test_nvcc_compiles(source, tmp_path):
    """With the flags of PyTorch's own builds, which take operators and conversions of the 16-bit types away."""
    from torch.utils.cpp_extension import COMMON_NVCC_FLAGS

    home = build.cuda_toolkit()
    if home is None:
        pytest.skip("no CUDA toolkit on PATH or in CUDA_HOME")
    command = [str(home / "bin" / "nvcc"), *COMMON_NVCC_FLAGS, "-std=c++17", "-O1", "-c",
               str(build.source_folder() / source), "-o", str(tmp_path / "kernel.o")]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("channels_last", [False, True])
def test_on_a_device(dtype, channels_last):
    f = setup_filter([1, 3, 3, 1])
    x = torch.randn(2, 16, 70, 66, dtype=torch.float64).contiguous(
        memory_format=torch.channels_last if channels_last else torch.contiguous_format
    )
    b = torch.randn(16, dtype=torch.float64)
    for up, down, padding in ((2, 1, (2, 1, 2, 1)), (1, 2, (1, 1, 1, 1)), (1, 1, (2, 1, 2, 1))):
        results = []
        for impl, kind, device in (("reference", torch.float64, "cpu"), ("native", dtype, "cuda")):
            leaf = x.to(device, kind).detach().requires_grad_()
            y = upfirdn2d(leaf, f.to(device), up, down, padding, impl=impl)
            y = bias_act(y, b.to(device, kind), "lrelu", impl=impl)
            results.append((y, *torch.autograd.grad(y.square().sum(), leaf)))
        tolerance = 1e-5 if dtype in (torch.float32, torch.float64) else 3e-2
        for want, got in zip(*results, strict=True):
            scale = float(want.abs().max())
            torch.testing.assert_close(got.cpu().double(), want, rtol=0, atol=tolerance * scale)
