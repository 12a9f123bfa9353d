"""Files as such: read whole, written in one step, hashed, and the cache folder. One way for each, used everywhere."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from .errors import UnmaskError

PREFIX = ".unmask-part-"  # of files and folders that are still being written
GRACE = 60.0  # seconds in which a part is nobody's but its writer's, whatever the lock says
MAX_BYTES = 1 << 30  # of one file that is read whole
_STREAMS = ("/proc/", "/dev/fd/", "/dev/std")  # names of what is open already
_BLOCK = 1 << 20
_swept: set[str] = set()
_hashes: dict[tuple[str, int, int, int], str] = {}


def read(path: str | Path, limit: int = MAX_BYTES) -> bytes:
    """The bytes of a regular file.

    Raises:
        UnmaskError: there is none, it is a folder, a device or a pipe (which might never end), it is longer than
            ``limit`` bytes, or it cannot be read.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode):
                raise UnmaskError(f"{path}: is no regular file; give a file, or pipe it in and name it -")
            if state.st_size > limit:
                raise UnmaskError(f"{path}: is longer than {limit / 1e6:.0f} MB; give a smaller file")
            data = file.read(limit + 1)
    except FileNotFoundError:
        raise UnmaskError(f"{path}: there is no such file; check the path") from None
    except IsADirectoryError:
        raise UnmaskError(f"{path}: this is a folder, not a file; name a file in it") from None
    except PermissionError:
        raise UnmaskError(f"{path}: no permission to read it; change its access rights") from None
    except (OSError, ValueError) as error:
        raise UnmaskError(f"{path}: cannot be read ({reason(error)}); check the path") from None
    if len(data) > limit:
        raise UnmaskError(f"{path}: is longer than {limit / 1e6:.0f} MB; give a smaller file")
    return data


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe without a writer would hang


def write(path: str | Path, data: bytes) -> None:
    """Put ``data`` under ``path`` in one step, see :func:`replacing`."""
    with replacing(path) as part:
        part.write_bytes(data)


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A new file to be written, by name; it takes the place of ``path`` once the block has ended without an error.

    The folder is made where it is missing, links are followed, and the mode of a file that was there is kept where
    the system lets it. Devices, pipes and what is open already (``/dev/stdout``) are written through, not replaced.
    What a killed process left half-written in the folder is removed. The new file has the suffix of ``path``.

    Raises:
        UnmaskError: ``path`` cannot be written; the block's own OSErrors count as that.
    """
    part: Path | None = None
    try:
        target, through = _target(Path(path))
        folder = Path(tempfile.gettempdir()) if through else target.parent
        _make(folder)
        part = folder / _part_name(target.suffix)
        with _held(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)):
            yield part
            _sync(part)
        if through:
            _pour(part, target)
        else:
            if target.exists():
                with contextlib.suppress(OSError):  # shares of other systems refuse it
                    os.chmod(part, target.stat().st_mode & 0o777)
            os.replace(part, target)
            part = None
    except OSError as error:
        raise UnmaskError(f"{path}: cannot be written ({reason(error)}); choose another place for the output") from None
    finally:
        if part is not None:
            with contextlib.suppress(OSError):
                os.unlink(part)


@contextlib.contextmanager
def workshop(folder: str | Path) -> Iterator[Path]:
    """A new folder inside ``folder`` to build in; it is removed after the block, or after a kill by the next writer."""
    _make(Path(folder))
    place = Path(folder) / _part_name("")
    place.mkdir()
    try:
        with _held(os.open(place, os.O_RDONLY)) if os.name == "posix" else contextlib.nullcontext():
            yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def reason(error: BaseException) -> str:
    """What an error of the system says, short and in one line."""
    return " ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split())[:160]


def sha256(path: str | Path) -> str:
    """The sha256 of a file in hex, computed once per process while its time, size and number stay the same.

    Raises:
        UnmaskError: it cannot be read.
    """
    path = Path(path)
    try:
        state = path.stat()
        key = (str(path.absolute()), state.st_mtime_ns, state.st_size, state.st_ino)
        if key not in _hashes:
            digest = hashlib.sha256()
            with open(path, "rb") as stream:
                while block := stream.read(_BLOCK):
                    digest.update(block)
            _hashes[key] = digest.hexdigest()
    except (OSError, ValueError) as error:
        raise UnmaskError(f"{path}: cannot be read ({reason(error)}); check the path") from None
    return _hashes[key]


def cache_folder(given: str | Path | None = None) -> Path:
    """Where what can be made again is kept: ``given``, else ``$UNMASK_CACHE``, else ``~/.cache/unmask``; not yet made.

    Raises:
        UnmaskError: there is no home folder.
    """
    named = given or os.environ.get("UNMASK_CACHE")
    return Path(named) if named else home("UNMASK_CACHE") / ".cache" / "unmask"


def home(variable: str) -> Path:
    """The person's home folder; UnmaskError, which names the ``variable`` to set instead, where there is none."""
    try:
        return Path.home()
    except (RuntimeError, OSError):
        raise UnmaskError(f"there is no home folder here; set {variable} to a folder") from None


