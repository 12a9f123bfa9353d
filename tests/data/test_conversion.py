"""Published layouts into ours: every picture and person arrives, damaged files are named and leave nothing behind."""

from __future__ import annotations

import csv
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from unmask.data import conversion, face_sets
from unmask.errors import UnmaskError
from unmask.faces import align

MAGIC = struct.pack("<I", 0xCED7230A)


def encoded(level: int, kind: str = "JPEG", size: tuple[int, int] = (112, 112)) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((*size, 3), level, np.uint8)).save(out, kind)
    return out.getvalue()


def packed(payload: bytes) -> bytes:
    """A record as dmlc writes it: split wherever the payload holds the magic number at a multiple of four bytes."""
    pieces, start = [], 0
    for at in range(0, len(payload) - 3, 4):
        if payload[at : at + 4] == MAGIC:
            pieces.append(payload[start:at])
            start = at + 4
    pieces.append(payload[start:])
    out = b""
    for i, piece in enumerate(pieces):
        part = 0 if len(pieces) == 1 else 1 if i == 0 else 3 if i == len(pieces) - 1 else 2
        out += MAGIC + struct.pack("<I", part << 29 | len(piece)) + piece + b"\0" * (-len(piece) % 4)
    return out


def headed(label: float, body: bytes, more: tuple[float, ...] = ()) -> bytes:
    return struct.pack("<IfQQ", len(more), label, 0, 0) + struct.pack(f"<{len(more)}f", *more) + body


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=40), st.just(MAGIC), st.just(b"abcd" + MAGIC * 2 + b"x")), max_size=6))
def test_record_files_are_read_as_written(tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("rec") / "a.rec"
    path.write_bytes(b"".join(packed(p) for p in payloads))
    assert list(conversion._payloads(path)) == payloads


def test_recordio_becomes_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "cache"))
    source = tmp_path / "faces_webface"
    source.mkdir()
    rows = [headed(0, b"", (4.0, 6.0))]  # the header record of insightface
    rows += [headed(float(i // 2), encoded(40 * i + 20)) for i in range(3)]
    rows += [headed(0, encoded(200, "PNG"), (7.0, 1.0))]
    rows += [headed(0, b"", (1.0, 3.0))]  # a range of identities
    (source / "train.rec").write_bytes(b"".join(map(packed, rows)))
    found = conversion.convert(source, tmp_path / "casia")
    assert (found.pictures, found.people, found.without_face) == (4, 3, 0)
    faces = face_sets.load(tmp_path, ["casia/images"], size=112, template="arcface", split="all")
    assert faces.identity.tolist() == [0, 0, 1, 2]
    np.testing.assert_allclose(faces.images.mean((1, 2, 3)), [20, 60, 100, 200], atol=3)
    np.testing.assert_allclose(faces.points[0], align.template("arcface"), atol=0.02)


def test_folders_and_what_a_finder_misses(tmp_path: Path) -> None:
    for name, level in (("ann/1.jpg", 50), ("ann/2.png", 90), ("bob/1.jpg", 0)):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(level, "PNG" if name.endswith("png") else "JPEG", (60, 80)))
    points = np.arange(10.0).reshape(5, 2)
    found = conversion.convert(tmp_path / "set", tmp_path / "out", lambda p: points if p.max() > 10 else None)
    assert (found.pictures, found.people, found.without_face) == (2, 1, 1)
    with (tmp_path / "out" / "index.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [r["identity"] for r in rows] == ["ann", "ann"] and rows[1]["file"] == "images/0000001.png"
    assert float(rows[0]["right_mouth_y"]) == 9
    with pytest.raises(UnmaskError, match="already"):
        conversion.convert(tmp_path / "set", tmp_path / "out")


def test_lmdb_in_froms_layout(tmp_path: Path) -> None:
    lmdb = pytest.importorskip("lmdb")
    base = lmdb.open(str(tmp_path / "train.lmdb"), subdir=False, map_size=1 << 22)
    with base.begin(write=True) as writing:
        for i, person in enumerate(("00045", "00046")):
            wrapped = (
                b"\x10\0\xffARROW"
                + encoded(80 + 40 * i)
                + b"\0\0\x05"
                + str(i).encode()
                + b"\0"
                + f"{person}/001.jpg".encode()
                + b"\0\0"
            )
            writing.put(str(i).encode(), wrapped)
        writing.put(b"__len__", b"2")
    base.close()
    found = conversion.convert(tmp_path / "train.lmdb", tmp_path / "out")
    assert (found.pictures, found.people) == (2, 2)
    assert "00046" in (tmp_path / "out" / "index.csv").read_text()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"something else, long enough", "not RecordIO"),
        (packed(headed(0, encoded(9)))[:-40], "cut short"),
        (packed(b"short"), "too short"),
        (packed(headed(1, b"\xff\xd8\xffno picture")), "cannot be read"),
        (packed(headed(1, b"")), "no faces"),
    ],
)
def test_damaged_files_leave_nothing(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.rec").write_bytes(content)
    with pytest.raises(UnmaskError, match=message) as caught:
        conversion.convert(tmp_path / "a.rec", tmp_path / "out")
    assert "a.rec" in str(caught.value) and "\n" not in str(caught.value)
    assert not list((tmp_path / "out").iterdir())


def test_missing_and_loose_pictures_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnmaskError, match="no such face set"):
        conversion.convert(tmp_path / "none", tmp_path / "out")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.jpg").write_bytes(encoded(5))
    with pytest.raises(UnmaskError, match="no person's folder"):
        conversion.convert(tmp_path / "set", tmp_path / "out")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from unmask.cli import main

    (tmp_path / "set" / "ann").mkdir(parents=True)
    (tmp_path / "set" / "ann" / "a.jpg").write_bytes(encoded(50))
    assert main(["convert-faces", str(tmp_path / "set"), str(tmp_path / "out")]) == 0
    assert "1 pictures of 1 people" in capsys.readouterr().out
