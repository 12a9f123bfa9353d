"""Full disks, read-only folders and limits on the size of files: one line, and what was there is still there."""

from __future__ import annotations

import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images.pictures import picture
from unmask import files, images
from unmask.batch.manifest import Manifest
from unmask.errors import UnmaskError

LARGE = b"x" * 400_000


def left_alone(place: Path, *names: str) -> None:
    """Nothing but these files lies there."""
    assert sorted(path.name for path in place.iterdir()) == sorted(names)


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process may grow beyond 100 kB."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk(small_disk: Path) -> None:
    path = small_disk / "a.bin"
    files.write(path, b"before")
    with pytest.raises(UnmaskError, match=r"a\.bin: cannot be written \(No space left on device\)"):
        files.write(path, LARGE)
    assert path.read_bytes() == b"before"
    left_alone(small_disk, "a.bin")


def test_a_limit_on_the_size_of_files(tmp_path: Path, small_files: None) -> None:
    path = tmp_path / "a.bin"
    files.write(path, b"before")
    with pytest.raises(UnmaskError, match=r"a\.bin: cannot be written \(File too large\)"):
        files.write(path, LARGE)
    assert path.read_bytes() == b"before"
    left_alone(tmp_path, "a.bin")


def test_a_photo_on_a_full_disk(small_disk: Path) -> None:
    photo = images.read(picture(400, 600))
    with pytest.raises(UnmaskError, match="No space left"):
        images.write(photo, photo.pixels, small_disk / "a.bmp")
    left_alone(small_disk)


def test_a_checkpoint_on_a_full_disk(small_disk: Path) -> None:
    import torch

    from unmask.training import checkpoint

    path = small_disk / "last.pt"
    content = {"task": "x", "step": 1, "modules": {}, "optimizers": {}}
    checkpoint.save(path, content)
    before = path.read_bytes()
    with pytest.raises(UnmaskError, match=r"last\.pt: cannot be written"):
        checkpoint.save(path, {**content, "step": 2, "modules": {"a": {"w": torch.zeros(100_000)}}})
    assert path.read_bytes() == before and checkpoint.read(path)["step"] == 1
    assert not [one for one in small_disk.iterdir() if one.name.startswith(files.PREFIX)]


def test_a_manifest_on_a_full_disk(small_disk: Path) -> None:
    one = Manifest(small_disk / "m.jsonl")
    with pytest.raises(UnmaskError, match=r"m\.jsonl: cannot be written"):
        for i in range(1000):
            one.add(small_disk / f"{i}.png", {"outcome": "no face", "input": "x" * 1000})
    assert Manifest(one.path).done([small_disk / "0.png"], {})


def test_a_folder_that_is_read_only(small_disk: Path) -> None:
    path = small_disk / "a.bin"
    files.write(path, b"before")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for where in (path, small_disk / "new" / "b.bin"):
        with pytest.raises(UnmaskError, match=r"cannot be written \(Read-only file system\)"):
            files.write(where, b"after")
    assert path.read_bytes() == b"before"
    left_alone(small_disk, "a.bin")