def _target(path: Path) -> tuple[Path, bool]:
    """The file behind ``path``, links followed, and whether it is to be written through."""
    try:
        kind = stat.S_IFMT(os.stat(path).st_mode)
    except FileNotFoundError:
        kind = stat.S_IFREG
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(21, "there is a folder of this name")
    step = os.path.abspath(path)
    while True:
        if kind != stat.S_IFREG or step.startswith(_STREAMS):
            return path, True
        if not os.path.islink(step):
            return Path(step), False
        step = os.path.join(os.path.realpath(os.path.dirname(step)), os.readlink(step))


def _pour(part: Path, target: Path) -> None:
    """Write what ``part`` holds into a device, a pipe or an open file."""
    if sys.stdout is not None:
        sys.stdout.flush()
    try:
        handle = os.open(target, os.O_WRONLY | os.O_APPEND | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise OSError(error.errno, "nobody reads this pipe") if target.is_fifo() else error from None
    os.set_blocking(handle, True)
    with os.fdopen(handle, "wb") as file:
        file.write(part.read_bytes())


def _sync(part: Path) -> None:
    with part.open("rb+") as file:
        os.fsync(file.fileno())


@contextlib.contextmanager
def lock(path: str | Path, shared: bool = False) -> Iterator[None]:
    """Hold the system's lock on a file or folder during the block; it ends with the process, however that ends.

    Where the system has no such locks (some shared storage) the block runs without.

    Raises:
        UnmaskError: another process has it.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        yield
        return
    try:
        if _locked(handle, shared) is False:
            raise UnmaskError(f"{path}: another run is at work here; wait for it to end, or give another place")
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def turn(path: str | Path) -> Iterator[None]:
    """Wait until no other process is in such a block by the same file, which is made; it ends with the process.

    Where the system has no such locks (Windows, some shared storage) nobody waits.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _part_name(suffix: str) -> str:
    return f"{PREFIX}{secrets.token_hex(8)}{suffix if len(suffix) < 16 else ''}"


def _make(folder: Path) -> None:
    """Make a folder, and remove what killed processes left half-written in it: once per process and folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if str(folder) not in _swept:
        _swept.add(str(folder))
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(PREFIX):
                    _drop(entry)


def _drop(entry: os.DirEntry[str]) -> None:
    """Remove a part unless somebody still works on it."""
    with contextlib.suppress(OSError):
        if time.time() - entry.stat(follow_symlinks=False).st_mtime < GRACE:
            return
        handle = os.open(entry.path, os.O_RDONLY)
        try:
            dead = _locked(handle)
        finally:
            os.close(handle)
        if dead and entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        elif dead:
            os.unlink(entry.path)


@contextlib.contextmanager
def _held(handle: int) -> Iterator[None]:
    """Hold the system's lock on a part, which ends with the process, while the block works on it."""
    held = _locked(handle)
    if not held:  # where there is no such lock, files that are open cannot be renamed either
        os.close(handle)
    try:
        yield
    finally:
        if held:
            os.close(handle)


def _locked(handle: int, shared: bool = False) -> bool | None:
    """Take the system's lock on an open file or folder; False where another has it, None where there are none."""
    try:
        import fcntl

        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return None
    return True
