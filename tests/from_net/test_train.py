"""Task ``from``: what a batch holds, what each stage trains, exact resuming in both, and the way into the weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training import drawn, interrupted
from unmask import weights
from unmask.errors import UsageError
from unmask.from_net import config as shapes
from unmask.from_net import patterns, train
from unmask.models.iresnet import IResNet
from unmask.training import loop, paired

CPU = torch.device("cpu")
TRUNK = shapes.Trunk((4, 6, 8, 8), (1, 1, 1), 8, (64, 64), "gdc", 2, 0.0, "lrelu", True)


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn.folder(tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, data_root: Path) -> None:
    monkeypatch.setenv("UNMASK_CACHE", str(data_root / "cache"))


def config(root: Path, out: Path, **more: object) -> train.Config:
    shape = more.pop("model", {})
    model = shapes.Network(**{"trunk": TRUNK, "grid": 3, "pyramid": 6, "narrow": 2, **shape})  # type: ignore[dict-item]
    given = {
        "data": root, "out": out, "model": model, "sources": ("drawn",), "workers": 1, "batch_size": 8, "max_steps": 6,
        "clean_steps": 3, "precision": "fp32", "log_every": 1, "checkpoint_every": 1, "val_every": 100,
        "warmup_steps": 1, **more,
    }  # fmt: skip
    return train.Config("from", **given)


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_batches_hold_clean_masked_and_occluded_faces(data_root: Path, tmp_path: Path) -> None:
    settings = config(data_root, tmp_path, batch_size=300)
    sampler = train.Sampler(paired.load(settings, 64, "arcface", 8), settings)
    bare = sampler.draw(np.random.default_rng(0), covered=False)
    assert int(bare.patterns.max()) == 0
    mixed = sampler.draw(np.random.default_rng(0), covered=True)
    assert float((mixed.patterns == 0).float().mean()) == pytest.approx(1 / 3, abs=0.08)
    assert len(mixed.patterns.unique()) > 10 and int(mixed.patterns.max()) < patterns.count(3)
    assert mixed.x.shape == (300, 3, 64, 64) and int(mixed.people.max()) == 5
    only = dataclasses.replace(settings, mask_share=1.0, clean_share=0.0)
    worn = train.Sampler(paired.load(only, 64, "arcface", 8), only).draw(np.random.default_rng(0), covered=True)
    lower = patterns.rectangles(3, (64, 64))[worn.patterns.numpy()]
    assert float((lower[:, 3] == 64).mean()) > 0.9  # face masks reach the lower edge


def test_a_narrow_trunk_sees_the_middle_columns() -> None:
    square = np.arange(2 * 112 * 112).reshape(2, 112, 112)
    np.testing.assert_array_equal(train.cut(square, (112, 96)), square[:, :, 8:104])
    assert train.cut(square, (112, 112)).shape == square.shape


def test_stages_train_what_they_should(data_root: Path, tmp_path: Path) -> None:
    task = train.build(config(data_root, tmp_path), CPU)
    network = task.modules["network"]
    before = {name: p.clone() for name, p in network.named_parameters()}
    losses = task.step(task.batch(np.random.default_rng(0), 0), 0)
    assert set(losses) == {"label"}
    moved = {name.split(".")[0] for name, p in network.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {"trunk"}
    losses = task.step(task.batch(np.random.default_rng(0), 3), 3)
    assert set(losses) == {"label", "pattern"}
    moved = {name.split(".")[0] for name, p in network.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {"trunk", "lateral", "smooth", "decoder", "predictor"}
    assert task.validate is not None
    found = task.validate()
    assert found["stage"] == 1 and 0 <= found["pattern_right"] <= 1 and {"clean_tar_at_far_1e-3",
        "masked_tar_at_far_1e-3", "occluded_tar_at_far_1e-3"} <= set(found)  # fmt: skip


def test_the_baseline_takes_the_same_batches_without_patterns(data_root: Path, tmp_path: Path) -> None:
    ours, plain = (train.build(config(data_root, tmp_path, model=model), CPU) for model in ({}, {"mask_kind": "none"}))
    one, two = (task.batch(np.random.default_rng(1), 4) for task in (ours, plain))
    assert torch.equal(one.x, two.x) and torch.equal(one.patterns, two.patterns)
    assert set(plain.step(two, 4)) == {"label"}


@pytest.mark.parametrize("stop", [2, 5])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_resuming_is_exact_in_the_middle_of_each_stage(
    data_root: Path, tmp_path: Path, stop: int, optimizer: str
) -> None:
    whole = train.build(config(data_root, tmp_path / "a", optimizer=optimizer), CPU)
    loop.run(whole, config(data_root, tmp_path / "a", optimizer=optimizer))
    half = config(data_root, tmp_path / "b", optimizer=optimizer)
    second = interrupted.resumed(lambda: train.build(half, CPU), half, stop)
    for name in ("network", "head"):
        assert same(whole.modules[name], second.modules[name]), name


def test_masked_stages_may_share_a_clean_stage(data_root: Path, tmp_path: Path) -> None:
    settings = config(data_root, tmp_path / "a", model={"mask_kind": "none"}, max_steps=3)
    first = train.build(settings, CPU)
    loop.run(first, settings)
    go_on = config(data_root, tmp_path / "b", start=str(tmp_path / "a"), clean_steps=0, seed=9)
    second = train.build(go_on, CPU)
    assert same(first.modules["network"].trunk, second.modules["network"].trunk)
    assert same(first.modules["head"], second.modules["head"])
    network = second.modules["network"]
    for name, buffer in network.trunk.head.named_buffers():
        assert torch.equal(buffer, getattr(network.clean_statistics, name.replace(".", "_")))
    wide = dataclasses.replace(TRUNK, widths=(4, 6, 8, 9))
    with pytest.raises(UsageError, match="start"):
        train.build(config(data_root, tmp_path / "c", start=str(tmp_path / "a"), model={"trunk": wide}), CPU)


def test_a_recognizer_may_be_the_clean_stage(data_root: Path, tmp_path: Path) -> None:
    arch = train.architecture({"model": {"trunk": dataclasses.asdict(TRUNK)}})["trunk"]
    known = IResNet(**arch)
    path = weights.save(tmp_path / "r.safetensors", "iresnet", arch, known.state_dict(), half=False)
    task = train.build(config(data_root, tmp_path / "b", start=str(path), clean_steps=0), CPU)
    network = task.modules["network"]
    assert same(known, network.trunk)
    for name, buffer in known.head.named_buffers():
        assert torch.equal(buffer, getattr(network.clean_statistics, name.replace(".", "_")))
    wide = {"trunk": dataclasses.replace(TRUNK, widths=(4, 6, 8, 9))}
    with pytest.raises(UsageError, match="start"):
        train.build(config(data_root, tmp_path / "c", start=str(path), model=wide), CPU)


def test_a_teacher_is_followed_on_covered_faces(data_root: Path, tmp_path: Path) -> None:
    arch = {"widths": (4, 4, 4), "depths": (1, 1), "embedding": 8, "size": (64, 64), "head": "gdc", "stem_stride": 2}
    path = weights.save(tmp_path / "t.safetensors", "iresnet", arch, IResNet(**arch).eval().state_dict(), half=False)
    settings = config(data_root, tmp_path / "run", teacher=str(path), distill_weight=1.0, label_weight=0.0,
                      clean_steps=0, max_steps=60, lr_masked=1e-2)  # fmt: skip
    task = train.build(settings, CPU)
    losses = [float(task.step(task.batch(np.random.default_rng(i), i), i)["distill"]) for i in range(40)]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    assert task.validate is not None and {"cos_clean", "cos_masked", "cos_occluded"} <= set(task.validate())
    with pytest.raises(UsageError, match="8 long"):
        train.build(dataclasses.replace(settings, model=dataclasses.replace(
            settings.model, trunk=dataclasses.replace(TRUNK, embedding=9))), CPU)  # fmt: skip
