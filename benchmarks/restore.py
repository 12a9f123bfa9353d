"""How long a restoration takes: one face after loading, and one whole ``unmask restore`` process.

    python benchmarks/restore.py [--photo FILE] [--threads 2] [--runs 20] [--json FILE]

The fill step stands beside OpenCV inpainting (Telea) of the same crop and region, the process beside a Python
that does nothing and one that only imports torch, all measured in the same run. Aims: 300 ms a face, 5 s and
1.5 GB a process.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "samples" / "astronaut-masked.png"
AIM_FACE_MS, AIM_PROCESS_S, AIM_PROCESS_GB = 300.0, 5.0, 1.5


def milliseconds(step: Callable[[], Any], runs: int, warm: int = 2) -> tuple[float, float]:
    """Median wall time and processor time of ``step`` in milliseconds after ``warm`` unmeasured runs."""
    for _ in range(warm):
        step()
    walls, busy = [], []
    for _ in range(runs):
        start, used = time.perf_counter(), time.process_time()
        step()
        walls.append(1e3 * (time.perf_counter() - start))
        busy.append(1e3 * (time.process_time() - used))
    return statistics.median(walls), statistics.median(busy)


def per_face(photo: Path, threads: int, runs: int) -> dict[str, tuple[float, float]]:
    """Times of the steps of one restoration in this process, in milliseconds, and of the reference fill."""
    import cv2
    import numpy as np
    import torch

    from unmask import Restorer, images

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    start, used = time.perf_counter(), time.process_time()
    restorer = Restorer.from_pretrained(device="cpu")
    loading = 1e3 * (time.perf_counter() - start), 1e3 * (time.process_time() - used)
    pixels = images.read(photo).pixels
    face = restorer.restore(pixels).faces[0]
    crop, hidden = face.aligned, (face.region > 0.02).astype(np.uint8)
    x = images.to_tensor([crop])
    region = torch.from_numpy(face.region)[None, None]
    return {
        "load": loading,
        "restore": milliseconds(lambda: restorer.restore(pixels), runs),
        "  of it: detect": milliseconds(lambda: restorer.detector.detect(pixels), runs),
        "  of it: segment": milliseconds(lambda: restorer.segment(x), runs),
        "  of it: fill": milliseconds(lambda: restorer.unmask(x, region), runs),
        "reference fill (OpenCV Telea)": milliseconds(lambda: cv2.inpaint(crop, hidden, 3, cv2.INPAINT_TELEA), runs),
    }


def process(arguments: Sequence[str], threads: int, runs: int = 3) -> tuple[float, float, float]:
    """Best wall and processor time in seconds and largest resident memory in GB of a Python process."""
    env = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT)}
    walls, busy, peaks = [], [], []
    for _ in range(runs):
        start = time.perf_counter()
        child = subprocess.Popen([sys.executable, *arguments], env=env, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        walls.append(time.perf_counter() - start)
        busy.append(usage.ru_utime + usage.ru_stime)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"{' '.join(arguments)} ended with {child.returncode}")
        peaks.append(usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9)
    return min(walls), min(busy), max(peaks)


def processes(photo: Path, threads: int) -> dict[str, tuple[float, float, float]]:
    """Wall and processor seconds and peak GB of a whole restoration and of the two references."""
    with tempfile.TemporaryDirectory() as folder:
        target = str(Path(folder) / photo.name)
        return {
            "unmask restore": process(["-m", "unmask", "restore", str(photo), "-o", target, "--overwrite"], threads),
            "reference: import torch": process(["-c", "import torch"], threads),
            "reference: python": process(["-c", "pass"], threads),
        }


def machine(threads: int) -> str:
    """One line on the machine and the versions that matter."""
    from importlib.metadata import version

    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(": ")[2] for line in info.read_text().splitlines() if "model name" in line]
        cpu = names[0] if names else cpu
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "onnxruntime", "numpy"))
    return f"{cpu}, {threads} of {os.cpu_count()} cores; Python {platform.python_version()}, {packages}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photo", type=Path, default=SAMPLE, help="photo with one masked face")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(given.threads)

    print(machine(given.threads))
    whole = processes(given.photo, given.threads)
    faces = per_face(given.photo, given.threads, given.runs)
    print(f"\n{'one face, after loading (ms)':34}{'wall':>10}{'processor':>11}")
    for name, (wall, busy) in faces.items():
        print(f"{name:34}{wall:10.1f}{busy:11.1f}")
    fill, reference = faces["  of it: fill"][0], faces["reference fill (OpenCV Telea)"][0]
    print(f"the fill takes {fill / reference:.0f} times the reference's time")
    print(f"\n{'whole process (s, GB)':34}{'wall':>10}{'processor':>11}{'memory':>10}")
    for name, (wall, busy, peak) in whole.items():
        print(f"{name:34}{wall:10.2f}{busy:11.2f}{peak:10.2f}")
    wall, _, peak = whole["unmask restore"]
    print(f"unmask restore takes {wall / whole['reference: import torch'][0]:.1f} times the time of import torch\n")
    met = faces["restore"][0] <= AIM_FACE_MS and wall <= AIM_PROCESS_S and peak <= AIM_PROCESS_GB
    verdict = "met" if met else "missed"
    print(f"aims ({AIM_FACE_MS:g} ms, {AIM_PROCESS_S:g} s, {AIM_PROCESS_GB:g} GB): {verdict}")
    if given.json:
        figures = {"machine": machine(given.threads), "ms": faces, "process": whole}
        given.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
