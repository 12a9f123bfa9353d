"""Whole photos with the boxes and points of their faces, for the detector; labels by a table or a teacher."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from .. import files
from ..errors import UnmaskError
from .face_sets import COLUMNS, HELD_OUT_EVERY, keep
from .pictures import Source, numbers, table

if TYPE_CHECKING:
    from ..faces.detect import Detector

SURE = 0.5  # a teacher's score from which a face counts as one
DOUBT = 0.25  # between the two it is neither face nor background
SCALES = (1.0, 2.0)  # of the photo, at which a teacher is asked


@dataclass(frozen=True)
class LabelledPhoto:
    """``pixels`` uint8 [H,W,3]; ``boxes`` float64 [K,4] (x1, y1, x2, y2); ``points`` [K,5,2]; ``sure`` bool [K].

    ``dressed``: its people wear face masks already, so that the points below the eyes are guesses.
    """

    name: str
    pixels: np.ndarray
    boxes: np.ndarray
    points: np.ndarray
    sure: np.ndarray
    dressed: bool = False


def load(
    folder: str | Path,
    split: Literal["train", "val"],
    teacher: Detector | None = None,
    every: int = HELD_OUT_EVERY,
    dressed: bool = False,
    faceless: bool = False,
) -> list[LabelledPhoto]:
    """The photos of ``folder/images.zip``; every ``every``-th (0, ``every``, ...) is held out for validation.

    The faces come from ``folder/faces.csv`` where there is one, and from ``teacher``, which is asked once at two
    scales: its answers are cached. Where both know a face, the table has the say.
    ``faceless`` photos are known to have none.
    """
    folder = Path(folder)
    archive = folder / "images.zip"
    if not archive.is_file():
        raise UnmaskError(f"{archive}: no such photos; give a folder that holds images.zip (and faces.csv)")
    with Source(archive) as stored:
        chosen = [n for i, n in enumerate(stored.names()) if (i % every == 0) == (split == "val")]
        pictures, content = [stored.picture(n) for n in chosen], stored.key(chosen)
    labels = [np.zeros((0, 15))] * len(chosen)
    if not faceless and (teacher is None or (folder / "faces.csv").is_file()):
        known = _table(folder / "faces.csv")
        labels = [known.get(n, rows) for n, rows in zip(chosen, labels, strict=True)]
    if teacher is not None:
        further = _ask(teacher, content, chosen, pictures)
        labels = [_merged(rows, more) for rows, more in zip(labels, further, strict=True)]
    return [
        LabelledPhoto(name, pixels, rows[:, :4], rows[:, 5:15].reshape(-1, 5, 2), rows[:, 4] >= SURE, dressed)
        for name, pixels, rows in zip(chosen, pictures, labels, strict=True)
    ]


def _table(path: Path) -> dict[str, np.ndarray]:
    """Rows of ``faces.csv`` by photo: [K,15] of box, score, points."""
    if not path.is_file():
        raise UnmaskError(f"{path}: no table of faces; write one, or name a teacher detector in the config")
    columns = ["x1", "y1", "x2", "y2", "score", *COLUMNS]
    found: dict[str, list[list[float]]] = {}
    for line, row in table(path, ["file", *columns]):
        found.setdefault(row["file"], []).append(numbers(path, line, row, columns))
    return {name: np.array(rows) for name, rows in found.items()}


def _ask(teacher: Detector, content: str, names: list[str], pictures: list[np.ndarray]) -> list[np.ndarray]:
    """The teacher's faces in each photo, [K,15] each, cached by the photos' content and the teacher's."""
    who = Path(str(getattr(teacher, "name", type(teacher).__name__)))
    key = f"{content}|{files.sha256(who) if who.is_file() else who}|{names}|5"
    path = files.cache_folder() / f"photos-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
    if path.is_file():
        with np.load(path) as stored:
            return [stored[f"a{i}"] for i in range(len(names))]
    labels = []
    for pixels in pictures:
        rows = np.zeros((0, 15))
        for scale in SCALES:
            size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
            seen = teacher.detect(np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR), np.uint8))
            found = [np.concatenate([f.bbox / scale, [f.det_score], np.ravel(f.kps) / scale]) for f in seen]
            rows = _merged(rows, np.array(found).reshape(-1, 15))
        labels.append(rows)
    keep(path, {f"a{i}": rows for i, rows in enumerate(labels)})
    return labels


def _merged(rows: np.ndarray, more: np.ndarray) -> np.ndarray:
    """Faces [K,15] and of ``more`` those that lie on none of them."""
    for row in more:
        low, high = np.maximum(rows[:, :2], row[:2]), np.minimum(rows[:, 2:4], row[2:4])
        areas = np.minimum((rows[:, 2:4] - rows[:, :2]).prod(1), (row[2:4] - row[:2]).prod())
        if not np.any(np.clip(high - low, 0, None).prod(1) > 0.4 * areas):
            rows = np.concatenate([rows, row[None]])
    return rows
