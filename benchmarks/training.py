"""Faces a second of the unmasker's training step, as it is and in forms before it.

    python benchmarks/training.py [--config mini-unmasker] [--batch 8] [--steps 6] [--rounds 2] [--json FILE]

Each form runs in a process of its own, in turns, on drawn pictures and with all losses of the config: `reference` is
NVIDIA's form of the network (a kernel for each sample, run as groups; the ops in plain PyTorch), channels first,
in float32; `ours` has one kernel for the batch, our own ops and channels last; `kept` keeps the memory it frees, as
`unmask train` does on a CPU; `bfloat16` multiplies in that, where the machine has arithmetic for it. The figure is the
median of the steps of all rounds.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import torch
from generator import blur, form_of_all_layers, grouped

from unmask import training
from unmask.data import face_sets
from unmask.devices import keep_memory
from unmask.faces import align
from unmask.training.tasks import unmasker

FORMS = ("reference", "ours", "kept", "bfloat16")


def draw(root: Path, size: int, count: int = 40) -> None:
    """A source `drawn` of smooth pictures on the ffhq template."""
    place, rng, points = root / "drawn", np.random.default_rng(0), align.template("ffhq", size)
    place.mkdir()
    with (place / "index.csv").open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["file", "identity", *(f"{p}_{axis}" for p in face_sets.POINT_NAMES for axis in "xy")])
        for i in range(count):
            coarse = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
            cv2.imwrite(str(place / f"{i}.png"), cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC))
            rows.writerow([f"{i}.png", "", *points.ravel().round(3)])


def seconds(form: str, options: argparse.Namespace) -> list[float]:
    """The times of single steps in this process, after two to warm up."""
    torch.set_num_threads(options.threads)
    precision = "bf16" if form == "bfloat16" else "fp32"
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        if form == "reference":
            os.environ["UNMASK_OPS"] = "reference"
            torch.channels_last = torch.contiguous_format
            stack.enter_context(form_of_all_layers(grouped, blur))
        if form in ("kept", "bfloat16"):
            keep_memory()
        os.environ["UNMASK_CACHE"] = folder
        settings = [f"data={folder}", "sources=[drawn]", f"batch_size={options.batch}", f"precision={precision}",
                    "pixel_steps=0", "adv_start=0", "workers=1", *options.overrides]  # fmt: skip
        config = training.read_config(options.config, settings)
        assert isinstance(config, unmasker.Config)
        draw(Path(folder), config.model.img_resolution)
        task, rng, times = unmasker.build(config, torch.device("cpu")), np.random.default_rng(0), []
        for at in range(1, 3 + options.steps):  # no step of R1 among the first sixteen but step 0
            batch = task.batch(rng, at)
            start = time.perf_counter()
            task.step(batch, at)
            times.append(time.perf_counter() - start)
    return times[2:]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="mini-unmasker")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=6, help="of each form in each round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--form", choices=FORMS, help=argparse.SUPPRESS)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of the config")
    options = parser.parse_args()
    if options.form:
        print(json.dumps(seconds(options.form, options)))
        return
    bf16 = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    forms = FORMS if bf16 else FORMS[:-1]
    print(f"{platform.machine()}, torch {torch.__version__}, {options.threads} threads, batches of {options.batch}; "
          f"load before: {os.getloadavg()[0]:.1f}" + ("" if bf16 else "; no bfloat16 arithmetic here"))  # fmt: skip
    found: dict[str, list[float]] = {form: [] for form in forms}
    for _ in range(options.rounds):
        for form in forms:
            command = [sys.executable, __file__, *sys.argv[1:], "--form", form]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[form] += json.loads(done.stdout.splitlines()[-1])
    rates = {form: options.batch / statistics.median(times) for form, times in found.items()}
    for form, rate in rates.items():
        print(f"{form:10} {rate:6.2f} faces a second, {rate / rates['reference']:.2f} times the reference")
    if options.json:
        options.json.write_text(json.dumps({"rates": rates, "seconds": found}, indent=1))


if __name__ == "__main__":
    main()
