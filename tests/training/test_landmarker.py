"""The landmarker's training: its losses, figures, and that it learns and resumes."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.training import drawn, interrupted
from unmask.data import landmarks as task
from unmask.faces import align, landmarks
from unmask.models.landmarker import LandmarkerOutput
from unmask.training import loop
from unmask.training.tasks import landmarker


def test_losses_ask_only_what_is_known() -> None:
    n = 4
    truth = task.Batch(
        torch.zeros(n, 3, 8, 8), torch.tensor([1.0, 0, -1, 1]), torch.tensor([1.0, 0, -1, -1]),
        torch.tensor([[0.0, 1]]).repeat(n, 1), torch.zeros(n, 5, 2), torch.tensor([1.0, 0, 0, 0]),
        torch.tensor([0.0, 0, 0, 1]),
    )  # fmt: skip
    right = LandmarkerOutput(
        torch.tensor([30.0, -30, 9, 30]), truth.roll, truth.points, torch.tensor([30.0, -30, 9, 9])
    )
    assert all(float(v) < 1e-4 for v in landmarker.losses(right, truth).values())
    wrong = right._replace(roll=-truth.roll, points=truth.points + torch.tensor([0.6, 0.8]), face=-right.face)
    found = landmarker.losses(wrong, truth)
    assert float(found["roll"]) == pytest.approx(4)
    assert float(found["points"]) == pytest.approx(0.5)
    assert float(found["face"]) == pytest.approx(30, rel=1e-3)
    assert float(found["garment"]) < 1e-4


def test_the_loss_of_the_shift_is_how_far_aligned_crops_lie_apart() -> None:
    rng = np.random.default_rng(0)
    true = align.template("ffhq", 96)[None] + rng.normal(0, 1, (4, 5, 2))
    found = true + rng.normal(0, 1.5, (4, 5, 2))
    lost = landmarker.shift(*(torch.tensor(landmarks.from_pixels(p, 96)) for p in (found, true))).numpy() * 96
    spots = np.stack(np.meshgrid([0, 0.5, 1], [0, 0.5, 1]), -1).reshape(-1, 2)
    for got, f, t in zip(lost, found, true, strict=True):
        a, b = (align.transform_points(spots, align.similarity(align.template("ffhq", 1), p)) for p in (f, t))
        assert got == pytest.approx(np.linalg.norm(a - b, axis=1).mean(), rel=1e-6)
    moved = landmarker.shift(torch.tensor(true) + torch.tensor([3.0, 4.0]), torch.tensor(true))
    np.testing.assert_allclose(moved, 2.5)


def test_auc_by_hand() -> None:
    truth = torch.tensor([1.0, 1, 0, 0, -1])
    assert landmarker.auc(torch.tensor([3.0, 1, 2, 0, 9]), truth) == pytest.approx(0.75)
    assert landmarker.auc(torch.tensor([3.0, 1]), torch.ones(2)) == 0.5


@pytest.fixture
def config(tmp_path: Path, monkeypatch) -> landmarker.Config:
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(landmarker, "THINGS", 10)
    monkeypatch.setattr(landmarker, "POOL", 6)
    monkeypatch.setattr(landmarker, "VAL_CROPS", 12)
    root = drawn.folder(tmp_path / "data", size=128)
    (root / "scenes").mkdir()
    with zipfile.ZipFile(root / "scenes" / "images.zip", "w") as archive:
        for i in range(4):
            with archive.open(f"{i}.png", "w") as file:
                Image.fromarray(np.random.default_rng(i).integers(0, 255, (40, 50, 3), np.uint8)).save(file, "PNG")
    return landmarker.Config(
        "landmarker", data=root, out=tmp_path / "run", sources=("drawn",), scenes=("scenes",), crops=24,
        batch_size=8, precision="fp32", max_steps=4, warmup_steps=1, checkpoint_every=2, val_every=2,
        log_every=1,
    )  # fmt: skip


def test_the_task_learns_writes_its_sheet_and_resumes_exactly(config: landmarker.Config, tmp_path: Path) -> None:
    cpu = torch.device("cpu")
    whole = landmarker.build(config, cpu)
    loop.run(whole, config)
    assert list((tmp_path / "run").glob("sheet-*.png"))
    assert whole.validate is not None
    assert {"face_auc", "garment_auc", "roll_median", "shift_p90"} <= set(whole.validate())
    half = replace(config, out=tmp_path / "half")
    second = interrupted.resumed(lambda: landmarker.build(half, cpu), half, 3)
    for a, b in zip(whole.modules["model"].parameters(), second.modules["model"].parameters(), strict=True):
        assert torch.equal(a, b)
    task_ = landmarker.build(replace(config, max_steps=100, lr=1e-2), cpu)
    batch = task_.batch(np.random.default_rng(0), 0)
    losses = [float(task_.step(batch, i)["points"]) for i in range(25)]
    assert losses[-1] < 0.7 * losses[0]
