"""Model packs of others: a download that is asked for, checked by sha256, and shown with its license.

Nothing here runs by itself: only ``unmask models install`` calls it, and only when the license was accepted.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from .. import files
from ..errors import UnmaskError, UsageError

TIMEOUT = 30.0  # seconds without a byte
MAX_BYTES = 2_000_000_000  # of an archive, and of what it unpacks to
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Pack:
    """An archive of ONNX models: where it lies, what it must hash to, and under which terms it comes."""

    name: str
    url: str
    sha256: str
    bytes: int
    license: str


_RELEASE = "https://github.com/deepinsight/insightface/releases/download/v0.7"
_INSIGHTFACE = (
    "The models of insightface are for non-commercial research only; commercial use needs a license from "
    "their authors. Terms: https://github.com/deepinsight/insightface#license"
)
PACKS = {
    pack.name: pack
    for pack in (
        Pack(
            "buffalo_l",
            f"{_RELEASE}/buffalo_l.zip",
            "80ffe37d8a5940d59a7384c201a2a38d4741f2f3c51eef46ebb28218a7b0ca2f",
            288_621_354,
            _INSIGHTFACE,
        ),
        Pack(
            "buffalo_sc",
            f"{_RELEASE}/buffalo_sc.zip",
            "57d31b56b6ffa911c8a73cfc1707c73cab76efe7f13b675a05223bf42de47c72",
            14_969_382,
            _INSIGHTFACE,
        ),
    )
}


def folder() -> Path:
    """Where packs live: ``$INSIGHTFACE_HOME/models``, by default ``~/.insightface/models``."""
    named = os.environ.get("INSIGHTFACE_HOME")
    return (Path(named).expanduser() if named else files.home("INSIGHTFACE_HOME") / ".insightface") / "models"


def install(
    name: str,
    *,
    accepted: bool,
    archive: Path | None = None,
    url: str | None = None,
    sha256: str | None = None,
    home: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Install the pack ``name`` from a local ``archive`` or by download; returns its folder.

    A pack of the table is checked against the sha256 written there; one that is not in the table must be
    given as a local archive or with ``url`` and ``sha256``. ``progress`` gets (bytes so far, in all).

    Raises:
        UsageError: the license was not accepted, or nothing says what the download must hash to.
        UnmaskError: the download, the check or the unpacking failed; nothing is installed then.
    """
    if PurePosixPath(name).name != name or name in ("", ".", ".."):
        raise UsageError(f"{name}: not the name of a pack")
    pack = PACKS.get(name)
    expected = (sha256 or (pack.sha256 if pack else "")).lower()
    if pack and sha256 and expected != pack.sha256:
        raise UsageError(f"{name}: --sha256 is not the one of this pack ({pack.sha256}); leave it out")
    source = url or (pack.url if pack else None)
    if archive is None and not (source and expected):
        raise UsageError(
            f"{name}: not a pack whose sha256 is known here (known: {', '.join(PACKS)}); "
            f"give --from FILE, or --url and --sha256 as its publisher states them"
        )
    if not accepted:
        terms = pack.license if pack else "Read the terms of this pack first."
        raise UsageError(f"{name}: {terms} Say that you accept them with --accept-license")
    target = (home or folder()) / name
    if target.exists():
        raise UnmaskError(f"{target}: already there; remove it to install it again")
    try:
        with files.workshop(target.parent) as work:
            if archive is None:
                archive = work / "pack.zip"
                _download(str(source), archive, pack.bytes if pack and not url else MAX_BYTES, progress)
            if expected:
                _check(archive, expected)
            _unpack(archive, work / name)
            (work / name).rename(target)
    except OSError as error:
        raise UnmaskError(f"{target}: cannot be installed ({error}); check the folder and disk space") from None
    return target


def _download(url: str, path: Path, limit: int, progress: Callable[[int, int], None] | None) -> None:
    """An address to a file, at most ``limit`` bytes; pooch would read on for as long as a server sends."""
    parts = urlsplit(url)
    if parts.scheme != "https" and (parts.scheme, parts.hostname) != ("http", "127.0.0.1"):
        raise UsageError(f"{url}: only https addresses are downloaded; use --from FILE for a local archive")
    import requests  # half a second to import, for the one command that downloads

    done = total = 0
    try:
        with requests.get(url, stream=True, timeout=TIMEOUT) as answer, path.open("wb") as stream:
            answer.raise_for_status()
            total = int(answer.headers.get("Content-Length") or 0)
            for block in answer.iter_content(_BLOCK):
                done += len(block)
                if done > limit:
                    raise UnmaskError(f"{url}: longer than the {limit} bytes expected; not installed")
                stream.write(block)
                if progress:
                    progress(done, total)
    except requests.exceptions.ChunkedEncodingError:
        pass  # cut short: said below
    except (requests.RequestException, ValueError) as error:
        raise UnmaskError(
            f"{url}: download failed ({error}); fetch it by other means and give it with --from FILE"
        ) from None
    if total and done != total:
        raise UnmaskError(f"{url}: cut short after {done} of {total} bytes; try again")


def _check(archive: Path, expected: str) -> None:
    found = files.sha256(archive)
    if found != expected:
        raise UnmaskError(f"{archive.name}: its sha256 is {found}, not {expected}; get it again")


def _unpack(archive: Path, target: Path) -> None:
    """Copy the ONNX files of an archive into ``target`` by their bare names, without folders."""
    target.mkdir()
    try:
        with zipfile.ZipFile(archive) as packed:
            members = [m for m in packed.infolist() if m.filename.endswith(".onnx") and not m.is_dir()]
            if sum(member.file_size for member in members) > MAX_BYTES:
                raise UnmaskError(f"{archive.name}: unpacks to more than {MAX_BYTES} bytes; not installed")
            for member in members:
                name = PurePosixPath(member.filename.replace("\\", "/")).name
                with packed.open(member) as source, (target / name).open("xb") as stream:
                    shutil.copyfileobj(source, stream, _BLOCK)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise UnmaskError(f"{archive.name}: not a whole zip archive ({error}); get it again") from None
    if not members:
        raise UnmaskError(f"{archive.name}: holds no ONNX model; give the archive of a model pack")
