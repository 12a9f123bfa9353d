"""How much a restored mouth flickers: frames for themselves beside frames that are kept steady.

    python benchmarks/flicker.py [--photo FILE] [--frames 40] [--noise 3] [--threads 2] [--json FILE]

The clip is the photo, slowly turned and shifted, with noise that is drawn anew for each frame. Flicker is the mean
second difference in time over what the face mask hides, in levels of 255, on crops that the known motion aligns
(``unmask.evaluation.restoration.flicker``).
The references, in the same run, are each frame restored for itself and the forehead,
which nobody touches: all that moves there is noise.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from restore import SAMPLE, machine

FOREHEAD = (slice(0.22, 0.34), slice(0.35, 0.65))  # of an `ffhq` crop


def motion(t: int, size: tuple[int, int]) -> Any:
    """The matrix [2,3] from the photo of (height, width) to its frame ``t``."""
    import numpy as np

    turn = np.deg2rad(4 * np.sin(t / 13))
    shift = np.array([0.02 * size[1] * np.sin(t / 9), 0.015 * size[0] * np.cos(t / 11)])
    middle = np.array(size[::-1]) / 2
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.hstack([rotation, (middle + shift - rotation @ middle)[:, None]])


def measure(photo: Path, frames: int, noise: float) -> dict[str, float]:
    """Flicker of the three, in levels of 255."""
    import numpy as np

    from unmask import Restorer, images
    from unmask.evaluation.restoration.flicker import flicker
    from unmask.faces import align
    from unmask.video.temporal import Steady

    pixels = images.read(photo).pixels
    size = pixels.shape[:2]
    restorer = Restorer.from_pretrained(device="cpu")
    face = restorer.restore(pixels, face="largest").faces[0]
    rng = np.random.default_rng(0)
    moves = [motion(t, size) for t in range(frames)]
    clip = []
    for move in moves:
        moved = align.warp(pixels, move, size, border="replicate").astype(np.float32)
        clip.append(np.rint(moved + rng.normal(0, noise, moved.shape)).clip(0, 255).astype(np.uint8))

    def crops(shown: list[Any]) -> Any:
        back = [align.compose(face.matrix, align.invert(move)) for move in moves]
        return np.stack([align.warp(one, m, face.region.shape) for one, m in zip(shown, back, strict=True)])

    found = {}
    for name, keep in (("each frame for itself", 0.0), ("steady", 1.0)):
        one = Steady(restorer, face="largest", keep=keep)
        found[name] = flicker(crops([one.frame(frame)[0] for frame in clip]), face.region)
    forehead = np.zeros(face.region.shape)
    side = len(forehead)
    forehead[tuple(slice(round(s.start * side), round(s.stop * side)) for s in FOREHEAD)] = 1
    found["untouched forehead"] = flicker(crops(clip), forehead)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photo", type=Path, default=SAMPLE, help="photo with one masked face")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--noise", type=float, default=3.0, help="standard deviation, in levels of 255")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(given.threads)
    print(machine(given.threads))
    found = measure(given.photo, given.frames, given.noise)
    for name, value in found.items():
        print(f"{name:24}{value:6.2f} levels")
    ratio = found["steady"] / found["each frame for itself"]
    print(f"steady flickers {ratio:.2f} times as much as each frame for itself")
    if given.json:
        given.json.write_text(json.dumps({"machine": machine(given.threads), "flicker": found}, indent=1))


if __name__ == "__main__":
    main()
