"""From a run's checkpoint to rows of the weights table."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from unmask import weights
from unmask.errors import UsageError
from unmask.export.release import release
from unmask.models.detector import Detector
from unmask.models.segmenter import Segmenter
from unmask.training import checkpoint

pytest.importorskip("onnx")
SEGMENTER = {"widths": [16, 16], "depths": [0, 0], "ups": [16]}
DETECTOR = {"stem": 16, "widths": [16, 16, 16], "depths": [0, 0, 0, 0], "neck": 16, "head": 1}


def _run(folder: Path, task: str, model: torch.nn.Module, arch: dict) -> Path:
    path = folder / "last.pt"
    config = {"model": arch, "size": 64, "batch_size": 2}
    checkpoint.save(
        path, {"task": task, "step": 7, "config": config, "modules": {"model": model.state_dict()}, "optimizers": {}}
    )
    return path


def test_both_networks_become_rows_with_onnx_twins(tmp_path: Path) -> None:
    home = tmp_path / "weights"
    home.mkdir()
    release(_run(tmp_path, "segmenter", Segmenter(**SEGMENTER), SEGMENTER), home)
    release(_run(tmp_path, "detector", Detector(**DETECTOR), DETECTOR), home)
    rows = {row.name: row for row in weights.rows(home)}
    assert rows["segmenter"].template == "ffhq" and rows["segmenter"].size == 64
    assert rows["detector"].template is None and "7 steps" in rows["detector"].source
    assert all(state == "ok" for _, state in weights.verify(home)) and len(weights.verify(home)) == 4
    found = weights.read("detector", kind="detector", folder=home)
    weights.fill(Detector(**found.arch), found)
    assert found.meta["steps"] == 7


def test_other_tasks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="juggler"):
        release(_run(tmp_path, "juggler", torch.nn.Linear(1, 1), {}), tmp_path)


def test_a_mean_of_two_checkpoints(tmp_path: Path) -> None:
    home = tmp_path / "weights"
    home.mkdir()
    first, second = Segmenter(**SEGMENTER), Segmenter(**SEGMENTER)
    runs = [_run(tmp_path / name, "segmenter", net, SEGMENTER) for name, net in (("a", first), ("b", second))]
    row = release(runs[0], home, mix=runs[1], share=0.25)
    assert "7 steps, 0.25 of the weights from step 7" in row.source
    found = weights.read("segmenter", folder=home).tensors
    for name, tensor in first.state_dict().items():
        if tensor.is_floating_point():
            wanted = 0.75 * tensor + 0.25 * second.state_dict()[name]
            torch.testing.assert_close(found[name].float(), wanted, atol=2e-3, rtol=2e-3)
    other = {**SEGMENTER, "widths": [16, 8]}
    for path in (_run(tmp_path / "c", "segmenter", Segmenter(**other), other),
                 _run(tmp_path / "d", "detector", Detector(**DETECTOR), DETECTOR)):  # fmt: skip
        with pytest.raises(UsageError, match="another network"):
            release(runs[0], home, mix=path)
