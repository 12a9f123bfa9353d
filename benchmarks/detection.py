"""What is restored in photos of all sizes: one face where there is one, nothing where there is none.

    python benchmarks/detection.py --data DATA --teacher scrfd.onnx [--every 4] [--rows masked,bare] DETECTOR ...

Prints a Markdown table with a column for each DETECTOR ("embedded" or an ONNX file) without and with the second look,
where the pack has one. Counted is what ``Restorer.locate`` would have painted.

DATA holds ``london_dev``, ``lfw_dev``, ``wild``, ``scenes`` and ``real_masks_dev``; only pictures are used that
training left out: of ``scenes`` every third, of ``real_masks_dev`` every second, of ``wild`` every tenth. ``--every N``
takes each N-th of them. Further pictures without a face can be given with ``--empty FOLDER`` (every third of its
images.zip).
"""

from __future__ import annotations

import argparse
import io
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from unmask import Restorer
from unmask.data import backgrounds, photos
from unmask.data.shapes import drawn
from unmask.errors import NoFaceError
from unmask.faces import align
from unmask.faces.candidates import overlaps
from unmask.faces.detect import Face, load_detector
from unmask.images import read
from unmask.simulation import simulate

SIZES = (400, 640, 1000, 1600, 3000)
SAMPLE = Path(__file__).resolve().parents[1] / "samples" / "astronaut-masked.png"
TURN = 20.0  # degrees by which a face may be painted askew


@dataclass(frozen=True)
class Case:
    """A picture uint8 [H,W,3] and the faces in it (as on the bare photo, under a simulated face mask)."""

    pixels: np.ndarray
    faces: list[Face]


Metric = Callable[[list[Face], Case], tuple[float, float]]  # painted faces and the case -> hits, of how many


class Once:
    """A detector that keeps its last answer: with and without the second look it is asked for the same photo."""

    def __init__(self, name: str) -> None:
        self.inner, self.last = load_detector(name), (np.zeros(0), [])

    def detect(self, image: np.ndarray, max_faces: int | None = None) -> list[Face]:
        """The faces of a photo, found once."""
        if self.last[0] is not image:
            self.last = (image, self.inner.detect(image))
        return self.last[1]


def painted(restorer: Restorer, pixels: np.ndarray) -> list[Face]:
    """The faces that would be restored."""
    try:
        located = restorer.locate(pixels)
    except NoFaceError:
        return []
    chosen = [located.chosen[i] for i in located.masked]
    return [Face(np.asarray(f.bbox), np.asarray(f.kps), float(f.det_score)) for f in chosen]


def same(found: Face, true: Face) -> bool:
    """Whether two faces lie on each other and are turned alike."""
    turn = abs((found.roll - true.roll + 180) % 360 - 180)
    return bool(overlaps(found.bbox[None], true.bbox[None])[0][0, 0] >= 0.4 and turn <= TURN)


def exactly_one(found: list[Face], case: Case) -> tuple[float, float]:
    """A hit is one face restored, where it is and as it lies."""
    return float(len(found) == 1 and same(found[0], case.faces[0])), 1


def nothing(found: list[Face], case: Case) -> tuple[float, float]:
    """A hit is a picture left alone."""
    return float(not found), 1


def recall(found: list[Face], case: Case) -> tuple[float, float]:
    """Hits are faces that the teacher finds and that are restored."""
    return sum(any(same(f, true) for f in found) for true in case.faces), len(case.faces)


def no_part(found: list[Face], case: Case) -> tuple[float, float]:
    """A hit is a picture in which no restored face lies in another."""
    boxes = np.array([f.bbox for f in found]).reshape(-1, 4)
    inside = overlaps(boxes, boxes)[1] - np.eye(len(boxes))
    return float(not (inside > 0.5).any()), 1


