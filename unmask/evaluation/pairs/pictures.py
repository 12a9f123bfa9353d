"""Where the pictures of a list are: a folder, a zip, or the list itself."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Protocol

from ...errors import UnmaskError
from ...formats import SUFFIXES

__all__ = ["Folder", "InMemory", "Pictures", "Zip", "open_pictures"]

MAX_BYTES = 256 * 1024**2  # of one picture inside a zip


class Pictures(Protocol):
    """Pictures by key: a relative path with forward slashes."""

    name: str

    def find(self, name: str) -> str | None:
        """The key of a picture named with or without its suffix, or None."""
        ...

    def has_folder(self, name: str) -> bool:
        """Whether anything lies in a folder of that name."""
        ...

    def safe(self, name: str) -> bool:
        """Whether a relative path stays inside."""
        ...

    def read(self, key: str) -> bytes:
        """The encoded picture; raises UnmaskError where it cannot be read."""
        ...


class _Indexed:
    """Look-ups over a fixed set of keys."""

    def __init__(self, name: str, keys: Mapping[str, str]):
        self.name = name
        self._keys = dict(keys)  # key -> key
        for key in keys:
            stem = key[: -len(PurePosixPath(key).suffix)] if PurePosixPath(key).suffix else key
            self._keys.setdefault(stem, key)
        self._folders = {parent for key in keys for parent in map(str, PurePosixPath(key).parents)}

    def find(self, name: str) -> str | None:
        """The key of a picture named with or without its suffix, or None; a leading folder may be left out."""
        plain = PurePosixPath(name.replace("\\", "/")).as_posix()
        return self._keys.get(plain)

    def has_folder(self, name: str) -> bool:
        """Whether anything lies in a folder of that name."""
        return name in self._folders

    def safe(self, name: str) -> bool:
        """Whether a relative path stays inside."""
        path = PurePosixPath(name.replace("\\", "/"))
        return not path.is_absolute() and ".." not in path.parts and ":" not in name and "\0" not in name


class Folder(_Indexed):
    """Pictures of a folder and everything below it; links that lead out of it are left out."""

    def __init__(self, root: Path):
        self.root = root
        inside = root.resolve()
        found = {}
        for path in sorted(root.rglob("*")):
            if path.suffix.lower() in SUFFIXES and path.is_file() and path.resolve().is_relative_to(inside):
                key = path.relative_to(root).as_posix()
                found[key] = key
        super().__init__(str(root), found)

    def read(self, key: str) -> bytes:
        """The file's bytes."""
        try:
            return (self.root / key).read_bytes()
        except OSError as error:
            raise UnmaskError(f"{self.root / key}: cannot be read ({error.strerror}); check it") from error


class Zip(_Indexed):
    """Pictures inside a zip."""

    def __init__(self, path: Path):
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(path.read_bytes()))
        except (OSError, zipfile.BadZipFile) as error:
            raise UnmaskError(f"{path}: not a readable zip ({error}); give a folder or a zip of pictures") from error
        keys = [n for n in self._zip.namelist() if PurePosixPath(n).suffix.lower() in SUFFIXES]
        super().__init__(str(path), {key: key for key in keys})

    def read(self, key: str) -> bytes:
        """The picture's bytes."""
        try:
            if self._zip.getinfo(key).file_size > MAX_BYTES:
                raise UnmaskError(f"{self.name}: {key} is over {MAX_BYTES} bytes; take it out")
            return self._zip.read(key)
        except (KeyError, zipfile.BadZipFile, RuntimeError, OSError) as error:
            raise UnmaskError(f"{self.name}: {key} cannot be read ({error}); make the zip again") from error


class InMemory(_Indexed):
    """Pictures that came with their list."""

    def __init__(self, name: str, pictures: Mapping[str, bytes]):
        super().__init__(name, {key: key for key in pictures})
        self._pictures = pictures

    def read(self, key: str) -> bytes:
        """The picture's bytes."""
        return self._pictures[key]


def open_pictures(path: str | Path) -> Folder | Zip:
    """A folder or a zip of pictures; raises UnmaskError where there are none."""
    path = Path(path)
    if path.is_dir():
        found: Folder | Zip = Folder(path)
    elif path.is_file():
        found = Zip(path)
    else:
        raise UnmaskError(f"{path}: no such folder or zip; give where the pictures are")
    return found
