"""FROM and G2D from a run's checkpoint to a recognizer by name: ONNX parity, insightface, templates, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from unmask import recognition, weights
from unmask.errors import UnmaskError
from unmask.export import to_onnx
from unmask.export.release import release
from unmask.from_net import recognizer as from_recognizer
from unmask.from_net import train as from_task
from unmask.from_net.network import FromNet
from unmask.g2d import recognizer as g2d_recognizer
from unmask.g2d import train as g2d_task
from unmask.g2d.network import G2D
from unmask.models.iresnet import IResNet
from unmask.models.segmenter import Segmenter
from unmask.models.unmasker import Unmasker
from unmask.recognition import insight, trunk
from unmask.training import checkpoint

pytest.importorskip("onnx")
TRUNK = {
    "widths": [4, 6, 8, 8], "depths": [1, 1, 1], "embedding": 6, "size": [112, 112], "head": "gdc", "stem_stride": 2,
    "act": "lrelu", "early_stride": True,
}  # fmt: skip
FROM = {"trunk": TRUNK, "mask_kind": "3d", "grid": 4, "pyramid": 6, "narrow": 2}
ENCODER = {"kind": "unmasker", "widths": [4, 6, 8, 8], "depths": [1, 1, 1], "block": 2}
G2D_ = {"size": 128, "embedding": 6, "encoder": ENCODER, "reformer": {
    "widths": [4, 4, 6, 6], "depths": [1, 1, 1, 1], "pool": "gdc", "act": "lrelu", "early_stride": True}}  # fmt: skip


def stirred(model: torch.nn.Module) -> torch.nn.Module:
    """With statistics of its own, so that a normalization left out would show."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.3, 0.3)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
    return model.eval()


def run(folder: Path, task: str, model: torch.nn.Module, arch: dict) -> Path:
    checkpoint.save(folder / "last.pt", {
        "task": task, "step": 7, "config": {"model": arch, "batch_size": 2, "start": "", "teacher": ""},
        "modules": {"network": model.state_dict()}, "optimizers": {},
    })  # fmt: skip
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own weights folder with a tiny segmenter, which G2D's recognizer needs."""
    folder = tmp_path / "weights"
    arch = {"widths": [8, 8], "depths": [0, 0], "ups": [8]}
    path = weights.save(folder / "segmenter.safetensors", "segmenter", arch, stirred(Segmenter(**arch)).state_dict(),
                        {"size": 128, "template": "ffhq"})  # fmt: skip
    weights.register("segmenter", path, license="none", source="drawn", folder=folder)
    monkeypatch.setenv("UNMASK_WEIGHTS", str(folder))
    return folder


def test_from_by_name_is_its_onnx_twin_and_equals_torch(home: Path, tmp_path: Path) -> None:
    row = release(run(tmp_path / "run", "from", stirred(FromNet(**FROM)), FROM), home)
    assert (row.kind, row.template, row.size) == ("from_net", "arcface", 112) and "task from," in row.source
    found = recognition.load("from")
    assert isinstance(found, insight.InsightRecognizer) and (found.name, found.template) == ("from", "arcface")
    torch_one = recognition.load(home / "from.safetensors")
    assert isinstance(torch_one, from_recognizer.FromRecognizer) and torch_one.differentiable
    x = torch.rand(5, 3, 112, 112) * 2 - 1
    np.testing.assert_allclose(found.embed(x).numpy(), torch_one.embed(x).numpy(), atol=2e-4)
    said = torch_one.explain(x)
    assert said.mask.shape == (5, 8, 7, 7) and said.occlusion_logits.shape == (5, 101)
    torch.testing.assert_close(torch.nn.functional.normalize(said.embedding, dim=1), torch_one.embed(x))


def test_a_narrow_from_keeps_its_own_template(home: Path, tmp_path: Path) -> None:
    arch = {**FROM, "trunk": {**TRUNK, "size": [112, 96]}}
    row = release(run(tmp_path / "run", "from", stirred(FromNet(**arch)), arch), home)
    assert row.template == "from"
    found = recognition.load("from")
    assert (found.name, found.template, found.size) == ("from", "from", (112, 96))
    ort = pytest.importorskip("onnxruntime")
    x = torch.rand(2, 3, 112, 96) * 2 - 1
    out = ort.InferenceSession(str(home / "from.onnx")).run(None, {"input": x.numpy()})
    assert len(out) == 1
    unit = out[0] / np.linalg.norm(out[0], axis=1, keepdims=True)
    np.testing.assert_allclose(unit, found.embed(x).numpy(), atol=1e-3)
    np.testing.assert_allclose(recognition.load_torch("from").embed(x).numpy(), unit, atol=1e-3)
    assert insight.load(home / "from.onnx").template == "from"