class Pictures:
    """The sets of pictures, each N-th of what training left out."""

    def __init__(self, data: Path, teacher: str, every: int, empty: list[Path]) -> None:
        self.data, self.every, self.empty = data, every, empty
        self.teacher = load_detector(teacher)

    def stored(self, name: str, rows: slice) -> Iterator[np.ndarray]:
        """Pictures of a set, in the order of their names."""
        with zipfile.ZipFile(self.data / name / "images.zip") as archive:
            names = [n for n in sorted(archive.namelist()) if not n.endswith("/")][rows]
            for one in names[:: self.every]:
                yield np.asarray(Image.open(io.BytesIO(archive.read(one))).convert("RGB"))

    def masked(self, size: int, degrees: float = 0.0) -> Iterator[Case]:
        """Adults with simulated face masks; the photo turned counterclockwise."""
        for i, bare in enumerate(self.stored("london_dev", slice(0, None, 2))):
            face = self.teacher.detect(bare)[0]
            pixels = simulate.simulate(bare, face.kps, np.random.default_rng(i)).image
            yield turned(scaled(Case(pixels, [face]), size), degrees)

    def masked_lfw(self) -> Iterator[Case]:
        """The middle faces of 200 photos of LFW, 250 pixels, with simulated face masks."""
        for i, bare in enumerate(self.stored("lfw_dev", slice(0, 200 * 10, 10))):
            faces = self.teacher.detect(bare)
            middle = np.array(bare.shape[1::-1]) / 2
            faces.sort(key=lambda f: float(np.hypot(*((f.bbox[:2] + f.bbox[2:]) / 2 - middle))))
            if faces:
                yield Case(simulate.simulate(bare, faces[0].kps, np.random.default_rng(i)).image, faces[:1])

    def worn(self, size: int) -> Iterator[Case]:
        """Real face masks, faces by the teacher."""
        for pixels in self.stored("real_masks_dev", slice(0, None, 2)):
            faces = [f for f in self.teacher.detect(pixels) if f.side >= 16]
            yield scaled(Case(pixels, faces), size)

    def bare(self) -> Iterator[Case]:
        """150 photos of bare faces at 1200 pixels."""
        for pixels in self.stored("london_dev", slice(1, None, 2)):
            yield scaled(Case(pixels, []), 1200)
        for pixels in self.stored("lfw_dev", slice(0, 99 * 20, 20)):
            yield scaled(Case(pixels, []), 1200)

    def wild(self) -> Iterator[Case]:
        """Whole photos of bare faces at their own size."""
        return (Case(pixels, []) for pixels in self.stored("wild", slice(0, None, photos.HELD_OUT_EVERY)))

    def faceless(self) -> Iterator[Case]:
        """Photos without a face, and drawings."""
        yield from (Case(pixels, []) for pixels in self.stored("scenes", slice(0, None, 3)))
        for i in range(0, 60, self.every):
            yield Case(drawn(900, np.random.default_rng([9000, i])), [])
        for folder in self.empty:
            for picture in backgrounds.load_empty(folder, "val")[:: self.every]:
                yield scaled(Case(on_paper(picture), []), 1000)

    def sample(self, size: int) -> Iterator[Case]:
        """The bundled sample."""
        pixels = read(SAMPLE).pixels
        yield scaled(Case(pixels, self.teacher.detect(pixels)[:1]), size)


def scaled(case: Case, longer: int) -> Case:
    """The case with ``longer`` pixels on the longer side."""
    height, width = case.pixels.shape[:2]
    k = longer / max(height, width)
    how = cv2.INTER_AREA if k < 1 else cv2.INTER_CUBIC
    pixels = cv2.resize(case.pixels, (round(width * k), round(height * k)), interpolation=how)
    return Case(pixels, [Face(f.bbox * k, f.kps * k, f.det_score) for f in case.faces])


def turned(case: Case, degrees: float) -> Case:
    """The case turned counterclockwise, on a canvas that holds all of it."""
    if not degrees:
        return case
    height, width = case.pixels.shape[:2]
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    wide, high = int(np.ceil(abs(c) * width + abs(s) * height)), int(np.ceil(abs(s) * width + abs(c) * height))
    linear = np.array([[c, s], [-s, c]])
    middle = np.array([width - 1, height - 1]) / 2
    matrix = np.concatenate([linear, (np.array([wide - 1, high - 1]) / 2 - linear @ middle)[:, None]], 1)
    pixels = cv2.warpAffine(case.pixels, matrix, (wide, high), flags=cv2.INTER_LINEAR, borderValue=(128, 128, 128))
    faces = []
    for face in case.faces:
        x, y = align.transform_points((face.bbox[:2] + face.bbox[2:]) / 2, matrix)
        reach = np.sqrt(((linear * (face.bbox[2:] - face.bbox[:2]) / 2) ** 2).sum(1))
        box = np.array([x - reach[0], y - reach[1], x + reach[0], y + reach[1]])
        faces.append(Face(box, align.transform_points(face.kps, matrix), face.det_score))
    return Case(pixels, faces)


def on_paper(picture: np.ndarray) -> np.ndarray:
    """A cut-out thing [H,W,4] on light grey."""
    if picture.shape[2] == 3:
        return picture
    alpha = picture[..., 3:] / 255.0
    return np.asarray(picture[..., :3] * alpha + 230 * (1 - alpha), np.uint8)


