"""Face sets as others publish them, brought into the project's own layout: ``images.zip`` and ``index.csv``.

Read are insightface's RecordIO (``train.rec``; no mxnet needed), LMDB as FROM's code writes it, and folders with one
folder for each person. Nothing that a set holds is run: values are searched for one picture and a path.
"""

from __future__ import annotations

import csv
import io
import os
import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .. import files
from ..errors import UnmaskError, UsageError
from ..faces import align
from .face_sets import POINT_NAMES

_MAGIC = 0xCED7230A  # of a record (dmlc's RecordIO)
_STARTS = {b"\xff\xd8\xff": ".jpg", b"\x89PNG\r\n\x1a\n": ".png"}
_PATH = re.compile(rb"[\w.\- ]+(?:/[\w.\- ]+)*/[\w.\- ]+\.(?:jpe?g|png)", re.I)
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")

Points = NDArray[np.float64]
Finder = Callable[[NDArray[np.uint8]], Points | None]
Record = tuple[bytes, str]  # an encoded picture and whom it shows


@dataclass(frozen=True)
class Converted:
    """What was written: pictures, people, and pictures left out because no face was found in them."""

    pictures: int
    people: int
    without_face: int


def convert(source: str | Path, out: str | Path, finder: Finder | None = None) -> Converted:
    """Write ``images.zip`` and ``index.csv`` into the folder ``out``; as a source of a config it is ``NAME/images``.

    Args:
        source: a ``.rec`` file or the folder of ``train.rec``, an LMDB, or a folder of people's folders.
        out: a new or empty folder.
        finder: gives the five points [5,2] of the face in a picture, or None where there is none; without it the
            pictures are taken as aligned to the ``arcface`` template, as insightface's sets are.

    Raises:
        UnmaskError: the source is missing, damaged or holds no faces; nothing stays under a final name then.
    """
    home = Path(out)
    archive, index = home / "images.zip", home / "index.csv"
    if archive.exists() or index.exists():
        raise UnmaskError(f"{home}: holds a face set already; give another folder")
    with files.replacing(archive) as pictures, files.replacing(index) as rows:
        return _write(records(Path(source)), pictures, rows, finder, str(source))


def _write(given: Iterator[Record], archive: Path, index: Path, finder: Finder | None, name: str) -> Converted:
    people: set[str] = set()
    written = missed = 0
    with (
        zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as pictures,
        index.open("w", newline="", encoding="utf-8") as stream,
    ):
        rows = csv.writer(stream)
        rows.writerow(["file", "identity", *(f"{point}_{axis}" for point in POINT_NAMES for axis in "xy")])
        for encoded, person in given:
            points = _points(encoded, finder, name)
            if points is None:
                missed += 1
                continue
            file = f"images/{written:07d}{_suffix(encoded) or '.img'}"
            pictures.writestr(file, encoded)
            rows.writerow([file, person, *points.round(2).ravel()])
            people.add(person)
            written += 1
    if not written:
        raise UnmaskError(f"{name}: no faces in it; give train.rec, an LMDB, or a folder with a folder for each person")
    return Converted(written, len(people), missed)


def _points(encoded: bytes, finder: Finder | None, name: str) -> Points | None:
    try:
        with Image.open(io.BytesIO(encoded)) as picture:
            if finder is not None:
                return finder(np.asarray(picture.convert("RGB")))
            return align.template("arcface", (picture.height, picture.width))
    except OSError as error:
        raise UnmaskError(f"{name}: a picture in it cannot be read ({error}); copy the set again") from None


def _suffix(encoded: bytes) -> str | None:
    return next((suffix for start, suffix in _STARTS.items() if encoded.startswith(start)), None)


def records(source: Path) -> Iterator[Record]:
    """Encoded pictures with the name or number of the person in each, in the order of the source."""
    inside = source / "train.rec"
    if source.suffix == ".rec" or inside.is_file():
        return _from_recordio(source if source.suffix == ".rec" else inside)
    if source.suffix == ".lmdb" or (source / "data.mdb").is_file():
        return _from_lmdb(source)
    if source.is_dir():
        return _from_folders(source)
    raise UnmaskError(f"{source}: no such face set; give train.rec, an LMDB, or a folder with a folder for each person")


def _from_folders(source: Path) -> Iterator[Record]:
    for path in sorted(source.rglob("*")):
        if path.suffix.lower() in _SUFFIXES and path.is_file():
            if path.parent == source:
                raise UnmaskError(f"{path}: lies in no person's folder; put it into one that has the person's name")
            yield path.read_bytes(), path.parent.relative_to(source).as_posix()


def _from_recordio(path: Path) -> Iterator[Record]:
    """insightface's layout: a header (flag, label, two numbers), ``flag`` further labels, and the picture.

    The records that list ranges of identities have no picture and are passed over.
    """
    for payload in _payloads(path):
        if len(payload) < 24:
            raise UnmaskError(f"{path}: a record is too short for its header; copy the file again")
        flag, label = struct.unpack_from("<If", payload)
        body = payload[24 + 4 * flag :]
        if flag:
            (label,) = struct.unpack_from("<f", payload, 24)
        if _suffix(body) is not None:
            yield body, f"{int(label):06d}"


def _payloads(path: Path) -> Iterator[bytes]:
    """The records of a RecordIO file; one that was split where it held the magic number is put together again."""
    joined = b""
    try:
        stream = path.open("rb")
    except OSError as error:
        raise UnmaskError(f"{path}: cannot be read ({error.strerror}); give an existing .rec file") from None
    with stream:
        while head := stream.read(8):
            magic, length = struct.unpack("<II", head) if len(head) == 8 else (0, 0)
            if magic != _MAGIC:
                raise UnmaskError(f"{path}: not RecordIO, or damaged, at byte {stream.tell() - len(head)}")
            part, length = length >> 29, length & ((1 << 29) - 1)
            data = stream.read(length)
            if len(data) < length:
                raise UnmaskError(f"{path}: cut short; copy the file again")
            stream.seek(-length % 4, os.SEEK_CUR)
            # 0: whole, 1: first, 2: middle, 3: last
            joined = data if part in (0, 1) else joined + struct.pack("<I", _MAGIC) + data
            if part in (0, 3):
                yield joined


def _from_lmdb(path: Path) -> Iterator[Record]:
    """Values that hold one JPEG or PNG and its path, ``person/picture.jpg``, in any wrapping (FROM's is pyarrow's)."""
    try:
        import lmdb
    except ImportError:
        raise UsageError(f"{path}: reading LMDB needs the lmdb package; pip install 'unmask[lmdb]'") from None
    try:
        base = lmdb.open(str(path), subdir=path.is_dir(), readonly=True, lock=False)
    except lmdb.Error as error:
        raise UnmaskError(f"{path}: not a readable LMDB ({error}); copy it again") from None
    with base, base.begin() as reading:
        for key, value in reading.cursor():
            if not key.startswith(b"__"):
                yield _unwrapped(bytes(value), f"{path}: {key.decode(errors='replace')}")


def _unwrapped(value: bytes, name: str) -> Record:
    for start, end in ((b"\xff\xd8\xff", b"\xff\xd9"), (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82")):
        first, last = value.find(start), value.rfind(end)
        if 0 <= first < last:
            around = value[:first] + b"\0" + value[last + len(end) :]
            paths = _PATH.findall(around)
            if not paths:
                raise UnmaskError(f"{name}: no path such as person/picture.jpg in it; convert folders instead")
            return value[first : last + len(end)], paths[-1].decode().rsplit("/", 1)[0]
    raise UnmaskError(f"{name}: holds no JPEG or PNG; convert folders instead")
