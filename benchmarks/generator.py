"""The exact forms of the modulated convolution, layer by layer, and the whole generator against the textbook.

    python benchmarks/generator.py [--device cpu] [--sizes 128 256] [--batches 1 8] [--train] [--bf16] [--cpu-time]
        [--json FILE]

The forms compute the same function (a test holds that): `scaled` scales the input and the output around one kernel for
the whole batch, `grouped` makes a kernel for each sample and runs them as groups, `folded` is a kernel of the one
sample of a batch of one. Upsampling layers are a transposed convolution with the low-pass filter folded into the kernel
(`six`), the four phases of it as one convolution (`phases`), or the transposed convolution and the filter one after the
other, as published (`blur`). The textbook network is `grouped` and `blur` on the reference ops.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import platform
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask.models.generator import Generator
from unmask.models.layers import ModulatedConv
from unmask.ops import setup_filter, upfirdn2d

NETS = {
    128: {"z_dim": 256, "w_dim": 256, "channels": [160, 160, 160, 128, 64, 32], "mapping_layers": 4},
    256: {"channels": [512, 512, 512, 512, 512, 256, 128]},  # config-f
    1024: {"channels": [512, 512, 512, 512, 512, 256, 128, 64, 32]},
}
AIM = {"forward": 2.5, "train": 1.5}
TAPS = setup_filter([1, 3, 3, 1])
clock = time.perf_counter


def fold_blur(weight: Tensor) -> Tensor:
    """Each kernel ``[O, I, k, k]`` convolved fully with the filter, times four for the zeros between samples."""
    taps = (4 * torch.outer(TAPS, TAPS)).to(weight)[None, None]
    side = weight.shape[-1] + 3
    return F.conv2d(weight.flatten(0, 1)[:, None], taps, padding=3).reshape(*weight.shape[:2], side, side)


def kernel_of(conv: ModulatedConv) -> Tensor:
    """The equalized kernel ``[O, I, k, k]``."""
    return conv.weight * conv.scale


def demodulation(weight: Tensor, styles: Tensor) -> Tensor:
    """``1 / |w s|`` for each sample and output, ``[N, O]``."""
    return (styles.square() @ weight.square().sum((2, 3)).T + 1e-8).rsqrt()


def six(x: Tensor, weight: Tensor, groups: int = 1) -> Tensor:
    """Upsampling with the filter folded into the kernel: one transposed convolution with six taps."""
    kernel = fold_blur(weight)
    kernel = kernel.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
    return F.conv_transpose2d(x, kernel, stride=2, padding=2, groups=groups)


def phases(x: Tensor, weight: Tensor, groups: int = 1) -> Tensor:
    """The same as one convolution to four times the channels, which are the phases of the result."""
    kernel = fold_blur(weight).flip([2, 3])  # a correlation now
    parts = [kernel[:, :, 1 - y :: 2, 1 - x :: 2] for y in (0, 1) for x in (0, 1)]  # three taps each, per phase
    return F.pixel_shuffle(F.conv2d(x, torch.stack(parts, 1).flatten(0, 1), padding=1, groups=groups), 2)


def blur(x: Tensor, weight: Tensor, groups: int = 1) -> Tensor:
    """As published: a transposed convolution with three taps, then the low-pass filter."""
    kernel = weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
    y = F.conv_transpose2d(x, kernel, stride=2, groups=groups)
    return upfirdn2d(y, TAPS.to(x.device), padding=(1, 1, 1, 1), gain=4.0)


def plain(x: Tensor, weight: Tensor, groups: int = 1) -> Tensor:
    """No upsampling."""
    return F.conv2d(x, weight, padding=weight.shape[-1] // 2, groups=groups)


Convolution = Callable[..., Tensor]


def scaled(conv: ModulatedConv, x: Tensor, w: Tensor, run: Convolution) -> Tensor:
    """Scale the input by the styles and the output by the demodulation."""
    styles, weight = conv.affine(w), kernel_of(conv)
    y = run(x * styles[:, :, None, None], weight)
    return y * demodulation(weight, styles)[:, :, None, None] if conv.demodulate else y


def grouped(conv: ModulatedConv, x: Tensor, w: Tensor, run: Convolution) -> Tensor:
    """A kernel for each sample; the batch becomes groups of channels."""
    n, (styles, weight) = len(x), (conv.affine(w), kernel_of(conv))
    kernels = weight[None] * styles[:, None, :, None, None]
    if conv.demodulate:
        kernels = kernels * demodulation(weight, styles)[:, :, None, None, None]
    y = run(x.reshape(1, -1, *x.shape[2:]), kernels.flatten(0, 1), n)
    return y.reshape(n, -1, *y.shape[2:])


def folded(conv: ModulatedConv, x: Tensor, w: Tensor, run: Convolution) -> Tensor:
    """The kernel of the one sample there is."""
    styles, weight = conv.affine(w), kernel_of(conv)
    kernel = weight * styles[0][None, :, None, None]
    if conv.demodulate:
        kernel = kernel * demodulation(weight, styles)[0][:, None, None, None]
    return run(x, kernel)


MODULATIONS = {"scaled": scaled, "grouped": grouped, "folded": folded}
RESAMPLINGS = {"six": six, "phases": phases, "blur": blur}


def forms(up: bool, batch: int) -> dict[str, tuple[Callable[..., Tensor], Convolution]]:
    """The forms that fit a layer, by name."""
    convolutions = RESAMPLINGS if up else {"": plain}
    names = [name for name in MODULATIONS if name != "folded" or batch == 1]
    return {f"{name} {way}".strip(): (MODULATIONS[name], run) for name in names for way, run in convolutions.items()}


@contextmanager
def form_of_all_layers(modulation: Callable[..., Tensor], resampling: Convolution) -> Any:
    """Within this context every modulated convolution of every network has the form given."""
    kept = ModulatedConv.forward
    ModulatedConv.forward = lambda self, x, w: modulation(self, x, w, resampling if self.up else plain)
    try:
        yield
    finally:
        ModulatedConv.forward = kept


def best(step: Callable[[], Any], seconds: float, device: torch.device) -> float:
    """The shortest time of ``step`` in milliseconds, seen in about ``seconds`` after one call to warm up."""
    sync = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    step(), sync()
    shortest, end = math.inf, time.perf_counter() + seconds
    while time.perf_counter() < end or shortest == math.inf:
        start = clock()
        step()
        sync()
        shortest = min(shortest, clock() - start)
    return 1e3 * shortest


def layers(size: int, batch: int, seconds: float, device: torch.device) -> list[dict[str, Any]]:
    """Every form at every layer of a network without gradients, channels last."""
    widths, rows = NETS[size]["channels"], []
    for i, out in enumerate(widths):
        for up in (True, False) if i else (False,):
            side, inputs = 2 ** (i + 1) if up else 2 ** (i + 2), widths[i - 1] if up else out
            conv = ModulatedConv(inputs, out, 64, up=up).to(device).requires_grad_(False)
            x = torch.randn(batch, inputs, side, side, device=device).contiguous(memory_format=torch.channels_last)
            w = torch.randn(batch, 64, device=device)
            times = {name: best(lambda: how(conv, x, w, run), seconds, device)  # noqa: B023
                     for name, (how, run) in forms(up, batch).items()}  # fmt: skip
            rows.append({"layer": f"{inputs}->{out} {side}px{' up' if up else ''}", "batch": batch, "ms": times})
            winner = min(times, key=times.__getitem__)
            shown = "  ".join(f"{name} {ms:.2f}" for name, ms in times.items())
            print(f"  {rows[-1]['layer']:22} {shown}  -> {winner}", flush=True)
    return rows


def whole(size: int, batch: int, train: bool, seconds: float, device: torch.device, half: bool) -> dict[str, Any]:
    """The network as it is and as the textbook has it: milliseconds of a forward pass, or of one with gradients.

    With ``half`` also in bfloat16 (training by autocast, else the weights as well), and how far its pictures are then.
    """
    net = Generator(img_resolution=size, **{"z_dim": 512, "w_dim": 512, **NETS[size]}).to(device)
    ws = torch.randn(batch, net.num_ws, net.w_dim, device=device)
    low = copy.deepcopy(net).to(torch.bfloat16) if half and not train else net

    def step(half: bool = False) -> Tensor:
        used, codes = (low, ws.bfloat16()) if half and not train else (net, ws)
        with torch.set_grad_enabled(train), torch.autocast(device.type, torch.bfloat16, enabled=half and train):
            image = used.synthesis(codes, noise="const")
        if train:
            image.float().square().mean().backward()
            net.zero_grad()
        return image.detach().float()

    ours = best(step, seconds, device)
    more: dict[str, Any] = {}
    if half:
        made, true = step(True), step()
        more = {"bf16_ms": best(lambda: step(True), seconds, device),
                "bf16_apart": float((made - true).abs().mean() / true.std())}  # fmt: skip
    os.environ["UNMASK_OPS"], kept = "reference", os.environ.get("UNMASK_OPS", "auto")
    with form_of_all_layers(grouped, blur):
        textbook = best(step, seconds, device)
    os.environ["UNMASK_OPS"] = kept
    if half:
        more["bf16_ratio"] = textbook / more["bf16_ms"]
    return {"size": size, "batch": batch, "train": train, "ms": ours, "textbook_ms": textbook,
            "ratio": textbook / ours, **more}  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256], choices=list(NETS))
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--train", action="store_true", help="also a forward and a backward pass")
    parser.add_argument("--bf16", action="store_true", help="our network in bfloat16 as well")
    parser.add_argument("--no-layers", action="store_true", help="whole networks only")
    parser.add_argument("--seconds", type=float, default=0.3, help="to spend on each figure")
    parser.add_argument("--cpu-time", action="store_true", help="for a busy machine: processor time of one thread")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.cpu_time:
        global clock
        clock, options.threads = time.process_time, 1
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    device, seconds = torch.device(options.device), options.seconds
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else math.nan
    print(f"{platform.machine()}, torch {torch.__version__}, {options.threads} threads; load before: {load:.1f}"
          + (", times are of the processor" if options.cpu_time else ""))  # fmt: skip
    rows, nets = [], []
    for size in options.sizes:
        for batch in options.batches:
            for train in (False, True) if options.train else (False,):
                nets.append(whole(size, batch, train, seconds, device, options.bf16))
                row = nets[-1]
                kind = "train" if train else "forward"
                print(f"{size} px, batch {batch}, {kind}: {row['ms']:.1f} ms, textbook {row['textbook_ms']:.1f} ms, "
                      f"{row['ratio']:.2f} times as fast (aim at 256 px: {AIM[kind]})", flush=True)  # fmt: skip
                if options.bf16:
                    print(f"  in bfloat16: {row['bf16_ms']:.1f} ms, {row['bf16_ratio']:.2f} times as fast, pictures "
                          f"apart by {100 * row['bf16_apart']:.2f} % of their spread", flush=True)  # fmt: skip
            if not options.no_layers:
                rows += layers(size, batch, seconds, device)
    if options.json:
        options.json.write_text(json.dumps({"load": load, "nets": nets, "layers": rows}, indent=1))


if __name__ == "__main__":
    main()
