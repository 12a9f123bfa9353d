"""From a run's checkpoint to rows of the weights table."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from unmask import models, weights
from unmask.cli import main
from unmask.errors import UnmaskError, UsageError
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


def test_both_networks_become_rows_with_onnx_versions(tmp_path: Path) -> None:
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


def test_a_checkpoint_that_does_not_fit_its_config_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    wider = {**SEGMENTER, "widths": [16, 24]}
    with pytest.raises(UnmaskError, match="do not fit the segmenter"):
        release(_run(tmp_path, "segmenter", Segmenter(**SEGMENTER), wider), tmp_path / "weights")
    assert not (tmp_path / "weights").exists()


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
            release(runs[0], tmp_path / "others", mix=path)


def test_the_pack_is_left_alone_and_nothing_is_replaced_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = tmp_path / "pack"
    monkeypatch.setenv("UNMASK_WEIGHTS", str(pack))
    run = _run(tmp_path / "run", "segmenter", Segmenter(**SEGMENTER), SEGMENTER)
    release(run)
    assert not pack.exists()
    home = tmp_path / "run" / "weights"
    assert sorted(path.name for path in home.iterdir()) == ["index.json", "segmenter.onnx", "segmenter.safetensors"]
    before = (home / "segmenter.safetensors").read_bytes()
    _run(tmp_path / "run", "segmenter", Segmenter(**SEGMENTER), SEGMENTER)  # it went on
    for given in (run, run.parent):
        with pytest.raises(UsageError, match=r"segmenter.safetensors: is there already; .* --overwrite"):
            release(given)
    assert (home / "segmenter.safetensors").read_bytes() == before
    (home / "segmenter.safetensors").unlink()
    with pytest.raises(UsageError, match=r"segmenter\.onnx: is there already"):
        release(run)
    row = release(run, overwrite=True, license="mine")
    assert row.license == "mine" and all(state == "ok" for _, state in weights.verify(home))
    assert release(run, name="other").file == "other.safetensors" and len(weights.rows(home)) == 2


def test_export_says_what_it_wrote_and_nothing_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    arch = {"img_resolution": 64, "w_dim": 16, "channels": [16] * 5, "skips": [16], "gated": [16]}
    network = models.build("unmasker", **arch)
    content = {"task": "unmasker", "step": 1, "config": {"model": arch, "batch_size": 1}, "optimizers": {}}
    checkpoint.save(tmp_path / "last.pt", content | {"modules": {"average": network.state_dict()}})
    assert main(["export", str(tmp_path)]) == 0
    told = capfd.readouterr()
    assert told.err == "" and not recwarn.list
    assert [line.rpartition(" (")[0] for line in told.out.splitlines()] == [
        str(tmp_path / "weights" / f"unmasker.{suffix}") for suffix in ("safetensors", "onnx")
    ]
