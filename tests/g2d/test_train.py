"""Task ``g2d``: each stage trains its own part alone, resumes exactly, and the baseline has no encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training import drawn, interrupted
from unmask import weights
from unmask.config import plain
from unmask.errors import UsageError
from unmask.export import to_onnx
from unmask.faces import align
from unmask.g2d import config as shapes
from unmask.g2d import train
from unmask.losses import crops
from unmask.models.iresnet import IResNet
from unmask.models.unmasker import Unmasker
from unmask.training import loop
from unmask.training import shapes as painters

CPU = torch.device("cpu")
# Sixteen channels: with four to eight oneDNN (PyTorch 2.13) overruns memory in the backward pass of strided layers.
TRUNK = (16, 16, 16, 16)
PAINTER = painters.Network(64, 8, (6, 6, 6, 4, 4), painters.EncoderShape(TRUNK, (1, 1, 1), 6, 2), (8, 16), (16,))
ENCODER = shapes.EncoderShape("unmasker", TRUNK, (1, 1, 1), 2)
REFORMER = shapes.ReformerShape((4, 4, 6, 6), (1, 1, 1, 1), "gdc", "lrelu", True)


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = drawn.folder(tmp_path_factory.mktemp("data"))
    arch = {"widths": (4, 4, 4), "depths": (1, 1), "embedding": 8, "size": (64, 64), "head": "gdc", "stem_stride": 2}
    weights.save(root / "teacher.safetensors", "iresnet", arch, IResNet(**arch).state_dict(), half=False)
    return root


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, data_root: Path) -> None:
    monkeypatch.setenv("UNMASK_CACHE", str(data_root / "cache"))


def config(root: Path, out: Path, encoder: shapes.EncoderShape = ENCODER, **more: object) -> train.Config:
    given = {
        "data": root, "out": out, "sources": ("drawn",), "workers": 1, "batch_size": 8, "precision": "fp32",
        "model": shapes.Network(64, 8, encoder, REFORMER), "painter": PAINTER,
        "teacher": str(root / "teacher.safetensors"), "encoder_steps": 2,
        "reformer_steps": 2, "max_steps": 6, "log_every": 1, "checkpoint_every": 1,
        "val_every": 100, "warmup_steps": 1, **more,
    }  # fmt: skip
    return train.Config("g2d", **given)  # type: ignore[arg-type]


def moved(task: loop.Task, at: int) -> tuple[set[str], set[str]]:
    """Which parameters, and which buffers, a step changes: as module.part names."""

    def state(kind: str) -> dict[str, torch.Tensor]:
        return {f"{name}.{key}": t.clone() for name, module in task.modules.items()
                for key, t in getattr(module, f"named_{kind}")()}  # fmt: skip

    before = {kind: state(kind) for kind in ("parameters", "buffers")}
    task.step(task.batch(np.random.default_rng(at), at), at)
    found = []
    for kind, old in before.items():
        now = state(kind)
        found.append({".".join(k.split(".")[:2]) for k, v in now.items() if not torch.equal(v, old[k])})
    return found[0], found[1]


def test_each_stage_trains_its_own_part_alone(data_root: Path, tmp_path: Path) -> None:
    task = train.build(config(data_root, tmp_path), CPU)
    weights_, statistics = moved(task, 0)
    assert weights_ == {"network.encoder", "painter.encoder"} and "network.reformer" not in statistics
    weights_, statistics = moved(task, 2)
    assert weights_ == {"network.reformer"} and statistics == {"network.reformer"}
    assert task.validate is not None and {"psnr_region", "masked_tar_at_far_1e-3"} <= set(task.validate())
    weights_, statistics = moved(task, 4)
    assert weights_ == {"classifier.weight", "classifier.bias"} and not statistics
    assert 0 <= task.validate()["people_right"] <= 1


def test_the_encoder_stage_paints_and_its_layers_are_the_networks(
    data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "LR_ENCODER", 3e-3)
    monkeypatch.setattr(train, "PAINTED", 5)
    task = train.build(config(data_root, tmp_path, encoder_steps=60, max_steps=80), CPU)
    batch = task.batch(np.random.default_rng(0), 0)
    outside = (batch.region == 0).expand_as(batch.x)
    assert float((batch.x - batch.y)[outside].abs().mean()) < 0.05
    assert len(batch.x) == 5 and len(task.batch(np.random.default_rng(0), 60).x) == 8
    losses = [float(task.step(batch, i)["pixel"]) for i in range(25)]
    assert losses[-1] < 0.8 * losses[0]
    assert task.modules["network"].encoder.stem is task.modules["painter"].encoder.trunk.stem


def test_the_reformer_follows_its_teacher(data_root: Path, tmp_path: Path) -> None:
    settings = config(data_root, tmp_path, encoder_steps=0, reformer_steps=200, max_steps=200, lr=1e-2)
    task = train.build(settings, CPU)
    batch = task.batch(np.random.default_rng(0), 0)
    steps = [task.step(batch, i) for i in range(60)]
    for name in ("instance", "distance", "angle"):
        assert float(steps[-1][name]) < 0.85 * float(steps[0][name]), name


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_resuming_is_exact_in_the_middle_of_each_stage(data_root: Path, tmp_path: Path, stop: int) -> None:
    settings = config(data_root, tmp_path / "a")
    whole = train.build(settings, CPU)
    loop.run(whole, settings)
    half = config(data_root, tmp_path / "b")
    second = interrupted.resumed(lambda: train.build(half, CPU), half, stop)
    for name, module in whole.modules.items():
        for key, tensor in module.state_dict().items():
            assert torch.equal(tensor, second.modules[name].state_dict()[key]), (name, key)


def test_it_starts_from_an_unmasker_and_says_what_does_not_fit(data_root: Path, tmp_path: Path) -> None:
    arch = plain(config(data_root, tmp_path))["painter"]
    net = Unmasker(**arch)
    path = weights.save(tmp_path / "u.safetensors", "unmasker", arch, net.state_dict(), half=False)
    task = train.build(config(data_root, tmp_path / "a", start=str(path)), CPU)
    own = task.modules["network"].encoder
    assert torch.equal(own.stem[0].weight, net.encoder.trunk.stem[0].weight)
    assert torch.equal(own.stages[1][0].conv2.weight, net.encoder.trunk.stages[1][0].conv2.weight)
    wide = shapes.EncoderShape("unmasker", (4, 6, 9, 9), (1, 1, 1), 2)
    with pytest.raises(UsageError, match=r"model\.encoder"):
        train.build(config(data_root, tmp_path / "b", wide, start=str(path)), CPU)
    with pytest.raises(UsageError, match="teacher"):
        train.build(config(data_root, tmp_path / "c", teacher=""), CPU)


def test_the_baseline_has_the_same_reformer_and_no_encoder(data_root: Path, tmp_path: Path) -> None:
    pixels = shapes.EncoderShape("pixels")
    with pytest.raises(UsageError, match="encoder_steps"):
        train.build(config(data_root, tmp_path, pixels), CPU)
    task = train.build(config(data_root, tmp_path, pixels, encoder_steps=0, max_steps=4), CPU)
    assert set(task.modules) == {"network", "classifier"} and set(task.optimizers) == {"reformer", "classifier"}
    assert not list(task.modules["network"].encoder.parameters())
    assert set(task.step(task.batch(np.random.default_rng(0), 0), 0)) == {"instance", "distance", "angle", "contrast"}


def test_icts_layout_trains_too(data_root: Path, tmp_path: Path) -> None:
    shape = shapes.EncoderShape("ict", (3, 4, 5), (), 2)
    task = train.build(config(data_root, tmp_path, shape), CPU)
    weights_, _ = moved(task, 0)
    assert "painter.decoder" in weights_ and "network.encoder" in weights_
    assert moved(task, 2)[0] == {"network.reformer"}


def test_a_given_recognizer_may_be_the_reformer(data_root: Path, tmp_path: Path) -> None:
    shape = {"widths": (16, 16, 8, 8), "depths": (1, 1, 1), "embedding": 8, "size": (112, 112), "head": "gdc"}
    torch.manual_seed(2)
    given = IResNet(**shape, stem_stride=2).eval()
    path = str(to_onnx.recognizer_onnx(given, tmp_path / "given.onnx", half=False))
    arch = {**plain(config(data_root, tmp_path))["painter"], "identity": 5}
    painter = Unmasker(**arch)
    start = str(weights.save(tmp_path / "u.safetensors", "unmasker", arch, painter.state_dict(), half=False))
    painter.identity = None  # it paints without

    def build(kind: str, **more: object) -> loop.Task:
        model = shapes.Network(64, 8, shapes.EncoderShape(kind), shapes.ReformerShape(onnx=path))
        return train.build(config(data_root, tmp_path / kind, model=model, start=start, encoder_steps=0, **more), CPU)

    tasks = {kind: build(kind) for kind in ("crop", "painted")}
    x, region = torch.rand(2, 3, 64, 64) * 2 - 1, torch.zeros(2, 1, 64, 64)
    region[0, :, 30:50, 10:50] = 1
    with torch.no_grad():
        made = painter.eval()(x, region).clamp(-1, 1)
        for kind, whole in (("crop", x * (1 - region)), ("painted", x + (made - x) * region)):
            network = tasks[kind].modules["network"].eval()
            crop = crops.warp(whole, align.between("ffhq", 64, "arcface", 112), 112)
            torch.testing.assert_close(network(x, region), given(crop), atol=1e-4, rtol=1e-4)
    for task in tasks.values():
        assert moved(task, 0)[0] == {"network.reformer"}
    model = shapes.Network(64, 8, shapes.EncoderShape("pixels"), shapes.ReformerShape(onnx=path))
    with pytest.raises(UsageError, match=r"encoder\.kind"):
        train.build(config(data_root, tmp_path / "c", model=model, encoder_steps=0), CPU)


def test_a_trained_recognizer_gives_the_reformer_its_upper_part(data_root: Path, tmp_path: Path) -> None:
    arch = {"widths": (16, 16, 4, 6), "depths": (1, 1, 1), "embedding": 8, "size": (64, 64), "head": "gdc",
            "stem_stride": 2, "act": "lrelu", "early_stride": True}  # fmt: skip
    known = IResNet(**arch)  # type: ignore[arg-type]
    path = weights.save(tmp_path / "r.safetensors", "iresnet", arch, known.state_dict(), half=False)
    model = shapes.Network(64, 8, ENCODER, shapes.ReformerShape((16, 4, 6), (1, 1, 1), "gdc", "lrelu", True))
    task = train.build(config(data_root, tmp_path, recognizer=str(path), model=model), CPU)
    taken = task.modules["network"].reformer.stages[1][0].conv1.weight
    assert torch.equal(taken, known.stages[1][0].conv1.weight)
    with pytest.raises(UsageError, match=r"model\.reformer"):
        train.build(config(data_root, tmp_path, recognizer=str(path)), CPU)