def test_g2d_by_name_finds_the_region_itself(home: Path, tmp_path: Path) -> None:
    row = release(run(tmp_path / "run", "g2d", stirred(G2D(**G2D_)), G2D_), home)
    assert (row.kind, row.template, row.size) == ("g2d", "ffhq", 128)
    found, torch_one = recognition.load("g2d"), recognition.load(home / "g2d.safetensors")
    assert isinstance(found, insight.InsightRecognizer)
    assert found.template == torch_one.template == "ffhq" and found.size == torch_one.size == (128, 128)
    x = torch.rand(3, 3, 128, 128) * 2 - 1
    # float16 rounds the segmenter's folded normalization, which the torch version rounds before folding
    np.testing.assert_allclose(found.embed(x).numpy(), torch_one.embed(x).numpy(), atol=5e-3)
    alone = g2d_recognizer.segmented(torch_one.network.network)
    whole = to_onnx.recognizer_onnx(alone, tmp_path / "g.onnx", (128, 128), half=False, template="ffhq")
    np.testing.assert_allclose(recognition.load(whole).embed(x).numpy(), torch_one.embed(x).numpy(), atol=1e-4)
    x.requires_grad_()
    torch_one.embed(x).square().sum(1)[0].backward()
    assert x.grad is not None


def test_the_baseline_on_pixels_exports_too(home: Path, tmp_path: Path) -> None:
    arch = {**G2D_, "encoder": {**ENCODER, "kind": "pixels"}}
    release(run(tmp_path / "run", "g2d", stirred(G2D(**arch)), arch), home, "g2d-baseline")
    found, torch_one = (recognition.load(home / f"g2d-baseline.{end}") for end in ("onnx", "safetensors"))
    x = torch.rand(2, 3, 128, 128) * 2 - 1
    np.testing.assert_allclose(found.embed(x).numpy(), torch_one.embed(x).numpy(), atol=5e-3)


def test_g2d_with_a_given_reformer_needs_neither_its_file_nor_the_painters(home: Path, tmp_path: Path) -> None:
    shape = {"widths": [4, 4, 4, 4], "depths": [1, 1, 1], "embedding": 6, "size": [112, 112], "head": "gdc"}
    given = to_onnx.recognizer_onnx(stirred(IResNet(**shape, stem_stride=2)), tmp_path / "given.onnx", half=False)
    painter = {"img_resolution": 128, "w_dim": 8, "channels": [6, 6, 6, 4, 4, 4], "skips": [16], "gated": [],
               "encoder": {"widths": [4, 6, 8, 8], "depths": [1, 1, 1], "pyramid": 6, "narrow": 2}}  # fmt: skip
    start = weights.save(tmp_path / "u.safetensors", "unmasker", painter, Unmasker(**painter).state_dict())
    config = {"size": 128, "embedding": 6, "encoder": {"kind": "painted"}, "reformer": {"onnx": "teacher"}}
    arch = g2d_task.architecture({"model": config, "start": str(start), "teacher": str(given)})
    network = stirred(G2D(**arch))
    network.reformer.load_state_dict(trunk.read(given)[1])
    checkpoint.save(tmp_path / "run" / "last.pt", {
        "task": "g2d", "step": 7,
        "config": {"model": config, "batch_size": 2, "start": str(start), "teacher": str(given)},
        "modules": {"network": network.state_dict()}, "optimizers": {},
    })  # fmt: skip
    release(tmp_path / "run", home, "g2d")
    given.unlink(), start.unlink()
    found, torch_one = recognition.load("g2d"), recognition.load(home / "g2d.safetensors")
    x = torch.rand(3, 3, 128, 128) * 2 - 1
    np.testing.assert_allclose(found.embed(x).numpy(), torch_one.embed(x).numpy(), atol=5e-3)


def test_the_embedded_sizes_leave_room_in_the_pack(home: Path) -> None:
    from dataclasses import asdict

    from unmask.training import read_config

    arches = {"mini-from": from_task.architecture(asdict(read_config("mini-from"))),
              "mini-g2d": g2d_task.architecture(asdict(read_config("mini-g2d")))}  # fmt: skip
    for (name, arch), build in zip(arches.items(), (FromNet, G2D), strict=True):
        network = build(**arch)
        path = weights.save(home / f"{name}.safetensors", "x", {}, network.state_dict())
        assert path.stat().st_size < 7e6


def test_refusals(home: Path, tmp_path: Path) -> None:
    with pytest.raises(UnmaskError, match="segmenter, not a recognizer"):
        recognition.load(home / "segmenter.safetensors")
    with pytest.raises(UnmaskError, match="from"):
        recognition.load("from")
    arch = {**FROM, "mask_kind": "none"}
    release(run(tmp_path / "run", "from", FromNet(**arch), arch), home, "from-baseline")
    baseline = from_recognizer.load("from-baseline")
    with pytest.raises(UnmaskError, match="without a mask decoder"):
        baseline.explain(torch.zeros(1, 3, 112, 112))
