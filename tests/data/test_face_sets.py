"""Packed faces: order, split, identities, alignment, and clear words where a source is missing."""

from __future__ import annotations

import csv
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unmask.data import face_sets
from unmask.errors import UnmaskError
from unmask.faces import align

COUNT = 23


def source(root: Path, name: str, people: list[str], size: int = 64, zipped: bool = True, points: bool = True) -> None:
    """Plain pictures whose red level is their number, on the ffhq template at ``size``."""
    folder, short = (root / name).parent, name.rsplit("/", 1)[-1]
    folder.mkdir(parents=True, exist_ok=True)
    template = align.template("ffhq", size)
    header = ["file", "identity"] + ([f"{p}_{a}" for p in face_sets.POINT_NAMES for a in "xy"] if points else [])
    pictures = {}
    for i in range(len(people)):
        stream = BytesIO()
        Image.new("RGB", (size, size), (i * 10, 0, 255)).save(stream, "PNG")
        pictures[f"{i:03d}.png"] = stream.getvalue()
    if zipped:
        with zipfile.ZipFile(root / f"{name}.zip", "w") as archive:
            for file, content in pictures.items():
                archive.writestr(f"{short}/{file}", content)
    else:
        (root / name).mkdir()
        for file, content in pictures.items():
            (root / name / file).write_bytes(content)
    index = folder / "index.csv"
    fresh = not index.is_file()
    with index.open("a", newline="") as stream:
        rows = csv.writer(stream)
        if fresh:
            rows.writerow(header)
        for file, person in zip(pictures, people, strict=True):
            rows.writerow([f"{short}/{file}", person, *(template.ravel() if points else [])])


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "cache"))
    source(tmp_path, "set/a", [f"p{i % 3}" for i in range(COUNT)])
    source(tmp_path, "set/b", ["p2", "", "q"] + [""] * 8, zipped=False)
    return tmp_path


def test_split_holds_out_every_tenth_of_each_source(root: Path) -> None:
    train, val, both = (face_sets.load(root, ["set/a", "set/b"], 64, split=s) for s in ("train", "val", "all"))
    assert (len(train), len(val), len(both)) == (20 + 9, 3 + 2, 34)
    assert val.names.tolist() == ["a/000.png", "a/010.png", "a/020.png", "b/000.png", "b/010.png"]
    assert set(train.names) | set(val.names) == set(both.names)
    assert not set(train.names) & set(val.names)


def test_pictures_points_and_people_stay_together(root: Path) -> None:
    faces = face_sets.load(root, ["set/a", "set/b"], 64, split="all")
    levels = [int(n.rsplit("/", 1)[1][:3]) * 10 for n in faces.names]
    np.testing.assert_array_equal(faces.images[:, 30, 30, 0], levels)
    np.testing.assert_allclose(faces.points, np.broadcast_to(align.template("ffhq", 64), faces.points.shape), atol=1e-3)
    names = {-1: "", 0: "p0", 1: "p1", 2: "p2", 3: "q"}
    assert [names[i] for i in faces.identity[:4]] == ["p0", "p1", "p2", "p0"]
    assert [names[i] for i in faces.identity[COUNT : COUNT + 3]] == ["p2", "", "q"]


def test_other_template_moves_the_points_to_it(root: Path) -> None:
    faces = face_sets.load(root, ["set/a"], 112, template="arcface", split="val")
    assert faces.images.shape == (3, 112, 112, 3)
    expected = align.template("arcface", 112)
    assert np.abs(faces.points - expected).max() < 4.5  # two templates agree up to their shape
    assert abs(np.linalg.norm(faces.points[0, 1] - faces.points[0, 0]) - 35.2) < 2.5


def test_second_load_reads_the_cache_and_so_does_one_of_a_touched_source(root: Path) -> None:
    face_sets.load(root, ["set/a"], 64)
    packed = sorted((root / "cache").glob("faces-*.npy"))
    stamp = packed[0].stat().st_mtime_ns
    face_sets.load(root, ["set/a"], 64)
    assert sorted((root / "cache").glob("faces-*.npy")) == packed
    assert packed[0].stat().st_mtime_ns == stamp
    (root / "set" / "a.zip").touch()
    face_sets.load(root, ["set/a"], 64)
    assert len(list((root / "cache").glob("faces-*.npy"))) == 1  # its content is the same


def test_pictures_without_points_take_the_aligned_celeba_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "cache"))
    source(tmp_path, "small/images", ["p"] * 3, size=89, points=False)
    faces = face_sets.load(tmp_path, ["small/images"], 112, template="arcface", split="all")
    wanted = align.similarity(face_sets.CELEBA_POINTS / 2, align.template("arcface", 112))
    np.testing.assert_allclose(faces.points[0], align.transform_points(face_sets.CELEBA_POINTS / 2, wanted), atol=1e-3)


def test_missing_source_and_index_are_named(root: Path) -> None:
    with pytest.raises(UnmaskError, match=r"set/none.*no such source"):
        face_sets.load(root, ["set/none"], 64)
    (root / "bare").mkdir()
    (root / "bare" / "x").mkdir()
    with pytest.raises(UnmaskError, match=r"index\.csv"):
        face_sets.load(root, ["bare/x"], 64)