def shift(found: list[Face], case: Case) -> float:
    """How far a crop of 128 pixels lies from where the bare face's points put it: mean over its pixels."""
    target = align.template("ffhq", 128)
    near = [f for f in found if overlaps(f.bbox[None], case.faces[0].bbox[None])[0][0, 0] >= 0.4]
    if not near:
        return float("nan")
    true = align.similarity(case.faces[0].kps, target)
    moved = align.compose(align.similarity(near[0].kps, target), align.invert(true))
    spots = np.stack(np.meshgrid(np.arange(128.0), np.arange(128.0)), -1).reshape(-1, 2)
    return float(np.linalg.norm(align.transform_points(spots, moved) - spots, axis=1).mean())


def rows(sets: Pictures) -> dict[str, list[tuple[str, Callable[[], Iterator[Case]], list[tuple[str, Metric]]]]]:
    """All rows: what is shown, the pictures, and how each is judged."""
    one, none = [("exactly one restored", exactly_one)], [("left alone", nothing)]
    worn = [("restored of the teacher's faces", recall), ("photos without a face in a face", no_part)]
    return {
        "sample": [(f"sample, {s} px", lambda s=s: sets.sample(s), one) for s in (320, 640, 1280, 2560)],
        "masked": [(f"simulated face masks, {s} px", lambda s=s: sets.masked(s), one) for s in SIZES],
        "worn": [(f"real face masks, {s} px", lambda s=s: sets.worn(s), worn) for s in SIZES],
        "turned": [
            (f"simulated face masks, 1000 px, turned by {d}", lambda d=d: sets.masked(1000, d), one)
            for d in (30, 60, 90, 180, 270)
        ],
        "bare": [("bare faces, 1200 px", sets.bare, none)],
        "wild": [("bare faces in whole photos, own size", sets.wild, none)],
        "faceless": [("no face: photos, drawings, things", sets.faceless, none)],
    }


def main() -> None:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--rows", default="sample,masked,worn,turned,bare,wild,faceless,shift,time")
    parser.add_argument("--empty", type=Path, action="append", default=[])
    parser.add_argument("detectors", nargs="+")
    options = parser.parse_args()
    sets, restorer = Pictures(options.data, options.teacher, options.every, options.empty), Restorer.from_pretrained()
    looks = [None] if getattr(restorer, "landmarker", None) is None else [None, restorer.landmarker]
    detectors = {Path(name).stem: Once(name) for name in options.detectors}
    columns = [(name, look) for name in detectors for look in looks]
    print("| pictures | counted |", *(f"{n}{', second look' if look else ''} |" for n, look in columns))
    print("|---" * (2 + len(columns)) + "|")
    wanted = options.rows.split(",")

    def found(name: str, look: object, pixels: np.ndarray) -> list[Face]:
        restorer.detector, restorer.landmarker = detectors[name], look
        return painted(restorer, pixels)

    for what, cases, metrics in [row for key, part in rows(sets).items() if key in wanted for row in part]:
        sums = np.zeros((len(metrics), len(columns), 2))
        for case in cases():
            for k, column in enumerate(columns):
                faces = found(*column, case.pixels)
                for j, (_, metric) in enumerate(metrics):
                    sums[j, k] += metric(faces, case)
        for j, (counted, _) in enumerate(metrics):
            print(f"| {what} | {counted} |", *(f"{hit:.0f} of {of:.0f} |" for hit, of in sums[j]), flush=True)
    for what, cases in (("400 px", sets.masked(400)), ("LFW", sets.masked_lfw())) if "shift" in wanted else ():
        off = [[shift(found(*column, case.pixels), case) for column in columns] for case in cases]
        cells = (f"{np.nanmedian(o):.2f} ({np.nanpercentile(o, 90):.1f}) |" for o in np.transpose(off))
        print(f"| simulated face masks, {what} | shift of the crop, px of 128: median (p90) |", *cells, flush=True)
    for size in (1280, 8064) if "time" in wanted else ():
        pixels = next(sets.masked(size)).pixels
        cells = [f"{timed(detectors[name].inner.detect, pixels):.0f} |" for name, _ in columns]
        print(f"| {pixels.shape[1]}x{pixels.shape[0]} px | detector, ms |", *cells, flush=True)


def timed(detect: Callable[[np.ndarray], object], pixels: np.ndarray) -> float:
    """Processor time of one call in ms, the least of three."""
    spent = []
    for _ in range(3):
        start = time.process_time()
        detect(pixels)
        spent.append(time.process_time() - start)
    return min(spent) * 1e3


if __name__ == "__main__":
    main()
