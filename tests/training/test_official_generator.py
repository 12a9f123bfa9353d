"""The encoder before a frozen generator in NVIDIA's layout, at both published sizes: convert, train, restore."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training import drawn
from tests.weights.test_convert import GOLDEN, official_file
from unmask import weights
from unmask.cli import main
from unmask.restore.restorer import Restorer
from unmask.training import checkpoint

WIDTHS = {4: 8, 8: 8, 16: 8, 32: 8, 64: 8, 128: 4, 256: 4, 512: 4, 1024: 4}


def published(path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Write a tiny generator of ``size`` px as StyleGAN2-ADA writes its own; its channels."""
    spec = importlib.util.spec_from_file_location("numpy_stylegan2", GOLDEN.with_name("numpy_stylegan2.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    channels = {r: c for r, c in WIDTHS.items() if r <= size}
    module.CHANNELS = channels
    state = module.as_ada(module.random_net(np.random.default_rng(0)))
    official_file(path, {k: torch.as_tensor(v).float() for k, v in state.items()}, monkeypatch, clamp=256)
    return list(channels.values())


@pytest.mark.parametrize("size", [256, 1024])
def test_an_encoder_before_a_published_generator(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "cache"))
    channels = published(tmp_path / "net.pkl", size, monkeypatch)
    drawn.folder(tmp_path / "data", "mine", people=2, pictures=10, size=64)
    assert main(["convert", str(tmp_path / "net.pkl")]) == 0
    assert f"{size} px, conv_clamp 256" in capsys.readouterr().out
    run, file = tmp_path / "run", tmp_path / "net.safetensors"
    narrow = {256: [16] * 5, 1024: [16] * 7}[size]  # with fewer, oneDNN overruns memory in strided convolutions
    settings = {
        "data": tmp_path / "data", "sources": "[mine]", "out": run, "generator": file, "recognizer": "",
        "model.w_dim": 6, "model.channels": channels, "model.encoder.widths": narrow,
        "model.encoder.depths": [1] * (len(narrow) - 1), "model.encoder.pyramid": 16, "model.encoder.narrow": 16,
        "discriminator": [16] * {256: 6, 1024: 8}[size], "batch_size": 1, "max_steps": 2, "workers": 1,
        "warmup_steps": 0, "adv_start": 1,
    }  # fmt: skip
    argv = ["train", "--config", f"ffhq{size}-unmasker", "--device", "cpu", *(f"{k}={v}" for k, v in settings.items())]
    assert main(argv) == 2
    assert "model.conv_clamp: that of" in capsys.readouterr().err
    assert main([*argv, "model.conv_clamp=256"]) == 0
    network = checkpoint.read(run / checkpoint.NAME)["modules"]["network"]
    given = weights.read(file, "generator").tensors
    frozen = {k: v for k, v in given.items() if k.startswith("synthesis.")}
    assert frozen and all(torch.equal(network[k], v) for k, v in frozen.items())
    torch.testing.assert_close(network["w_avg"], given["w_avg"].reshape(-1, 6)[0])
    assert any(v.abs().max() > 0 for k, v in network.items() if k.startswith("encoder.skips.") and k.endswith("2.bias"))
    restorer = Restorer.from_pretrained(run, device="cpu")
    assert restorer.size == size
    x = np.random.default_rng(1).uniform(-1, 1, (1, 3, size, size)).astype(np.float32)
    made = restorer.unmask(x, np.ones((1, 1, size, size), np.float32))
    assert made.shape == (1, 3, size, size) and bool(np.isfinite(made).all())
