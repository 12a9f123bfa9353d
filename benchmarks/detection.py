"""Detectors on held-out photos, bare and with simulated face masks, and on photos of people who wear real ones.

    python benchmarks/detection.py --data DATA --teacher scrfd_2.5g_bnkps.onnx embedded scrfd_2.5g_bnkps.onnx

Prints a Markdown table. Faces and points that count as true are those of ``faces.csv`` (the teacher's on bare photos):
``recall`` at score 0.5 and IoU 0.5, false faces per photo, and the points' mean distance over the distance of the eyes,
on the same photos bare and with face masks. ``worn`` is the share of photos in which the detector finds the
face that the teacher finds (largest, IoU 0.4), over every second photo (those that training left alone).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from unmask.data import photos
from unmask.faces.detect import Face, load_detector
from unmask.simulation import simulate
from unmask.training.tasks.detector import points_error

Faces = list[Face]


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    common = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(common / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - common))


def compare(found: Faces, photo: photos.LabelledPhoto) -> tuple[int, int, list[float]]:
    """Faces found, false ones, and errors of the points of the found ones."""
    hits, errors, used = 0, [], set()
    for box, points in zip(photo.boxes[photo.sure], photo.points[photo.sure], strict=True):
        best = max(range(len(found)), key=lambda k: iou(found[k].bbox, box), default=None)
        if best is not None and iou(found[best].bbox, box) >= 0.5:
            hits += 1
            used.add(best)
            errors.append(points_error(found[best].kps, points))
    return hits, len(found) - len(used), errors


def dressed(photo: photos.LabelledPhoto, seed: int) -> np.ndarray:
    """The photo with a simulated face mask on every face."""
    rng, pixels = np.random.default_rng(seed), photo.pixels
    for points in photo.points[photo.sure]:
        pixels = simulate.simulate(pixels, points, rng).image
    return pixels


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("detectors", nargs="+")
    options = parser.parse_args()
    held = photos.load(options.data / "wild", "val")
    masked = [dressed(photo, i) for i, photo in enumerate(held)]
    total = sum(int(photo.sure.sum()) for photo in held)
    worn = photos.load(options.data / "real_masks_dev", "val", load_detector(options.teacher), every=2, dressed=True)
    print("| detector | recall | false | points | recall, masked | false, masked | points, masked | worn |")
    print("|---|---|---|---|---|---|---|---|")
    for name in options.detectors:
        detector = load_detector(name)
        cells = [Path(name).stem]
        for pictures in ([p.pixels for p in held], masked):
            parts = [compare(detector.detect(x), p) for x, p in zip(pictures, held, strict=True)]
            errors = [e for part in parts for e in part[2]]
            cells += [
                f"{sum(p[0] for p in parts) / total:.3f}",
                f"{sum(p[1] for p in parts) / len(held):.2f}",
                f"{np.mean(errors):.3f}",
            ]
        seen = [p for p in worn if p.sure.any()]
        hits = [any(iou(f.bbox, largest(p)) >= 0.4 for f in detector.detect(p.pixels)) for p in seen]
        print("| " + " | ".join([*cells, f"{np.mean(hits):.3f} of {len(hits)}"]) + " |", flush=True)


def largest(photo: photos.LabelledPhoto) -> np.ndarray:
    """The box of the largest face."""
    boxes = photo.boxes[photo.sure]
    return boxes[(boxes[:, 2:] - boxes[:, :2]).prod(1).argmax()]


if __name__ == "__main__":
    main()
