"""A folder of photos to a source of aligned faces for training: found, aligned, filtered, with a table and a report."""

from __future__ import annotations

import contextlib
import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .. import files, images
from ..data import face_sets
from ..errors import UnmaskError
from ..faces import align
from . import pipeline
from .jobs import Job

if TYPE_CHECKING:
    from ..faces.detect import Detector, Face
    from ..restore.located import SegmenterLike

NEAR = 6  # bits of 64 in which the fingerprints of two pictures of the same moment may differ
REASONS = (
    "unreadable", "no face", "several faces", "too small", "cut off", "blurred", "face mask", "duplicate",
)  # fmt: skip


@dataclass(frozen=True)
class Filters:
    """What a face must be to be kept.

    Attributes:
        size, template: of the crops.
        faces: of a photo with several: "one" (drop the photo), "largest" or "all".
        min_scale: pixels of the photo for a pixel of the crop, at least; below 1 the crop is enlarged.
        min_sharpness: of :func:`sharpness`.
        max_outside: share of the crop that may lie outside the photo.
        masked: keep faces that wear a face mask; their points are guesses and their mouths unknown.
        people: take the folder of a photo for the identity of its face.
    """

    size: int = 128
    template: str = "ffhq"
    faces: str = "one"
    min_scale: float = 0.75
    min_sharpness: float = 0.08
    max_outside: float = 0.15
    masked: bool = False
    people: bool = False


@dataclass
class Candidate:
    """A face of a photo on its way: its crop uint8 [S,S,3], its points in the crop, and why it is dropped, if it is."""

    job: Job
    crop: NDArray[np.uint8] | None = None
    points: NDArray[np.float64] | None = None
    reason: str = ""
    detail: str = ""


@dataclass
class Report:
    """What became of the photos: faces kept, and every dropped one as (file, reason, detail)."""

    kept: int = 0
    dropped: list[tuple[str, str, str]] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """How many were dropped for each reason, in a fixed order, without the reasons that did not occur."""
        found = {reason: sum(one == reason for _, one, _ in self.dropped) for reason in REASONS}
        return {reason: count for reason, count in found.items() if count}


def prepare(
    jobs: Sequence[Job],
    out: Path,
    detector: Detector,
    segmenter: SegmenterLike | None,
    filters: Filters,
    workers: int = 2,
    progress: Any = iter,
) -> Report:
    """Write the source ``out`` (a folder, or a zip with its ``index.csv`` beside it) from photos.

    Args:
        jobs: the photos.
        segmenter: says who wears a face mask; None does not ask.
        progress: wraps the photos as they are done, for a progress bar.

    Raises:
        UnmaskError: ``out`` or its table exists, cannot be written, or nothing was kept. Nothing is written then.
    """
    final = _places(out)
    for place in final.values():
        if place.exists():
            raise UnmaskError(f"{place}: exists; give another -o, or remove it")
    report, seen = Report(), list[int]()
    with _staged(out) as stage:
        with _Writer(stage, out, filters) as writer:
            for candidate in progress(candidates(jobs, detector, segmenter, filters, workers)):
                if not candidate.reason and candidate.crop is not None:
                    _drop_repeated(candidate, seen)
                if candidate.reason:
                    report.dropped.append((candidate.job.key, candidate.reason, candidate.detail))
                else:
                    writer.add(candidate)
        report.kept = writer.count
        if not writer.count:
            why = ", ".join(f"{count} {reason}" for reason, count in report.counts().items())
            raise UnmaskError(f"{out}: nothing to write, all photos were dropped ({why}); loosen the filters")
        with (stage / "report.csv").open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
            csv.writer(stream).writerows([("file", "reason", "detail"), *report.dropped])
        _move(stage, out, final)
    return report


def candidates(
    jobs: Iterable[Job], detector: Detector, segmenter: SegmenterLike | None, filters: Filters, workers: int = 2
) -> Iterator[Candidate]:
    """The faces of photos in order, each with the reason for which it is dropped, duplicates not yet seen."""

    def fill(groups: Sequence[list[Candidate]]) -> None:
        asked = [one for group in groups for one in group if not one.reason and one.crop is not None]
        if segmenter is None or filters.masked or not asked:
            return
        from ..restore.located import wears_mask

        region, scores = segmenter.predict(images.to_float([one.crop for one in asked if one.crop is not None]))
        for one, score, worn in zip(asked, scores.tolist(), wears_mask(region, scores).tolist(), strict=True):
            if worn:
                one.reason, one.detail = "face mask", f"score {score:.2f}"

    def open(job: Job) -> list[Candidate]:
        return _faces_of(job, detector, filters)

    def close(group: list[Candidate]) -> list[Candidate]:
        return group

    through = pipeline.run(jobs, open, fill, close, workers=workers, ahead=4 * workers)
    for job, result in through:
        if isinstance(result, Exception):
            yield Candidate(job, reason="unreadable", detail=str(result))
        else:
            yield from result


