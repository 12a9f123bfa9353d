"""The checks of an installation: each is a finding, whatever is wrong."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest

from unmask import __version__, installation
from unmask.errors import UnmaskError


def test_a_part_that_breaks_or_lacks_is_a_finding_and_the_rest_is_still_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(installation, "_processor", broken)
    monkeypatch.setattr(installation, "PACKAGES", ("onnxruntime", "no-such-package"))
    found = {check.what: check for check in installation.checks(tmp_path)}
    assert [*found][:4] == ["python", "torch", "onnxruntime", "no-such-package"]
    assert found["python"].ok and f"unmask {__version__}" in found["python"].found
    assert found["onnxruntime"] == ("onnxruntime", True, onnxruntime.__version__)
    assert found["no-such-package"] == ("no-such-package", False, "not installed; pip install no-such-package")
    assert found["processor"] == ("processor", False, "ZeroDivisionError")
    assert found["devices"].ok and "CPUExecutionProvider" in found["devices"].found
    assert not found["weights"].ok and "no detector" in found["weights"].found
    assert not found["restoration"].ok and "native ops" not in found


def test_a_restoration_that_gives_no_picture_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Blank:
        size = 64
        detector = type("Detector", (), {"detect": lambda self, photo: []})()

        def segment(self, crop):
            return crop[:, :1] * 0

        def unmask(self, crop, region):
            return crop * 0

    monkeypatch.setattr("unmask.restore.restorer.Restorer.from_pretrained", lambda folder: Blank())
    with pytest.raises(UnmaskError, match="gives no picture here"):
        installation._restoration(tmp_path)
