"""Aligned faces for training and validation: folders or zips of pictures with an ``index.csv``, packed once.

A source is ``NAME.zip`` or ``NAME/`` under the data folder, with rows ``file,identity,<five points>`` in ``index.csv``
beside it (or inside the folder). Pictures are warped to a named template by their points and kept as one ``uint8``
array on disk, so that a training step never decodes a file.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from .. import files
from ..errors import UnmaskError
from ..faces import align
from . import pictures

Split = Literal["train", "val", "all"]
HELD_OUT_EVERY = 10
POINT_NAMES = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
COLUMNS = [f"{point}_{axis}" for point in POINT_NAMES for axis in "xy"]
Row = tuple[str, str, np.ndarray | None]
# The mean landmarks of the aligned CelebA pictures (178 x 218), for sources that carry no points of their own.
CELEBA_SIZE = (178, 218)
CELEBA_POINTS = np.array([[69.5, 111.2], [107.9, 111.2], [88.6, 134.6], [72.6, 152.6], [105.6, 152.6]])


@dataclass(frozen=True)
class FaceSet:
    """Aligned faces in memory or mapped from disk.

    ``images`` uint8 [N,S,S,3] RGB; ``points`` float32 [N,5,2] in crop pixels; ``identity`` int64 [N], -1 where
    unknown; ``source`` and ``names`` say where each came from.
    """

    images: np.ndarray
    points: np.ndarray
    identity: np.ndarray
    source: np.ndarray
    names: np.ndarray
    template: str

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def digest(self) -> str:
        """A hash of the pixels and points, so that what is made of them is made anew when they change."""
        found = hashlib.sha256(repr((self.images.shape, self.template)).encode())
        for start in range(0, len(self.images), 1024):
            found.update(self.images[start : start + 1024].tobytes())
        found.update(self.points.astype(np.float32).tobytes())
        return found.hexdigest()

    def subset(self, chosen: np.ndarray) -> FaceSet:
        """The faces at the given indices or where a boolean array holds (images are copied into memory)."""
        return FaceSet(
            self.images[chosen],
            self.points[chosen],
            self.identity[chosen],
            self.source[chosen],
            self.names[chosen],
            self.template,
        )


def load(
    root: str | Path,
    sources: Sequence[str],
    size: int = 128,
    template: str = "ffhq",
    split: Split = "train",
    cache: str | Path | None = None,
) -> FaceSet:
    """Load faces of several sources (``faces128/celebw`` means ``celebw.zip`` or the folder ``celebw`` there).

    Every tenth file of each source (0, 10, 20, ... in the order of its index) is the validation split. Identities are
    numbered over all sources together, whatever the split, those with training pictures first.

    Raises:
        UnmaskError: something is missing, which it names.
    """
    if not sources:
        raise UnmaskError("sources: none; name at least one, such as faces128/celebw")
    packs = [pack(Path(root), name, size, template, cache) for name in sources]
    kept, people, where, trained = [], [], [], set()
    for name, packed in zip(sources, packs, strict=True):
        order = np.arange(len(packed["images"]))
        held_out = order % HELD_OUT_EVERY == 0
        keep = {"train": ~held_out, "val": held_out, "all": np.ones_like(held_out)}[split]
        trained |= set(packed["people"][~held_out])
        kept.append({k: v[keep] if k != "images" else (v, np.flatnonzero(keep)) for k, v in packed.items()})
        people.append(kept[-1]["people"])
        where.append(np.full(keep.sum(), name.rsplit("/", 1)[-1]))
    names = np.concatenate(people)
    if not len(names):
        raise UnmaskError(f"{root}: no face of {', '.join(sources)} is for {split}; give larger sources")
    every = {p for packed in packs for p in packed["people"]} - {""}
    known = {person: i for i, person in enumerate(sorted(every, key=lambda p: (p not in trained, p)))}
    identity = np.array([known.get(p, -1) for p in names], dtype=np.int64)
    return FaceSet(
        _gather([k["images"] for k in kept]),
        np.concatenate([k["points"] for k in kept]),
        identity,
        np.concatenate(where),
        np.concatenate([k["files"] for k in kept]),
        template,
    )


def _gather(parts: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    total = sum(len(index) for _, index in parts)
    out = np.empty((total, *parts[0][0].shape[1:]), np.uint8)
    at = 0
    for images, index in parts:
        for start in range(0, len(index), 1024):
            rows = index[start : start + 1024]
            out[at : at + len(rows)] = images[rows]
            at += len(rows)
    return out


def keep(path: Path, content: np.ndarray | Mapping[str, np.ndarray]) -> None:
    """Put one array (``.npy``) or several by name (``.npz``) under ``path`` in one step.

    Processes that make the same file at the same time do not disturb each other.
    """
    with files.replacing(path) as part, part.open("wb") as stream:
        if isinstance(content, np.ndarray):
            np.save(stream, content)
        else:
            np.savez(stream, **content)  # type: ignore[arg-type]


def pack(root: Path, name: str, size: int, template: str, cache: str | Path | None = None) -> dict[str, np.ndarray]:
    """Decode and align one source once, and map the result: images, points, people (names, "" unknown), files.

    What is kept is found again by the content of the index and the pictures, so that a corrected row or a replaced
    picture counts at once.
    """
    archive = root / f"{name}.zip"
    folder = root / name
    place = archive if archive.is_file() else folder
    if not place.exists():
        raise UnmaskError(f"{place}: no such source of faces; give the folder that holds {name}.zip or {name}/")
    rows = list(_rows(root, name))
    with pictures.Source(place) as source:
        digest = hashlib.sha256(f"{name}|{size}|{template}|4|{source.key(row[0] for row in rows)}".encode())
        for file, person, own in rows:
            digest.update(f"{file}|{person}|{None if own is None else own.tolist()}".encode("utf-8", "surrogateescape"))
        stem = files.cache_folder(cache) / f"faces-{digest.hexdigest()[:16]}"
        table, images = stem.with_suffix(".npz"), stem.with_suffix(".npy")
        found = _kept(table, images, len(rows))
        if found is None:
            _pack(source, rows, size, template, table, images)
            found = _kept(table, images, len(rows))
    if found is None:
        raise UnmaskError(f"{images}: written and not readable; check the disk, or set UNMASK_CACHE to another folder")
    return found


def _kept(table: Path, images: Path, count: int) -> dict[str, np.ndarray] | None:
    """What a pair of cached files holds, None where they are missing or damaged."""
    try:
        with table.open("rb") as file, np.load(file) as stored:  # numpy leaves a damaged file open
            found = {"images": np.load(images, mmap_mode="r"), **{k: stored[k] for k in stored.files}}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    whole = {"images", "points", "people", "files"} <= found.keys() and all(len(v) == count for v in found.values())
    return found if whole else None


def _pack(source: pictures.Source, rows: list[Row], size: int, template: str, table: Path, images: Path) -> None:
    target = align.template(template, size)
    points = np.zeros((len(rows), 5, 2), np.float32)
    out = np.empty((len(rows), size, size, 3), np.uint8)

    def one(i: int) -> None:
        file, _, own = rows[i]
        pixels = source.picture(file)
        if own is None:
            own = CELEBA_POINTS * (pixels.shape[1] / CELEBA_SIZE[0])
        if template == "ffhq" and pixels.shape[:2] == (size, size):
            out[i], points[i] = pixels, own  # already aligned to this template: do not resample
        else:
            matrix = align.similarity(own, target)
            out[i] = align.warp(pixels, matrix, size)
            points[i] = own @ matrix[:, :2].T + matrix[:, 2]

    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(one, range(len(rows))):
            pass
    people, names = np.array([r[1] for r in rows]), np.array([r[0] for r in rows])
    keep(table, {"points": points, "people": people, "files": names})
    keep(images, out)


def _rows(root: Path, name: str) -> Iterator[Row]:
    """Rows (file, person, points or None) of one source, in the order of its index."""
    short = name.rsplit("/", 1)[-1]
    beside = (root / name).parent / "index.csv"
    inside = root / name / "index.csv"
    index = inside if inside.is_file() else beside
    if not index.is_file():
        raise UnmaskError(f"{index}: no index of the faces; write one with the columns file,identity and five points")
    prefix, count = f"{short}/", 0
    for line, row in pictures.table(index, ["file"]):
        file = row["file"]
        if index is beside and "/" in file and not file.startswith(prefix):
            continue
        own = None
        if row.get("left_eye_x"):
            own = np.array(pictures.numbers(index, line, row, COLUMNS)).reshape(5, 2)
            if np.ptp(own, 0).max() < 1e-3:
                raise UnmaskError(f"{index}: line {line}: all five points are one; correct it")
        count += 1
        yield file, row.get("identity") or "", own
    if not count:
        raise UnmaskError(f"{index}: names no picture of {short}; add rows, or take it out of sources")
