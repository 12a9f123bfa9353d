"""Frames a second of a clip with one face, beside each of its frames restored for itself.

    python benchmarks/clips.py [--photo FILE] [--side 640] [--frames 60] [--json FILE]

The clip is the photo, slowly turned and shifted, with noise. Decoding and encoding are part of both. Workers have one
thread. On a busy machine the processor time tells more than the clock: divided by two it is what two free cores would
take at best. Aim: 10 frames a second on two cores.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from flicker import motion
from restore import SAMPLE, machine


def make(photo: Path, out: Path, side: int, frames: int, noise: float = 2.0) -> None:
    """Write the clip, ``side`` pixels on its longer side."""
    from unmask import images
    from unmask.faces import align
    from unmask.video import clip

    pixels = images.read(photo).pixels
    k = side / max(pixels.shape[:2])
    pixels = cv2.resize(pixels, None, fx=k, fy=k, interpolation=cv2.INTER_CUBIC)
    rng = np.random.default_rng(0)
    writer = clip.PartWriter(out, ".mp4")
    for t in range(frames):
        moved = align.warp(pixels, motion(t, pixels.shape[:2]), pixels.shape[:2], border="replicate")
        noisy = np.rint(moved + rng.normal(0, noise, moved.shape)).clip(0, 255).astype(np.uint8)
        writer.add(clip.Frame(noisy, t, Fraction(1, 25), {}))
    writer.close()


def timed(step: Callable[[], Any], frames: int) -> dict[str, float]:
    """Frames a second by the clock, and processor time a frame in ms."""
    start, used = time.perf_counter(), time.process_time()
    step()
    wall, busy = time.perf_counter() - start, time.process_time() - used
    return {"frames/s": frames / wall, "ms of processor a frame": 1e3 * busy / frames}


def measure(photo: Path, side: int, frames: int) -> dict[str, dict[str, float]]:
    """Both, in this process."""
    from unmask import Restorer
    from unmask.engines import sessions
    from unmask.video import clip
    from unmask.video.restore import restore_clip

    with sessions.one_thread_each(), tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "clip.nut"
        make(photo, source, side, frames)
        restorer = Restorer.from_pretrained(device="cpu")
        restorer.restore(next(clip.frames(source)).pixels)  # what is built on first use
        found, find = [0], restorer.find

        def counted(*given: Any) -> Any:
            found[0] += 1
            return find(*given)

        def alone() -> None:
            writer = clip.PartWriter(Path(folder) / "alone.nut", ".mp4")
            for frame in clip.frames(source):
                writer.add(replace(frame, pixels=restorer.restore(frame.pixels).pixels))
            writer.close()

        figures = {"each frame for itself, one thread": timed(alone, frames)}
        restorer.find = counted  # type: ignore[method-assign]
        figures["restore_clip"] = timed(lambda: restore_clip(restorer, source, Path(folder) / "restored.mp4"), frames)
        figures["restore_clip"]["frames in which faces were looked for"] = found[0]
        return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photo", type=Path, default=SAMPLE, help="photo with one masked face")
    parser.add_argument("--side", type=int, default=640, help="pixels of the longer side")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    print(machine(1))
    figures = measure(given.photo, given.side, given.frames)
    for name, parts in figures.items():
        print(f"{name:36}" + ", ".join(f"{value:.1f} {what}" for what, value in parts.items()))
    alone, whole = figures.values()
    print(f"{whole['frames/s'] / alone['frames/s']:.2f} times as fast as each frame for itself")
    if given.json:
        given.json.write_text(json.dumps({"machine": machine(1), "clips": figures}, indent=1))


if __name__ == "__main__":
    main()
