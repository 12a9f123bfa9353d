"""The native ops against the reference and against what plain PyTorch has, forward and backward, with the bandwidth.

    python benchmarks/ops.py [--device cpu] [--dtype float32] [--threads 2] [--seconds 0.3] [--cpu-time] [--json FILE]

Each row is one op at one shape and memory format. The time is the best of repeated calls; `back` is the backward pass
alone. GB/s counts the input read once and the output written once, beside a copy measured in the same run. The plain
rivals are conv2d per channel for filters (the blur and the downsampling), interpolate for upsampling (bilinear, which
differs at the border only), and add + leaky_relu + mul for bias_act.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask.ops import bias_act, native, setup_filter, upfirdn2d

SHAPES = [(1, 512, 8), (1, 256, 64), (1, 64, 128), (8, 32, 128), (1, 32, 256), (8, 3, 64), (1, 16, 512)]
AIM_BANDWIDTH = 0.8


clock = time.perf_counter


def best(step: Callable[[], Any], seconds: float, device: torch.device) -> float:
    """The shortest time of ``step`` seen in about ``seconds``, after two calls to warm up."""
    sync = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    step(), step(), sync()
    shortest, end = math.inf, time.perf_counter() + seconds
    while time.perf_counter() < end or shortest == math.inf:
        start = clock()
        step()
        sync()
        shortest = min(shortest, clock() - start)
    return shortest


def bandwidth(seconds: float, device: torch.device) -> float:
    """GB/s of a copy, counting what is read and what is written."""
    x = torch.randn(1 << 24, device=device)
    y = torch.empty_like(x)
    return 2 * x.numel() * 4 / best(lambda: y.copy_(x), seconds, device) / 1e9


def cases(channels: int, x: Tensor, f: Tensor, b: Tensor) -> dict[str, dict[str, Callable[[Tensor], Tensor]]]:
    """Each op as the functions to compare, by the name of who does it."""
    square = torch.outer(f, f)[None, None].repeat(channels, 1, 1, 1).to(x.dtype)

    def ways(plain: Callable[[Tensor], Tensor], ours: Callable[..., Tensor]) -> dict[str, Callable[[Tensor], Tensor]]:
        return {"native": partial(ours, impl="native"), "reference": partial(ours, impl="reference"), "plain": plain}

    return {
        "bias_act lrelu": ways(
            lambda x: F.leaky_relu(x + b[:, None, None], 0.2) * math.sqrt(2),
            lambda x, impl: bias_act(x, b, "lrelu", impl=impl),
        ),
        "up by 2": ways(
            lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False),
            lambda x, impl: upfirdn2d(x, f, up=2, padding=(2, 1, 2, 1), gain=4.0, impl=impl),
        ),
        "blur": ways(
            lambda x: F.conv2d(F.pad(x, [2, 1, 2, 1]), square, groups=channels),
            lambda x, impl: upfirdn2d(x, f, padding=(2, 1, 2, 1), impl=impl),
        ),
        "down by 2": ways(
            lambda x: F.conv2d(x, square, stride=2, padding=1, groups=channels),
            lambda x, impl: upfirdn2d(x, f, down=2, padding=(1, 1, 1, 1), impl=impl),
        ),
    }


def measure(shape: tuple[int, int, int], last: bool, dtype: torch.dtype, seconds: float, device: torch.device) -> list:
    """Rows of figures for one shape ``(N, C, side)``: milliseconds by way, forward and backward, and GB/s."""
    n, c, side = shape
    form = torch.channels_last if last else torch.contiguous_format
    x = torch.randn(n, c, side, side, device=device).to(dtype).contiguous(memory_format=form).requires_grad_()
    b, f = torch.randn(c, device=device, dtype=dtype), setup_filter([1, 3, 3, 1], device=device)
    rows = []
    for name, ways in cases(c, x, f, b).items():
        row: dict[str, Any] = {"op": name, "shape": f"{n}x{c}x{side}x{side}", "format": "NHWC" if last else "NCHW"}
        for way, run in ways.items():
            y = run(x)
            g = torch.randn_like(y)
            with torch.no_grad():
                row[f"{way}_ms"] = 1e3 * best(lambda run=run: run(x), seconds, device)
            again = partial(torch.autograd.grad, y, x, g, retain_graph=True)
            row[f"{way}_back_ms"] = 1e3 * best(again, seconds, device)
        moved = (x.numel() + y.numel()) * x.element_size()
        row["native_gb_s"] = moved / row["native_ms"] / 1e6
        rows.append(row)
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=["float64", "float32", "float16", "bfloat16"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.3, help="to spend on each figure")
    parser.add_argument("--shapes", type=int, default=len(SHAPES), help="how many of the shapes")
    parser.add_argument("--cpu-time", action="store_true", help="for a busy machine: processor time of one thread")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.cpu_time:
        global clock
        clock, options.threads = time.process_time, 1
    torch.set_num_threads(options.threads)
    device, dtype = torch.device(options.device), getattr(torch, options.dtype)
    native.load()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    copy = bandwidth(options.seconds, device)
    load = f"{os.getloadavg()[0]:.1f} processes on {os.cpu_count()} cores" if hasattr(os, "getloadavg") else "unknown"
    print(
        f"{name}, torch {torch.__version__}, {options.threads} threads, {options.dtype}; load before: {load}"
        + (", times are of the processor" if options.cpu_time else "")
    )
    print(f"a copy moves {copy:.1f} GB/s; aim {AIM_BANDWIDTH:.0%} of that on large maps")
    ways = f"{'ref':>7}{'plain':>7}"
    print(f"{'op':15}{'shape':16}{'format':7}{'native':>9}{ways}{'back':>9}{ways}{'of copy':>9}")
    rows = []
    for shape in SHAPES[: options.shapes]:
        for last in (False, True):
            for row in measure(shape, last, dtype, options.seconds, device):
                rows.append(row)
                ratios = [row[f"{way}{part}_ms"] / row[f"native{part}_ms"] for part in ("", "_back")
                          for way in ("reference", "plain")]  # fmt: skip
                print(
                    f"{row['op']:15}{row['shape']:16}{row['format']:7}{row['native_ms']:7.3f}ms{ratios[0]:6.2f}x{ratios[1]:6.2f}x"
                    f"{row['native_back_ms']:7.3f}ms{ratios[2]:6.2f}x{ratios[3]:6.2f}x{row['native_gb_s'] / copy:9.0%}",
                    flush=True,
                )
    if options.json:
        options.json.write_text(json.dumps({"device": name, "copy_gb_s": copy, "load": load, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
