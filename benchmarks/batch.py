"""Photos per second of ``unmask restore`` over a folder, beside a loop that restores one photo after another.

    python benchmarks/batch.py [--photo FILE] [--count 48] [--side 1200] [--threads 2] [--json FILE]

The folder is made of the photo at several sizes up to ``--side`` pixels, as JPEG. All ways write the same files; the
loop uses all threads for each photo, or only one, and the pipeline works on as many photos as there are threads. The
ratio is to the faster loop: on a busy machine that is the one with one thread.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from restore import SAMPLE, machine


def folder_of_photos(photo: Path, folder: Path, count: int, side: int) -> list[Path]:
    """``count`` JPEG files, whose longer sides go from a quarter of ``side`` up to all of it."""
    from PIL import Image

    made = []
    with Image.open(photo) as image:
        for i in range(count):
            longer = side // 4 + i % 4 * side // 4
            scale = longer / max(image.size)
            size = round(image.width * scale), round(image.height * scale)
            made.append(folder / f"{i:04d}.jpg")
            image.convert("RGB").resize(size).save(made[-1], quality=92)
    return made


def loop(photos: list[Path], out: Path, threads: int) -> tuple[float, float]:
    """Wall and processor seconds of a plain loop over ``Restorer.restore``, after a first photo that is not counted."""
    import cv2

    from unmask import Restorer

    os.environ["OMP_NUM_THREADS"] = str(threads)
    cv2.setNumThreads(threads)
    restorer = Restorer.from_pretrained(device="cpu")
    restorer.restore(photos[0], out=out / "warm.jpg")
    start, used = time.perf_counter(), time.process_time()
    for photo in photos:
        restorer.restore(photo, out=out / photo.name)
    return time.perf_counter() - start, time.process_time() - used


def pipeline(photos: list[Path], out: Path, threads: int, engine: str = "auto") -> tuple[float, float]:
    """Seconds that the same photos take through the pipeline, likewise."""
    from unmask import Restorer, engines
    from unmask.batch import step
    from unmask.batch.jobs import Job, Wanted
    from unmask.batch.manifest import of_shard

    with engines.one_thread_each():
        restorer = Restorer.from_pretrained(device="cpu", engine=engine)
        restorer.restore(photos[0], out=out / "warm.jpg")
        kept = of_shard(out)
        work = step.Step(restorer, Wanted(), kept, kept.add)
        start, used = time.perf_counter(), time.process_time()
        done = list(step.run([Job(photo, out / photo.name, photo.name) for photo in photos], work, threads))
        seconds = time.perf_counter() - start, time.process_time() - used
    assert all(one.error is None for one in done), [one.error for one in done if one.error]
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photo", type=Path, default=SAMPLE, help="photo with one masked face")
    parser.add_argument("--count", type=int, default=48)
    parser.add_argument("--side", type=int, default=1200, help="longer side of the largest photos, in pixels")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(given.threads)

    print(machine(given.threads))
    with tempfile.TemporaryDirectory() as place, contextlib.redirect_stdout(io.StringIO()):
        (Path(place) / "in").mkdir()
        photos = folder_of_photos(given.photo, Path(place) / "in", given.count, given.side)
        ways = {
            "loop, all threads": lambda out: loop(photos, out, given.threads),
            "loop, one thread": lambda out: loop(photos, out, 1),
            "pipeline": lambda out: pipeline(photos, out, given.threads),
        }
        rates, busy = {}, {}
        for name, way in ways.items():
            (Path(place) / name).mkdir()
            seconds, busy[name] = way(Path(place) / name)
            rates[name] = given.count / seconds
    for name, rate in rates.items():
        print(f"{name:20}{rate:8.2f} photos/s, {busy[name] / given.count:.3f} s of processor time a photo")
    best = max(rate for name, rate in rates.items() if name != "pipeline")
    print(f"the pipeline does {rates['pipeline'] / best:.2f} times the photos of the faster loop")
    if given.json:
        given.json.write_text(json.dumps({"machine": machine(given.threads), "photos_per_second": rates}, indent=1))


if __name__ == "__main__":
    main()
