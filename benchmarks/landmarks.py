"""The second look at detected faces: what is a face, how is it turned, where are the points under a face mask.

    python benchmarks/landmarks.py --data DATA --teacher scrfd_2.5g_bnkps.onnx --count 500

Prints Markdown tables. True points are those that the teacher finds on the bare photos of LFW (people in no training);
the face masks are simulated. ``shift`` is how far the 128-px crop aligned by the points found on the masked photo lies
from that of the true ones, in its pixels, mean over them (and, beside it, over the five places of the template).
``roll`` starts from a candidate without any turn. Faces and no faces: bare and masked LFW faces, the half of the photos
of people in real face masks that training left alone, and what the embedded detector takes for faces at a low score on
held-out photos without faces or away from them, at their size and enlarged.
"""

from __future__ import annotations

import argparse
import io
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from unmask.data import photos
from unmask.faces import align, landmarks
from unmask.faces.detect import Face, load_detector
from unmask.simulation import simulate

AGAIN = " + second look"
TARGET = align.template("ffhq", 128)
Shifts = list[tuple[float, float]]


def central(faces: list[Face], image: np.ndarray) -> Face | None:
    """The face nearest to the middle of the photo."""
    middle = np.array(image.shape[1::-1]) / 2
    return min(faces, key=lambda f: float(np.hypot(*((f.bbox[:2] + f.bbox[2:]) / 2 - middle))), default=None)


def shifts(found: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Over the crop's pixels, and over the template's five places."""
    moved = align.compose(align.similarity(found, TARGET), align.invert(align.similarity(true, TARGET)))
    of_points = float(np.linalg.norm(align.transform_points(TARGET, moved) - TARGET, axis=1).mean())
    return landmarks.shift(found, true), of_points


def turned(image: np.ndarray, points: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """The photo turned clockwise on a canvas that holds all of it, and the points there."""
    height, width = image.shape[:2]
    side = int(np.hypot(height, width)) + 2
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 1.0)
    matrix[:, 2] += side / 2 - np.array([width, height]) / 2
    return cv2.warpAffine(image, matrix, (side, side)), align.transform_points(points, matrix)


def lfw(data: Path, count: int) -> list[np.ndarray]:
    """Photos of ``count`` images of LFW, drawn evenly."""
    with zipfile.ZipFile(data / "lfw_dev" / "images.zip") as archive:
        names = sorted(n for n in archive.namelist() if n.endswith(".jpg"))
        chosen = np.random.default_rng(0).permutation(len(names))[:count]
        return [np.asarray(Image.open(io.BytesIO(archive.read(names[i]))).convert("RGB")) for i in chosen]


def summary(values: list[float]) -> str:
    """Median and ninth decile, as two cells."""
    return f"{np.median(values):.2f} | {np.quantile(values, 0.9):.2f}"


def alignment(options: argparse.Namespace, landmarker: landmarks.Landmarker) -> tuple[list[float], list[float]]:
    """Prints shifts and the roll's errors; returns face scores of the masked faces and of the bare ones."""
    teacher, own = load_detector(options.teacher), load_detector("embedded")
    found: dict[str, Shifts] = {f"{name}{more}": [] for more in ("", AGAIN) for name in ("embedded", "teacher")}
    rolls: list[float] = []
    masked: list[float] = []
    bare: list[float] = []
    for i, image in enumerate(lfw(options.data, options.count)):
        true = central(teacher.detect(image), image)
        if true is None:
            continue
        rng = np.random.default_rng([5, i])
        worn = simulate.simulate(image, true.kps, rng).image
        bare += [result.face for result in landmarker.predict(image, [true.kps])]
        for name, detector in (("embedded", own), ("teacher", teacher)):
            face = central(detector.detect(worn), worn)
            if face is None:
                continue
            (result,) = landmarker.predict(worn, [face.kps], options.rounds)
            found[name].append(shifts(face.kps, true.kps))
            found[f"{name}{AGAIN}"].append(shifts(result.kps, true.kps))
            masked.append(result.face)
        angle = float(rng.uniform(-180, 180))
        round_, there = turned(worn, true.kps, angle)
        upright = (true.kps - true.kps.mean(0)) * np.exp(rng.normal(0, 0.1)) + there.mean(0) + rng.normal(0, 5, 2)
        (result,) = landmarker.predict(round_, [upright], options.rounds)
        own_roll = landmarks.degrees(align.similarity(there, TARGET))
        rolls.append(abs((result.roll - own_roll + 180) % 360 - 180))
    print("| points of | faces | shift, median | p90 | template's places, median | p90 |\n|---|---|---|---|---|---|")
    for name, pairs in found.items():
        print(f"| {name} | {len(pairs)} | {summary([p[0] for p in pairs])} | {summary([p[1] for p in pairs])} |")
    far = np.mean(np.array(rolls) > 20)
    print(f"\nroll, any angle, degrees: median and p90 {summary(rolls)}; beyond 20: {far:.3f} of {len(rolls)}")
    return masked, bare


def negatives(options: argparse.Namespace, landmarker: landmarks.Landmarker) -> list[float]:
    """Face scores of false candidates on held-out photos."""
    detector = load_detector("embedded", 0.3)
    held = photos.load(options.data / "scenes", "val", every=3, faceless=True)
    held += photos.load(options.data / "wild", "val", every=3)
    scores: list[float] = []
    for photo in held[: options.photos]:
        for zoom in (1.0, 3.0):
            large = cv2.resize(photo.pixels, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
            faces = detector.detect(large)
            results = landmarker.predict(large, [f.kps for f in faces], options.rounds)
            true = [zoom * points for points in photo.points]
            for result in results:
                if not any(landmarks.same(result.kps, one) for one in true):
                    scores.append(result.face)
    return scores


def main() -> None:
    """Print the tables of the second look."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--landmarker", default="landmarker")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=landmarks.ROUNDS)
    options = parser.parse_args()
    landmarker = landmarks.Landmarker(options.landmarker)
    masked, bare = alignment(options, landmarker)
    teacher = load_detector(options.teacher)
    worn = photos.load(options.data / "real_masks_dev", "val", teacher, every=2, dressed=True)
    real = [landmarker.predict(p.pixels, [p.points[0]])[0] for p in worn if p.sure.any()]
    false = negatives(options, landmarker)
    print("\n| | candidates | " + " | ".join(f"score >= {t}" for t in (0.1, 0.3, 0.5, 0.7, 0.9)) + " |")
    print("|---|---|" + "---|" * 5)
    rows = {"LFW, masked": masked, "LFW, bare": bare, "real face masks": [r.face for r in real], "no faces": false}
    for name, scores in rows.items():
        shares = [f"{np.mean(np.array(scores) >= t):.3f}" for t in (0.1, 0.3, 0.5, 0.7, 0.9)]
        print(f"| {name} | {len(scores)} | " + " | ".join(shares) + " |")
    print(f"\nreal face masks with garment >= 0.5: {np.mean([r.garment >= 0.5 for r in real]):.3f} of {len(real)}")


if __name__ == "__main__":
    main()