def _faces_of(job: Job, detector: Detector, filters: Filters) -> list[Candidate]:
    """The faces of one photo, cropped and judged."""
    assert job.source is not None
    pixels = images.read(job.source).pixels
    faces = detector.detect(pixels)
    if not faces:
        return [Candidate(job, reason="no face")]
    if filters.faces == "one" and len(faces) > 1:
        return [Candidate(job, reason="several faces", detail=str(len(faces)))]
    return [_assessed(job, pixels, face, filters) for face in (faces if filters.faces == "all" else faces[:1])]


def _assessed(job: Job, pixels: NDArray[np.uint8], face: Face, filters: Filters) -> Candidate:
    crop, matrix = align.crop_face(pixels, face.kps, filters.template, filters.size)
    found = Candidate(job, crop, align.transform_points(face.kps, matrix))
    scale = 1 / align.scale_of(matrix)
    inside = np.ones(pixels.shape[:2], np.uint8)
    outside = 1 - float(align.warp(inside, matrix, filters.size, border="constant", filter="nearest").mean())
    sharp = sharpness(crop)
    if scale < filters.min_scale:
        found.reason, found.detail = "too small", f"{scale * filters.size:.0f} pixels"
    elif outside > filters.max_outside:
        found.reason, found.detail = "cut off", f"{outside:.0%} outside the photo"
    elif sharp < filters.min_sharpness:
        found.reason, found.detail = "blurred", f"sharpness {sharp:.3f}"
    return found


def sharpness(crop: NDArray[np.uint8]) -> float:
    """Spread of the Laplacian over the spread of the brightness in the inner three quarters of a crop [S,S,3].

    Over 450 aligned faces of 128 px from web photos: 0.15 to 0.7, blurred by two pixels (sigma) 0.04 to 0.11, by three
    0.03 to 0.09 (5th to 95th percentile); contrast and brightness hardly matter.
    """
    edge = crop.shape[0] // 8
    gray = crop[edge:-edge, edge:-edge].astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return float(cv2.Laplacian(gray, cv2.CV_32F).std() / max(float(gray.std()), 1.0))


def fingerprint(crop: NDArray[np.uint8]) -> int:
    """64 bits: where a crop shrunk to 8 x 9 gets brighter from left to right (a difference hash)."""
    gray = crop.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    small = cv2.resize(gray, (9, 8), interpolation=cv2.INTER_AREA)
    return int.from_bytes(np.packbits(np.diff(small, axis=1) > 0).tobytes(), "big")


def _drop_repeated(candidate: Candidate, seen: list[int]) -> None:
    assert candidate.crop is not None
    bits = fingerprint(candidate.crop)
    if any((bits ^ other).bit_count() <= NEAR for other in seen):
        candidate.reason = "duplicate"
    else:
        seen.append(bits)


class _Writer:
    """Pictures and rows of a source; a zip holds its pictures in a folder of its name (see ``data.face_sets``)."""

    def __init__(self, stage: Path, out: Path, filters: Filters) -> None:
        self.stage, self.filters, self.count = stage, filters, 0
        self.prefix = f"{out.stem}/" if out.suffix == ".zip" else ""
        self.archive = zipfile.ZipFile(stage / "pictures.zip", "w") if self.prefix else None
        self.stream = (stage / "index.csv").open("w", newline="", encoding="utf-8", errors="surrogateescape")
        self.rows = csv.writer(self.stream)
        self.rows.writerow(
            ["file", "identity", *(f"{p}_{axis}" for p in face_sets.POINT_NAMES for axis in "xy"), "photo"]
        )

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()
        if self.archive:
            self.archive.close()

    def add(self, candidate: Candidate) -> None:
        """Write a face and its row."""
        assert candidate.crop is not None and candidate.points is not None
        name, picture = f"{self.prefix}{self.count:06d}.png", io.BytesIO()
        Image.fromarray(candidate.crop).save(picture, "PNG")
        if self.archive:
            self.archive.writestr(name, picture.getvalue())
        else:
            (self.stage / name).write_bytes(picture.getvalue())
        key = Path(candidate.job.key)
        person = key.parent.as_posix() if self.filters.people and key.parent != Path() else ""
        points = (f"{value:.2f}" for value in candidate.points.ravel())
        self.rows.writerow([name, person, *points, key.as_posix()])
        self.count += 1


def _places(out: Path) -> dict[str, Path]:
    """The final places by what lies in the stage."""
    if out.suffix != ".zip":
        return {"": out}
    return {
        "pictures.zip": out,
        "index.csv": out.with_name("index.csv"),
        "report.csv": out.with_name(f"{out.stem}.report.csv"),
    }


def _move(stage: Path, out: Path, final: dict[str, Path]) -> None:
    for name, place in final.items():
        (stage / name).rename(place)


@contextlib.contextmanager
def _staged(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` to write into; it is gone afterwards."""
    try:
        with files.workshop(out.parent) as stage:
            yield stage
    except OSError as error:
        raise UnmaskError(f"{out}: cannot be written ({error.strerror or error}); choose another -o") from None
