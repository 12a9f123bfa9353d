"""``unmask models``: listing, verifying, installing."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from unmask import weights

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A weights folder with one row."""
    home = tmp_path / "weights"
    path = weights.save(home / "tiny.safetensors", "unmasker", {}, {"x": torch.ones(3)})
    weights.register("tiny", path, license="research only", source="drawn", folder=home)
    return home


def test_list(run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSIGHTFACE_HOME", str(tmp_path))
    code, out, _ = run("models", "list", "--weights", folder)
    assert code == 0 and "tiny.safetensors" in out and "research only" in out
    assert "buffalo_l" in out and "not installed" in out and "non-commercial" in out
    table = json.loads(run("models", "list", "--weights", folder, "--json")[1])
    assert table["weights"][0]["name"] == "tiny" and not table["packs"][0]["installed"]
    assert "none" in run("models", "list", "--weights", tmp_path)[1]


def test_verify(run: Run, folder: Path, tmp_path: Path) -> None:
    assert run("models", "verify", "--weights", folder) == (0, "ok            tiny.safetensors\n", "")
    (folder / "tiny.safetensors").write_bytes(b"else")
    code, out, err = run("models", "verify", "--weights", folder)
    assert code == 1 and "wrong sha256" in out and "tiny.safetensors" in err
    assert run("models", "verify", "--weights", tmp_path / "none")[0] == 1


def test_install(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSIGHTFACE_HOME", str(tmp_path))
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        archive.writestr("a.onnx", b"graph")
    code, _, err = run("models", "install", "mine", "--from", tmp_path / "mine.zip")
    assert code == 2 and "--accept-license" in err
    code, _, _ = run("models", "install", "mine", "--from", tmp_path / "mine.zip", "--accept-license")
    assert code == 0 and (tmp_path / "models" / "mine" / "a.onnx").read_bytes() == b"graph"
    code, _, err = run("models", "install", "buffalo_l", "--from", tmp_path / "mine.zip", "--accept-license")
    assert code == 1 and "non-commercial" in err and "sha256" in err
    assert run("models", "install", "buffalo_l")[0] == 2
    assert run("models", "install", "unheard-of", "--accept-license")[0] == 2
