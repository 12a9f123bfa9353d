"""The notebook runs from top to bottom, without Jupyter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unmask import images
from unmask.restore import STATEMENT

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "docs" / "notebooks" / "unmask.ipynb"
INSTALL = "%pip"  # a line for Jupyter; here the package is importable already


def code() -> list[str]:
    """The cells of the notebook, as Python."""
    book = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (book["nbformat"], {cell["cell_type"] for cell in book["cells"]}) == (4, {"markdown", "code"})
    cells = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] for cell in cells)  # results are made, not shipped
    return ["".join(line for line in cell["source"] if not line.startswith(INSTALL)) for cell in cells]


def test_it_runs_as_colab_lays_it_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "unmask").symlink_to(ROOT)
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {}
    for cell in code():
        exec(cell, space)
    assert space["CHECKOUT"] == tmp_path / "unmask"
    done, by_hand, several = space["done"], space["by_hand"], space["several"]
    assert done.faces[0].status == "restored" and not np.array_equal(done.pixels, done.before)
    assert several.spread[done.region > 0.5].mean() > 1 and len(several.faces[0].samples) == 4
    top = done.pixels.shape[0] // 4
    assert np.array_equal(by_hand.pixels[: top - 12], by_hand.before[: top - 12])
    assert images.read_note((tmp_path / "restored.png").read_bytes())["statement"] == STATEMENT


def test_the_checkout_is_not_taken_for_the_package(tmp_path: Path) -> None:
    """In Colab the folder at hand is called ``unmask`` and is no package; the installed one has to be found."""
    (tmp_path / "unmask").symlink_to(ROOT)
    lines = "import sys; sys.path.insert(0, ''); from unmask import Restorer; import unmask; print(unmask.__file__)"
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    found = subprocess.run([sys.executable, "-c", lines], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert found.returncode == 0 and Path(found.stdout.strip()) == ROOT / "unmask" / "__init__.py", found.stderr


def test_it_runs_where_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(NOTEBOOK.parent)
    space: dict[str, Any] = {}
    exec(code()[0], space)
    assert space["CHECKOUT"] == ROOT
