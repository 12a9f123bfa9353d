"""What a reference photo gives: masked photos restored without one, with the person's own, and with a stranger's.

    python benchmarks/reference.py --photos FOLDER_OR_ZIP --recognizer JUDGE.onnx [--sheet reference.png]

The photos are named PERSON_something.EXT, two or more a person. The first of each gets a simulated face mask, the
second is the reference. The judge, which should have been in no loss, compares the restored face with the bare face of
the first photo and with the reference; identity of the bare faces of both photos stands beside.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import PurePath
from typing import Any

import numpy as np
from PIL import Image

from unmask import Restorer, images, recognition
from unmask.evaluation.pairs.pictures import open_pictures
from unmask.faces import align
from unmask.simulation.simulate import simulate


def main() -> None:
    """Print a row for each kind of reference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", required=True)
    parser.add_argument("--recognizer", required=True)
    parser.add_argument("--limit", type=int, default=40, help="people")
    parser.add_argument("--sheet")
    given = parser.parse_args()
    judge, plain = recognition.load(given.recognizer), Restorer.from_pretrained(device="cpu")
    people = photos_of(given.photos, given.limit)
    likeness: dict[str, list[tuple[float, float]]] = defaultdict(list)
    used: dict[str, int] = defaultdict(int)
    rows = []
    for n, (bare, reference) in enumerate(people):
        kps = plain.find(bare, "largest")[0].kps
        masked = simulate(bare, kps, np.random.default_rng(n)).image
        strange = people[(n + 1) % len(people)][1]
        truth = embedding(judge, bare, kps)
        there = plain.find(reference, "largest")[0].kps
        other = embedding(judge, reference, there)
        likeness["bare face"].append((1.0, float(truth @ other)))
        likeness["masked"].append((float(embedding(judge, masked, kps) @ truth), float("nan")))
        row = [cut(bare, kps), cut(masked, kps)]
        for name, photos in (("none", []), ("the person", [reference]), ("somebody else", [strange])):
            restorer = Restorer.from_pretrained(device="cpu", reference=photos) if photos else plain
            done = restorer.restore(masked, face="largest")
            face = next(one for one in done.faces if one.status == "restored")
            used[name] += "not used" not in done.summary()
            found = embedding(judge, done.pixels, kps)
            likeness[f"reference: {name}"].append((float(found @ truth), float(found @ other)))
            row.append(cut(done.pixels, face.kps))
        rows.append([*row, cut(reference, there)])
    print(f"{len(people)} people; of a stranger's references {used['somebody else']} were used, "
          f"of the person's own {used['the person']}\n")  # fmt: skip
    print("| reference | cosine to the bare face | cosine to the reference photo |\n|---|---|---|")
    for name, found in likeness.items():
        true, shown = np.mean(found, axis=0)
        print(f"| {name} | {true:.3f} | {shown:.3f} |")
    if given.sheet:
        heads = ["bare", "masked", "without", "own photo", "a stranger's", "own photo is"]
        Image.fromarray(images.sheet(rows[:8], heads)).save(given.sheet)


def photos_of(place: str, limit: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Two photos of each person."""
    pictures = open_pictures(place)
    keys: dict[str, list[str]] = defaultdict(list)
    for key in sorted(set(pictures._keys.values())):
        keys[PurePath(key).stem.partition("_")[0]].append(key)
    several = [found for found in keys.values() if len(found) > 1][:limit]
    first, second = ([images.read(pictures.read(found[i])).pixels for found in several] for i in (0, 1))
    return list(zip(first, second, strict=True))


def embedding(judge: Any, photo: np.ndarray, kps: np.ndarray) -> np.ndarray:
    """The judge's view of a photo [H,W,3]."""
    crop, _ = align.crop_face(photo, kps, judge.template, judge.size)
    return np.asarray(judge.embed(images.to_float([crop]))[0])


def cut(photo: np.ndarray, kps: np.ndarray, side: int = 256) -> np.ndarray:
    """The face in a photo, for the sheet."""
    return np.asarray(align.crop_face(photo, kps, "ffhq", side)[0])


if __name__ == "__main__":
    main()
