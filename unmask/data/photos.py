"""Whole photos with the boxes and points of their faces, for the detector; labels by a table or a teacher."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from .. import files
from ..errors import UnmaskError
from .face_sets import COLUMNS, HELD_OUT_EVERY, keep
from .pictures import Source, numbers, table

if TYPE_CHECKING:
    from ..faces.detect import Detector

SURE = 0.5  # a teacher's score from which a face counts as one
DOUBT = 0.25  # between the two it is neither face nor background


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
) -> list[LabelledPhoto]:
    """The photos of ``folder/images.zip``; every ``every``-th (0, ``every``, ...) is held out for validation.

    The faces come from ``folder/faces.csv`` where there is one, else from ``teacher``, which is asked once: its answers
    are cached.
    """
    folder = Path(folder)
    archive = folder / "images.zip"
    if not archive.is_file():
        raise UnmaskError(f"{archive}: no such photos; give a folder that holds images.zip (and faces.csv)")
    with Source(archive) as stored:
        chosen = [n for i, n in enumerate(stored.names()) if (i % every == 0) == (split == "val")]
        pictures, content = [stored.picture(n) for n in chosen], stored.key(chosen)
    if teacher is None or (folder / "faces.csv").is_file():
        known = _table(folder / "faces.csv")
        labels = [known.get(n, np.zeros((0, 15))) for n in chosen]
    else:
        labels = _ask(teacher, content, chosen, pictures)
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
    key = f"{content}|{files.sha256(who) if who.is_file() else who}|{names}|3"
    path = files.cache_folder() / f"photos-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
    if path.is_file():
        with np.load(path) as stored:
            return [stored[f"a{i}"] for i in range(len(names))]
    labels = []
    for pixels in pictures:
        rows = [np.concatenate([f.bbox, [f.det_score], np.ravel(f.kps)]) for f in teacher.detect(pixels)]
        labels.append(np.array(rows).reshape(-1, 15))
    keep(path, {f"a{i}": rows for i, rows in enumerate(labels)})
    return labels
