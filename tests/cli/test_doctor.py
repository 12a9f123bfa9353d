"""``unmask doctor``: it finds what is well and what is not, and always to the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from unmask import weights
from unmask.ops import build

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.usefixtures("stand_ins")
def test_all_is_well(run: Run, tmp_path: Path) -> None:
    for name in ("detector", "segmenter", "recognizer", "unmasker"):
        path = weights.save(tmp_path / f"{name}.safetensors", name, {}, {"x": torch.ones(3)})
        weights.register(name, path, license="", source="", folder=tmp_path)
    findings = {one["what"]: one for one in json.loads(run("doctor", "--json", "--weights", tmp_path)[1])}
    wrong = [name for name, one in findings.items() if not one["ok"] and name != "restoration"]
    assert not wrong
    assert "4 files" in findings["weights"]["found"]
    assert torch.__version__.startswith(findings["torch"]["found"].partition("+")[0])


def test_what_is_wrong_is_said(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(retry: bool = False) -> None:
        assert retry
        raise build.BuildError("no C++ compiler on PATH; install g++")

    monkeypatch.setattr("unmask.ops.native.load", load)
    code, out, _ = run("doctor", "--weights", tmp_path, "--ops")
    lines = {line[4:].split()[0]: line for line in out.splitlines()}
    assert code == 1
    assert lines["weights"].startswith("BAD") and "no unmasker" in lines["weights"]
    assert lines["restoration"].startswith("BAD")
    assert lines["python"].startswith("ok")
    assert lines["native"].startswith("BAD") and "install g++" in lines["native"]
