"""What an evaluation keeps is found again only where the code that made it is the same."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from unmask.evaluation.verification import embedding, views

RESTORED = "linear"


def way(view: str) -> str:
    """The key of a view, with stand-ins for all that is loaded."""
    restorer = SimpleNamespace(name=RESTORED, fingerprint="r")
    renderer = SimpleNamespace(
        aligned=False, points="found", masks=None, seed=0, cover=views.SIMULATE, segmenter=None, restorers=[restorer]
    )
    return embedding._way(renderer, view, SimpleNamespace(fingerprint="f"), {})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "touched"),
    [
        ("evaluation/baselines.py", {RESTORED}),
        ("evaluation/linear.py", {RESTORED}),
        ("recognition/insight.py", {views.CLEAN, views.MASKED, RESTORED}),
        ("images/photo.py", {views.CLEAN, views.MASKED, RESTORED}),
        ("simulation/simulate.py", {views.MASKED, RESTORED}),
        ("restore/restorer.py", {RESTORED}),
        ("web/api.py", set()),
    ],
)
def test_a_changed_source_is_another_key(changed: str, touched: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    names = (views.CLEAN, views.MASKED, RESTORED)
    before = {view: way(view) for view in names}
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda p: read(p) + b"#" * p.as_posix().endswith(f"unmask/{changed}"))
    assert {view for view in names if way(view) != before[view]} == touched
