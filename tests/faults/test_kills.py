"""kill -9 at any moment, and two writers at once: what stands under a name is whole, and nothing stays behind."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

from tests.faults.conftest import Child
from unmask import files
from unmask.batch.manifest import Manifest

WRITER = """
from unmask import files
print("go", flush=True)
while True:
    for letter in b"abc":
        files.write({path!r}, bytes([letter]) * 300_000)
"""
KEEPER = """
from pathlib import Path
from unmask.batch.manifest import Manifest
one, count = Manifest({path!r}), 0
print("go", flush=True)
while True:
    one.add(Path({folder!r}) / f"{{count}}.png", {{"input": "x" * 500, "outcome": "no face", "sha256": "é"}})
    count += 1
"""


def whole(data: bytes) -> bool:
    return len(data) == 300_000 and len(set(data)) == 1


def test_a_killed_writer_leaves_a_whole_file(tmp_path: Path, child: Child) -> None:
    path, rng = tmp_path / "a.bin", random.Random(0)
    files.write(path, b"a" * 300_000)
    for _ in range(5):
        one = child(WRITER.format(path=str(path)))
        assert one.stdout and one.stdout.readline() == "go\n"
        time.sleep(rng.random() * 0.05)
        one.kill()
        one.wait()
        assert whole(path.read_bytes())
    for left in tmp_path.iterdir():
        if left.name.startswith(files.PREFIX):
            os.utime(left, (0, 0))
    files._swept.clear()
    files.write(tmp_path / "b.bin", b"")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.bin", "b.bin"]


def test_two_writers_and_a_reader(tmp_path: Path, child: Child) -> None:
    path = tmp_path / "a.bin"
    files.write(path, b"a" * 300_000)
    writers = [child(WRITER.format(path=str(path))) for _ in range(2)]
    for one in writers:
        assert one.stdout and one.stdout.readline() == "go\n"
    seen = set()
    for _ in range(200):
        data = path.read_bytes()
        assert whole(data)
        seen.add(data[:1])
    assert len(seen) > 1 and all(one.poll() is None for one in writers)


def test_a_killed_run_costs_the_manifest_one_line_at_most(tmp_path: Path, child: Child) -> None:
    path, rng = tmp_path / "manifest.jsonl", random.Random(1)
    for _ in range(3):
        one = child(KEEPER.format(path=str(path), folder=str(tmp_path)))
        assert one.stdout and one.stdout.readline() == "go\n"
        time.sleep(0.02 + rng.random() * 0.05)
        one.kill()
        one.wait()
    with path.open("ab") as file:
        file.write(b'{"output": "cut sho')
    Manifest(path).add(tmp_path / "last.png", {"outcome": "no face"})
    lines = path.read_bytes().splitlines()
    bad = []
    for line in lines:
        try:
            json.loads(line)
        except ValueError:
            bad.append(line)
    assert len(lines) > 3 and bad == [b'{"output": "cut sho']
    assert Manifest(path).done([tmp_path / "last.png"], {})
