"""The notebook runs from top to bottom, without Jupyter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unmask import images
from unmask.restore import STATEMENT

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "docs" / "notebooks" / "unmask.ipynb"
COLAB = "/content/unmask"  # where the notebook says the checkout lies


def test_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    book = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (book["nbformat"], {cell["cell_type"] for cell in book["cells"]}) == (4, {"markdown", "code"})
    cells = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] for cell in cells)  # results are made, not shipped
    space: dict[str, Any] = {}
    for cell in cells:
        if "install" not in cell["metadata"].get("tags", ()):
            exec("".join(cell["source"]).replace(COLAB, str(ROOT)), space)
    done, by_hand = space["done"], space["by_hand"]
    assert done.faces[0].status == "restored" and not np.array_equal(done.pixels, done.before)
    assert space["spread"][done.region > 0.5].mean() > 0
    top = done.pixels.shape[0] // 4
    assert np.array_equal(by_hand.pixels[: top - 12], by_hand.before[: top - 12])
    assert images.read_note((tmp_path / "restored.png").read_bytes())["statement"] == STATEMENT
