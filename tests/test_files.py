"""Reading, writing in one step, hashing, the cache folder, and what messages show."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from unmask import files
from unmask.errors import UnmaskError, printable

OLD = files.GRACE * 2


def alone(path: Path) -> None:
    """Nothing half-written lies beside a file."""
    assert not [one for one in path.parent.iterdir() if one.name.startswith(files.PREFIX)]


def age(path: Path) -> Path:
    """Make a file or folder look as if its writer had not touched it for a while."""
    then = path.stat().st_mtime - OLD
    os.utime(path, (then, then))
    return path


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_swept", set())


def test_a_file_appears_whole_with_the_mode_of_its_kind(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "a.txt"
    files.write(path, b"one")
    mask = os.umask(0)
    os.umask(mask)
    assert path.read_bytes() == b"one" and stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
    path.chmod(0o640)
    files.write(path, b"two")
    assert path.read_bytes() == b"two" and stat.S_IMODE(path.stat().st_mode) == 0o640
    alone(path)


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    files.write(path, b"one")
    with pytest.raises(ZeroDivisionError), files.replacing(path) as part:
        part.write_bytes(b"half")
        raise ZeroDivisionError
    with pytest.raises(UnmaskError, match=r"a\.txt: cannot be written \(No space"), files.replacing(path) as part:
        part.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert path.read_bytes() == b"one"
    alone(path)
    for wrong in (tmp_path, path / "below", tmp_path / ("x" * 300)):
        with pytest.raises(UnmaskError, match="cannot be written"):
            files.write(wrong, b"")
    alone(path)


def test_links_are_followed_and_kept(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.txt").write_text("one")
    (tmp_path / "short").symlink_to("real")
    (tmp_path / "link").symlink_to("short/a.txt")
    (tmp_path / "second").symlink_to("link")
    files.write(tmp_path / "second", b"two")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "second").is_symlink()
    assert (tmp_path / "real" / "a.txt").read_bytes() == b"two"
    (tmp_path / "nowhere").symlink_to("real/new.txt")
    files.write(tmp_path / "nowhere", b"new")
    assert (tmp_path / "real" / "new.txt").read_bytes() == b"new" and (tmp_path / "nowhere").is_symlink()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UnmaskError, match="loop: cannot be written"):
        files.write(tmp_path / "loop", b"")
    alone(tmp_path / "real" / "x")


def test_a_pipe_is_written_through(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(UnmaskError, match="nobody reads this pipe"):
        files.write(path, b"x")
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(path.read_bytes()))
    reader.start()
    while reader.is_alive():
        try:
            files.write(path, b"y" * 200_000)
            break
        except UnmaskError:  # the reader has not come yet
            continue
    reader.join()
    assert found == [b"y" * 200_000] and path.is_fifo()
    alone(path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs devices that swallow and that are full")
def test_devices_are_written_through(tmp_path: Path) -> None:
    (tmp_path / "null").symlink_to("/dev/null")
    files.write("/dev/null", b"x")
    files.write(tmp_path / "null", b"x")
    with pytest.raises(UnmaskError, match="/dev/full: cannot be written"):
        files.write("/dev/full", b"x")
    assert all(stat.S_ISCHR(os.stat(device).st_mode) for device in ("/dev/null", "/dev/full"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /dev/stdout")
def test_stdout_by_name_joins_what_is_printed(tmp_path: Path) -> None:
    code = "from unmask import files; print('one'); files.write('/dev/stdout', b'two\\n'); print('three')"
    with (tmp_path / "out.txt").open("a") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True)
    assert (tmp_path / "out.txt").read_text() == "one\ntwo\nthree\n"


def test_a_refused_mode_is_let_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    files.write(path, b"one")

    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "chmod", refused)
    files.write(path, b"two")
    assert path.read_bytes() == b"two"


def test_parts_of_killed_processes_are_swept(tmp_path: Path) -> None:
    code = f"""
import os, signal, sys
from unmask import files
with files.replacing({str(tmp_path / "a.txt")!r}) as part, files.workshop({str(tmp_path)!r}) as place:
    part.write_text("half")
    (place / "x").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    left = [path for path in tmp_path.iterdir() if path.name.startswith(files.PREFIX)]
    assert len(left) == 2
    (tmp_path / "own.part").touch()
    files.write(tmp_path / "b.txt", b"")
    assert all(path.exists() for path in left)  # too young: their writers may have just begun
    for path in left:
        age(path)
    with files.replacing(tmp_path / "c.txt") as held:
        age(held)
        files._swept.clear()
        files.write(tmp_path / "d.txt", b"")
        assert held.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.txt", "c.txt", "d.txt", "own.part"]


def test_a_workshop_goes(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), files.workshop(tmp_path / "new") as place:
        (place / "x").touch()
        raise ZeroDivisionError
    assert list((tmp_path / "new").iterdir()) == []


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    assert files.read(tmp_path / "a") == b"0123456789" == files.read(str(tmp_path / "a"), 10)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    with (tmp_path / "huge").open("wb") as huge:
        huge.truncate(files.MAX_BYTES + 1)  # takes no room
    for name, words in {
        "none": "no such file", ".": "a folder", "pipe": "no regular file", "loop": "cannot be read",
        "x" * 300: "cannot be read", "nul\0": "cannot be read", "huge": "is longer than",
    }.items():  # fmt: skip
        with pytest.raises(UnmaskError, match=words) as caught:
            files.read(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(UnmaskError, match="is longer than"):
        files.read(tmp_path / "a", 9)
    if Path("/dev/zero").exists():
        with pytest.raises(UnmaskError, match="no regular file"):
            files.read("/dev/zero")


def test_hashes_follow_the_content(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for content in (b"one", b"two", b"three" * 1_000_000):
        files.write(path, content)
        assert files.sha256(path) == hashlib.sha256(content).hexdigest()
    with pytest.raises(UnmaskError, match="cannot be read"):
        files.sha256(tmp_path)


def test_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("UNMASK_CACHE", raising=False)
    assert files.cache_folder() == tmp_path / ".cache" / "unmask"
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "c"))
    assert files.cache_folder() == tmp_path / "c" and files.cache_folder("d") == Path("d")
    assert not list(tmp_path.iterdir())

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("UNMASK_CACHE")
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(UnmaskError, match="no home folder here; set UNMASK_CACHE"):
        files.cache_folder()


def test_messages_are_one_line_of_text() -> None:
    assert printable("Grüße aus 東京\u3000.jpg") == "Grüße aus 東京\u3000.jpg"
    name = os.fsdecode(b"a\n\x1b[31m\r\tb\xe9\xc2\x85") + "\u202egpj.exe\u2028"
    assert printable(name) == r"a\n\x1b[31m\r\tb\xe9\x85\u202egpj.exe\u2028"
    assert str(UnmaskError(f"{name}: gone")).startswith(r"a\n\x1b[31m") and "\n" not in str(UnmaskError("\n"))
    assert str(UnmaskError(str(UnmaskError("\n")))) == r"\n"


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks there")
def test_turns_are_taken_one_after_the_other(tmp_path: Path) -> None:
    inside: list[str] = []

    def other() -> None:
        with files.turn(tmp_path / "lock"):
            inside.append("other")

    with files.turn(tmp_path / "lock"):
        waiting = threading.Thread(target=other)
        waiting.start()
        waiting.join(0.2)
        inside.append("first")
    waiting.join(10)
    assert inside == ["first", "other"]
