"""``unmask prepare`` from the outside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unmask.faces import segment

Run = Callable[..., tuple[int, str, str]]
Make = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("stand_ins")


@pytest.fixture(autouse=True)
def nobody_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A segmenter that sees no face mask."""

    class Segmenter:
        def predict(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return np.zeros((len(crops), 1, 8, 8), np.float32), np.zeros(len(crops), np.float32)

    monkeypatch.setattr(segment, "Segmenter", Segmenter)


def test_a_folder_of_photos(run: Run, make: Make, tmp_path: Path) -> None:
    for name, level in {"a/0.png": 90, "b/1.png": 0}.items():
        make(f"in/{name}", level)
    options: list[Any] = ["--size", 64, "--min-sharpness", 0]
    code, out, err = run("prepare", tmp_path / "in", "-o", tmp_path / "out", *options)
    assert (code, err) == (0, "")
    assert out.splitlines() == [f"2 photos -> 1 faces in {tmp_path / 'out'}", "  dropped, no face: 1"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["000000.png", "index.csv", "report.csv"]
    (tmp_path / "in" / "bad.png").write_bytes(b"x")
    code, out, _ = run("prepare", tmp_path / "in", "-o", tmp_path / "out.zip", "--people", *options)
    assert code == 3 and "unreadable: 1" in out and "a," in (tmp_path / "index.csv").read_text()


def test_what_cannot_be_meant(run: Run, make: Make, tmp_path: Path) -> None:
    photo = make("in/0.png")
    assert run("prepare", photo, "-o", tmp_path / "out")[0] == 2
    assert run("prepare", tmp_path / "in", "-o", tmp_path / "in" / "out")[0] == 2
    assert run("prepare", tmp_path / "in")[0] == 2
    code, _, err = run("prepare", tmp_path / "in", "-o", tmp_path / "out", "--min-scale", 99)
    assert code == 1 and "loosen" in err and not (tmp_path / "out").exists()
    assert np.asarray([path.name for path in tmp_path.iterdir()]).tolist() == ["in"]
