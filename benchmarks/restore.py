"""How long a restoration takes: one face after loading, one whole ``unmask restore`` process, and a folder.

    python benchmarks/restore.py [--photo FILE] [--threads 2] [--runs 20] [--rounds 5] [--count 32] [--json FILE]

ONNX Runtime and torch take turns within one run, round by round, so that what else the machine does meets both; medians
and the median of the rounds' ratios are told. The process stands beside a Python that only imports torch, the fill
beside OpenCV inpainting (Telea) of the same crop and region.
"""

from __future__ import annotations

import argparse
import contextlib
import io
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
ENGINES = ("onnx", "torch")
PHOTO = """
import sys
from unmask import Restorer
photo, out, engine = sys.argv[1:]
Restorer.from_pretrained(device="cpu", engine=engine).restore(photo, out=out, overwrite=True)
"""


def seconds_of(step: Callable[[], Any]) -> tuple[float, float]:
    """Wall and processor seconds of a step."""
    start, used = time.perf_counter(), time.process_time()
    step()
    return time.perf_counter() - start, time.process_time() - used


def in_turn(steps: dict[str, Callable[[], tuple[float, ...]]], rounds: int) -> dict[str, list[tuple[float, ...]]]:
    """What each step gives, in rounds in which all take their turn."""
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            found[name].append(step())
    return found


def per_face(photo: Path, threads: int, runs: int) -> dict[str, list[tuple[float, ...]]]:
    """Wall and processor milliseconds of a whole restoration and of its steps, by both engines in turn."""
    import cv2
    import numpy as np
    import torch

    from unmask import Restorer, images

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    pixels = images.read(photo).pixels
    steps: dict[str, Callable[[], Any]] = {}
    for engine in ENGINES:
        one = Restorer.from_pretrained(device="cpu", engine=engine)
        face = one.restore(pixels).faces[0]
        x, region = images.to_float([face.aligned]), face.region[None, None]
        steps |= {
            f"restore, {engine}": lambda one=one: one.restore(pixels),
            f"  segment, {engine}": lambda one=one, x=x: one.segment(x),
            f"  fill, {engine}": lambda one=one, x=x, region=region: one.unmask(x, region),
        }
    crop, hidden = face.aligned, (face.region > 0.02).astype(np.uint8)
    steps["  fill, OpenCV Telea"] = lambda: cv2.inpaint(crop, hidden, 3, cv2.INPAINT_TELEA)
    timed = {name: lambda step=step: tuple(1e3 * s for s in seconds_of(step)) for name, step in steps.items()}
    in_turn(timed, 2)
    return in_turn(timed, runs)


def process(arguments: Sequence[str], threads: int) -> tuple[float, float, float]:
    """Wall and processor seconds and largest resident memory in GB of a Python process."""
    env = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, *arguments], env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with {child.returncode}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


def processes(photo: Path, threads: int, rounds: int) -> dict[str, list[tuple[float, ...]]]:
    """Wall and processor seconds and peak GB of the command, of the library by both engines, and of the reference."""
    with tempfile.TemporaryDirectory() as folder:
        target = str(Path(folder) / photo.name)
        command = ["-m", "unmask", "restore", str(photo), "-o", target, "--overwrite"]
        steps: dict[str, Callable[[], tuple[float, ...]]] = {
            "unmask restore": lambda: process(command, threads),
            **{
                f"library, {engine}": lambda engine=engine: process(["-c", PHOTO, str(photo), target, engine], threads)
                for engine in ENGINES
            },
            "reference: import torch": lambda: process(["-c", "import torch"], threads),
        }
        return in_turn(steps, rounds)


def folders(photo: Path, threads: int, rounds: int, count: int) -> dict[str, list[tuple[float, ...]]]:
    """Photos a wall second and a processor second of a folder, one worker a core, by both engines in turn."""
    from batch import folder_of_photos, pipeline

    with tempfile.TemporaryDirectory() as place, contextlib.redirect_stdout(io.StringIO()):
        home = Path(place)
        (home / "in").mkdir()
        photos = folder_of_photos(photo, home / "in", count, 1200)

        def rate(engine: str) -> tuple[float, ...]:
            with tempfile.TemporaryDirectory(dir=home) as out:
                return tuple(count / s for s in pipeline(photos, Path(out), threads, engine))

        return in_turn({engine: lambda engine=engine: rate(engine) for engine in ENGINES}, rounds)


def machine(threads: int) -> str:
    """One line on the machine and the versions that matter."""
    from importlib.metadata import version

    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(": ")[2] for line in info.read_text().splitlines() if "model name" in line]
        cpu = names[0] if names else cpu
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "onnxruntime", "numpy"))
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{cpu}, {threads} of {os.cpu_count()} cores{load}; Python {platform.python_version()}, {packages}"


def table(title: str, columns: Sequence[str], found: dict[str, list[tuple[float, ...]]], digits: int) -> None:
    """Print the medians of the rounds."""
    print(f"\n{title:34}" + "".join(f"{column:>12}" for column in columns))
    for name, rows in found.items():
        print(f"{name:34}" + "".join(f"{statistics.median(column):12.{digits}f}" for column in zip(*rows, strict=True)))


def ratio(found: dict[str, list[tuple[float, ...]]], one: str, other: str) -> str:
    """The medians of the rounds' ratios of two of them, column by column."""
    pairs = zip(found[one], found[other], strict=True)
    columns = zip(*([a / b for a, b in zip(x, y, strict=True)] for x, y in pairs), strict=True)
    return f"{one} / {other}: " + ", ".join(f"{statistics.median(column):.2f}" for column in columns)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photo", type=Path, default=SAMPLE, help="photo with one masked face")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=20, help="rounds of the face")
    parser.add_argument("--rounds", type=int, default=5, help="of processes and folders")
    parser.add_argument("--count", type=int, default=32, help="photos of the folder")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(given.threads)
    sys.path.insert(0, str(Path(__file__).resolve().parent))

    print(machine(given.threads))
    whole = processes(given.photo, given.threads, given.rounds)
    table("whole process (s, GB)", ("wall", "processor", "memory"), whole, 2)
    print(ratio(whole, "unmask restore", "library, torch"))
    face = per_face(given.photo, given.threads, given.runs)
    table("one face, after loading (ms)", ("wall", "processor"), face, 1)
    print(ratio(face, "restore, onnx", "restore, torch"))
    rates = folders(given.photo, given.threads, given.rounds, given.count)
    table("photos of a folder a second", ("wall", "processor"), rates, 2)
    print(ratio(rates, "onnx", "torch"))
    if given.json:
        found = {"machine": machine(given.threads), "process": whole, "ms": face, "photos_per_second": rates}
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
