"""Pictures of a source, a folder or a zip: read within bounds, by names that stay inside, and told apart by content."""

from __future__ import annotations

import csv
import hashlib
import math
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from .. import files, images
from ..errors import UnmaskError

MAX_BYTES = 64 << 20  # of one picture
MAX_PIXELS = 50_000_000
FAR = 1e6  # pixels: no point and no box of a face lies further out


class Source:
    """A folder or a zip of pictures."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.archive: zipfile.ZipFile | None = None
        if not place.is_dir():
            try:
                self.archive = zipfile.ZipFile(place)
            except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
                raise UnmaskError(f"{place}: not a readable zip ({files.reason(error)}); make it again") from None

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        if self.archive is not None:
            self.archive.close()

    def names(self) -> list[str]:
        """The members of a zip, sorted."""
        assert self.archive is not None
        return sorted(name for name in self.archive.namelist() if not name.endswith("/"))

    def read(self, name: str) -> bytes:
        """The bytes of one picture; UnmaskError naming it where it leads out, is missing, damaged or far too large."""
        where = self._where(name)
        if self.archive is None:
            return files.read(self._inside(name), MAX_BYTES)
        try:
            member = self.archive.getinfo(name)
            if member.file_size > MAX_BYTES:
                raise UnmaskError(f"{where}: is longer than {MAX_BYTES >> 20} MB; take it out of the index")
            return self.archive.read(member)
        except KeyError:
            raise UnmaskError(f"{where}: is not in the zip, though the index names it; correct either") from None
        except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, ValueError, EOFError) as error:
            raise UnmaskError(f"{where}: cannot be read ({files.reason(error)}); make the zip again") from None

    def picture(self, name: str) -> np.ndarray:
        """One picture, uint8 [H,W,3] RGB."""
        try:
            return images.read(self.read(name), MAX_PIXELS).pixels
        except UnmaskError as error:
            text, place = str(error), str(self.place)
            where = "" if text.startswith(place) else f"{self._where(name)}: "
            raise UnmaskError(f"{where}{text.removeprefix('the image: ')}") from None

    def key(self, names: Iterable[str]) -> str:
        """A hash that changes with the content of the pictures named.

        It is of the checksums of a zip's members, or of name, size, number and times of a folder's files (a file cannot
        be written without a new time of change).
        """
        digest = hashlib.sha256()
        for name in names:
            state: tuple[object, ...] = (None,)
            if self.archive is not None and name in self.archive.NameToInfo:
                member = self.archive.getinfo(name)
                state = (member.CRC, member.file_size)
            elif self.archive is None and (path := self._inside(name)).is_file():
                found = path.stat()
                state = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
            digest.update(repr((name, *state)).encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def _inside(self, name: str) -> Path:
        return self.place / name.removeprefix(f"{self.place.name}/")

    def _where(self, name: str) -> str:
        """How messages call a picture; UnmaskError for a name that leads out of the source."""
        path = PurePosixPath(name.replace("\\", "/"))
        if not name or path.is_absolute() or ".." in path.parts or ":" in name or "\0" in name:
            raise UnmaskError(f"{self.place}: the index names {name[:80]!r}, which leads out of the source; correct it")
        return str(self.place / name.removeprefix(f"{self.place.name}/"))


def table(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells of every row of a CSV that has ``columns``; UnmaskError naming file and line otherwise."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = csv.DictReader(stream)
            missing = [column for column in columns if column not in (rows.fieldnames or ())]
            if missing:
                raise UnmaskError(f"{path}: line 1: no column {missing[0]}; its header names the columns")
            for row in rows:
                if None in row or any(row[column] is None for column in columns):
                    raise UnmaskError(f"{path}: line {rows.line_num}: has not as many cells as the header; correct it")
                yield rows.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UnmaskError(f"{path}: no readable table ({files.reason(error)}); write it as CSV in UTF-8") from None


def numbers(path: Path, line: int, row: dict[str, str], columns: Sequence[str]) -> list[float]:
    """The numbers in some columns of a row; UnmaskError naming file, line and column for what is none."""
    found = []
    for column in columns:
        text = row.get(column) or ""
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not abs(value) <= FAR:
            raise UnmaskError(f"{path}: line {line}: {column} is {text[:30]!r}, not a number of pixels; correct it")
        found.append(value)
    return found
