"""A folder of drawn faces laid out as the face data is."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from PIL import Image

from tests.evaluation import standins
from unmask.data import face_sets
from unmask.faces import align

PEOPLE = 40


@pytest.fixture(scope="session")
def drawn_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``faces128/drawn`` with an index: 40 people, 2 pictures each."""
    root = tmp_path_factory.mktemp("drawn")
    folder = root / "faces128" / "drawn"
    folder.mkdir(parents=True)
    points = align.template("ffhq", 128)
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "identity", *(f"{name}_{axis}" for name in face_sets.POINT_NAMES for axis in "xy")])
        for person in range(PEOPLE):
            for picture in range(2):
                name = f"{person:03d}_{picture}.png"
                Image.fromarray(standins.face(person, picture)).save(folder / name)
                writer.writerow([name, person, *points.ravel().round(2)])
    return root


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own cache folder."""
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
