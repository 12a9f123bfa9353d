"""Sources that are damaged, lead out or change: one line with the file, and nothing stale."""

from __future__ import annotations

import os
import zipfile
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unmask.data import face_sets, photos, pictures
from unmask.errors import UnmaskError

HEADER = "file,identity," + ",".join(face_sets.COLUMNS)
POINTS = "20,20,40,20,30,30,22,40,38,40"


def png(level: int = 90, side: int = 60) -> bytes:
    stream = BytesIO()
    Image.effect_noise((side, side), level).convert("RGB").save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(params=["zip", "folder"])
def build(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes a source with an index of given rows and pictures, and loads it."""
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "cache"))

    def made(rows: list[str], files: dict[str, bytes], header: str = HEADER, split: str = "all") -> face_sets.FaceSet:
        (tmp_path / "index.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        if request.param == "zip":
            with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
                for name, content in files.items():
                    archive.writestr(name, content)
        else:
            for name, content in files.items():
                (tmp_path / name).parent.mkdir(exist_ok=True)
                (tmp_path / name).write_bytes(content)
        return face_sets.load(tmp_path, ["s"], 32, split=split)  # type: ignore[arg-type]

    return made


GOOD = f"s/a.png,p,{POINTS}"


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([f"s/none.png,p,{POINTS}"], "none.png"),
        ([f"../secret.png,p,{POINTS}"], r"no picture of s|leads out of the source"),
        ([f"s/../../secret.png,p,{POINTS}"], "leads out of the source"),
        ([f"s/a\\..\\..\\b.png,p,{POINTS}"], "leads out of the source"),
        (["s/a.png,p," + POINTS.replace("30,30", "nan,30")], r"index\.csv: line 2: nose_x is 'nan'"),
        (["s/a.png,p," + POINTS.replace("30,30", "1e300,30")], "line 2: nose_x"),
        (["s/a.png,p," + POINTS.replace("30,30", "x,30")], "line 2: nose_x is 'x'"),
        (["s/a.png,p,20,20"], "line 2: has not as many cells|line 2: right_eye_x is ''"),
        (["s/a.png,p," + ",".join(["7"] * 10)], "line 2: all five points are one"),
        ([], "names no picture of s"),
        ([f"s/bad.png,p,{POINTS}"], r"bad\.png: "),
        ([f"s/cut.png,p,{POINTS}"], r"cut\.png: "),
        ([f"s/huge.png,p,{POINTS}"], r"huge\.png: .*(pixels|on a side)"),
    ],
)
def test_faults_name_the_file(build, rows: list[str], told: str) -> None:
    whole = png()
    header = b"IHDR" + (12_000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    start = whole.index(b"IHDR")
    huge = whole[:start] + header + zlib.crc32(header).to_bytes(4, "big") + whole[start + 21 :]
    cut = whole[: len(whole) // 2]
    files = {"s/a.png": whole, "s/bad.png": b"\x89PNG nothing", "s/cut.png": cut, "s/huge.png": huge}
    with pytest.raises(UnmaskError, match=told):
        build(rows, files)


def test_tables_that_are_none(build, tmp_path: Path) -> None:
    with pytest.raises(UnmaskError, match="line 1: no column file"):
        build([GOOD], {"s/a.png": png()}, header="name,identity")
    (tmp_path / "index.csv").write_bytes(b"file\n\xff\xfe\n")
    with pytest.raises(UnmaskError, match=r"index\.csv: no readable table"):
        face_sets.load(tmp_path, ["s"], 32)


def test_one_face_is_too_few_to_train_on(build) -> None:
    with pytest.raises(UnmaskError, match="no face of s is for train"):
        build([GOOD], {"s/a.png": png()}, split="train")
    with pytest.raises(UnmaskError, match="sources: none"):
        face_sets.load(".", [])


def test_what_changes_is_noticed(build, tmp_path: Path) -> None:
    """A corrected row, and a replaced picture of the same size and time."""
    rows = [f"s/{name}.png,p,{POINTS}" for name in "ab"]
    first = build(rows, {"s/a.png": png(20), "s/b.png": png(30)})
    index = tmp_path / "index.csv"
    index.write_text(index.read_text().replace("s/b.png,p,20,20", "s/b.png,q,25,20"))
    second = face_sets.load(tmp_path, ["s"], 32, split="all")
    assert set(second.identity) == {0, 1} and not np.array_equal(first.points[1], second.points[1])
    other = png(90)
    if (tmp_path / "s.zip").is_file():
        before = (tmp_path / "s.zip").stat()
        with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
            archive.writestr("s/a.png", png(20))
            archive.writestr("s/b.png", other)
        os.utime(tmp_path / "s.zip", ns=(before.st_atime_ns, before.st_mtime_ns))
    else:
        before = (tmp_path / "s" / "b.png").stat()
        (tmp_path / "s" / "b.png").write_bytes(other)
        os.utime(tmp_path / "s" / "b.png", ns=(before.st_atime_ns, before.st_mtime_ns))
    third = face_sets.load(tmp_path, ["s"], 32, split="all")
    assert not np.array_equal(second.images[1], third.images[1]) and second.digest != third.digest


def test_a_damaged_cache_is_made_again(build, tmp_path: Path) -> None:
    first = build([GOOD], {"s/a.png": png()})
    for kept in (tmp_path / "cache").iterdir():
        kept.write_bytes(kept.read_bytes()[:50])
    assert np.array_equal(face_sets.load(tmp_path, ["s"], 32, split="all").images, first.images)


def test_long_members_are_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "s.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("s/a.png", bytes(pictures.MAX_BYTES + 1))
    with pytest.raises(UnmaskError, match="is longer than 64 MB"):
        pictures.Source(tmp_path / "s.zip").read("s/a.png")
    (tmp_path / "t.zip").write_bytes((tmp_path / "s.zip").read_bytes()[:-30])
    with pytest.raises(UnmaskError, match="not a readable zip"):
        pictures.Source(tmp_path / "t.zip")


def test_photos_for_the_detector_are_held_to_the_same(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.writestr("a.png", png())
        archive.writestr("b.png", png()[:200])
    (tmp_path / "faces.csv").write_text("file,x1,y1,x2,y2,score," + ",".join(face_sets.COLUMNS) + "\na.png,1\n")
    with pytest.raises(UnmaskError, match=r"faces\.csv: line 2: has not as many cells"):
        photos.load(tmp_path, "val")
    with pytest.raises(UnmaskError, match=r"b\.png: "):
        photos.load(tmp_path, "train")
