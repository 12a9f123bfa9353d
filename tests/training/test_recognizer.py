"""The recognizer's task: what its batches hold, that it learns labels and a teacher's vectors, and the hints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training import drawn, interrupted
from unmask.data import augment, face_sets
from unmask.errors import UsageError
from unmask.export import to_onnx
from unmask.models.iresnet import IResNet
from unmask.recognition import insight
from unmask.recognition.arcface import TorchRecognizer
from unmask.training import paired, teacher
from unmask.training.tasks import recognizer

CPU = torch.device("cpu")
SHAPE = {
    "widths": (16, 16, 16, 16),
    "depths": (1, 1, 1),
    "embedding": 8,
    "head": "gdc",
    "stem_stride": 2,
    "act": "prelu",
}


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "cache"))
    return drawn.folder(tmp_path / "data", people=3, pictures=8)


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """A teacher of random weights whose vectors differ from face to face."""
    network = IResNet(**SHAPE).train()  # type: ignore[arg-type]
    network(torch.rand(16, 3, 112, 112) * 2 - 1)
    return to_onnx.recognizer_onnx(network.eval(), tmp_path / "given.onnx", half=False)


def config(folder: Path, **more: object) -> recognizer.Config:
    few = {"batch_size": 12, "precision": "fp32", "warmup_steps": 1, "max_steps": 60, "lr": 1e-2, "val_faces": 6}
    own = {"data": folder, "out": folder.parent / "run", "sources": ("drawn",), "workers": 1, "model": shape()}
    return recognizer.Config("recognizer", **{**few, **own, **more})  # type: ignore[arg-type]


def shape(**more: object) -> recognizer.Network:
    return recognizer.Network(**{**SHAPE, "act": "lrelu", **more})  # type: ignore[arg-type]


def test_learns_identities_without_a_teacher(folder: Path) -> None:
    task = recognizer.build(config(folder, label_weight=1.0), CPU)
    losses = [float(task.step(task.batch(np.random.default_rng(i % 4), i), i)["label"]) for i in range(30)]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert task.validate is not None
    assert {"cos_clean", "cos_masked"}.isdisjoint(task.validate())


def test_covered_faces_learn_the_teachers_view_of_the_bare_ones(folder: Path, given: Path) -> None:
    covered = config(
        folder, teacher=str(given), clean_share=0.25, patched_share=0.25, restyled=0.5, degraded=0.5,
        hint_channels=(2, 4), label_weight=0.0, contrast_weight=0.1, ema_kimg=0.01,
    )  # fmt: skip
    task = recognizer.build(covered, CPU)
    losses = [task.step(task.batch(np.random.default_rng(i % 4), i), i) for i in range(80)]
    for name in ("distill", "hint"):
        values = [float(loss[name]) for loss in losses]
        assert np.mean(values[-5:]) < np.mean(values[:5]), name
    assert set(losses[0]) == {"distill", "hint", "contrast"}
    assert task.validate is not None
    figures = task.validate()
    assert min(figures["cos_clean"], figures["cos_occluded"]) > 0.3  # of people and covers that were in no batch


def test_targets_are_the_teachers_vectors_less_their_mean(folder: Path, given: Path) -> None:
    made = config(folder, teacher=str(given), clean_share=1.0)
    material = recognizer._material(made, 112)
    plain = teacher.embeddings(material.faces, insight.load(given))
    wanted = plain - plain.mean(0)
    assert material.vectors is not None and material.mean is not None
    assert np.allclose(material.vectors, wanted / np.linalg.norm(wanted, axis=1, keepdims=True), atol=1e-3)
    assert np.linalg.norm(material.vectors.mean(0)) < np.linalg.norm(plain.mean(0)) / 2


def test_a_batch_without_plain_faces_still_has_gradients_for_all_weights(folder: Path, given: Path) -> None:
    made = config(folder, teacher=str(given), hint_channels=(2, 4), label_weight=0.0, clean_share=0.5, batch_size=4)
    task = recognizer.build(made, CPU)
    content = task.batch(np.random.default_rng(0), 0)
    task.step(content._replace(plain=torch.full_like(content.plain, -1)), 0)
    assert all(p.grad is not None for p in task.modules["hint"].parameters())


def test_resumes_exactly(folder: Path, given: Path) -> None:
    def build(out: str) -> tuple[recognizer.Config, object]:
        made = config(
            folder, out=folder.parent / out, teacher=str(given), clean_share=0.5, max_steps=4, hint_channels=(2, 4),
            checkpoint_every=2, val_every=4, log_every=1,
        )  # fmt: skip
        return made, recognizer.build(made, CPU)

    from unmask.training import loop

    first, whole = build("a")
    loop.run(whole, first)  # type: ignore[arg-type]
    second, _ = build("b")
    again = interrupted.resumed(lambda: recognizer.build(second, CPU), second, 3)
    for name in ("network", "average", "hint"):
        pairs = zip(whole.modules[name].state_dict().values(), again.modules[name].state_dict().values(), strict=True)  # type: ignore[attr-defined]
        assert all(torch.equal(x, y) for x, y in pairs), name


def test_batches_hold_the_stated_views(folder: Path, given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augment, "affine", lambda x, *_, **__: x)
    monkeypatch.setattr(augment, "light", lambda x, *_, **__: x)
    monkeypatch.setattr(recognizer, "COARSE", 0.0)
    made = config(folder, teacher=str(given), clean_share=0.5, patched_share=0.25, batch_size=400)
    material = recognizer._material(made, 112)
    batch = recognizer.draw(material, made, np.random.default_rng(0))
    assert batch.vectors is not None
    bare = augment.to_float(material.faces.images)
    owner = (batch.vectors @ torch.from_numpy(material.vectors).t()).argmax(1)  # type: ignore[arg-type]
    same = torch.minimum(
        (batch.x - bare[owner]).abs().mean((1, 2, 3)), (batch.x.flip(3) - bare[owner]).abs().mean((1, 2, 3))
    )
    assert 0.4 < float((same < 1e-6).float().mean()) < 0.6  # the others wear something
    own = batch.plain == 1
    assert 0.2 < float(own.float().mean()) < 0.3 and torch.allclose(batch.x[own], bare[owner][own])
    assert 0.4 < float((batch.plain < 0).float().mean()) < 0.6


def test_hints_are_the_principal_components_of_the_last_maps(folder: Path, given: Path) -> None:
    faces = face_sets.load(folder, ["drawn"], size=112, template="arcface")
    known = insight.load(given)
    x = augment.to_float(faces.images)
    vectors, maps = teacher.hints(faces, known, (3, 16))
    assert np.allclose(vectors, known.embed(x).numpy(), atol=0.02)
    assert [level.shape for level in maps] == [(len(faces), 3, 14, 14), (len(faces), 16, 7, 7)]
    values = maps[1].astype(np.float64).transpose(0, 2, 3, 1).reshape(-1, 16)
    covariance = np.cov(values, rowvar=False)
    assert np.trace(covariance) == pytest.approx(16, abs=0.8)  # a mean variance of 1,
    assert np.allclose(covariance, np.diag(np.diag(covariance)), atol=0.2)  # independent of each other,
    assert (np.diff(np.diag(covariance)) < 0.1).all()  # the strongest first
    few = teacher.hints(faces, known, (3,))[1][0].astype(np.float32)
    scale = np.abs(few).mean() / np.abs(maps[1][:, :3].astype(np.float32)).mean()
    assert np.allclose(np.abs(few), scale * np.abs(maps[1][:, :3]), atol=0.1)


def test_what_hints_leave_unexplained_is_weighted_by_strength() -> None:
    wanted = torch.randn(8, 2, 7, 7) * torch.tensor([3.0, 1.0])[:, None, None] + 5
    assert float(recognizer.unexplained(wanted, wanted)) == 0
    assert float(recognizer.unexplained(wanted.mean((0, 2, 3), keepdim=True), wanted)) == pytest.approx(1)
    weak = torch.stack([wanted[:, 0], wanted[:, 1].mean().expand(8, 7, 7)], 1)
    assert float(recognizer.unexplained(weak, wanted)) == pytest.approx(0.1, abs=0.03)


def test_refusals(folder: Path, given: Path) -> None:
    with pytest.raises(UsageError, match="nothing to learn from"):
        recognizer.build(config(folder, label_weight=0.0), CPU)
    with pytest.raises(UsageError, match="patched_share"):
        recognizer.build(config(folder, clean_share=0.9, patched_share=0.2), CPU)
    with pytest.raises(UsageError, match="give no more"):
        recognizer.build(config(folder, teacher=str(given), hint_channels=(17,)), CPU)
    with pytest.raises(UsageError, match="7 x 7 places and the network's 4 x 4"):
        deep = shape(widths=(16,) * 5, depths=(1,) * 4)
        recognizer.build(config(folder, teacher=str(given), hint_channels=(4,), model=deep), CPU)
    with pytest.raises(UsageError, match=r"model.embedding"):
        recognizer.build(config(folder, teacher=str(given), model=shape(embedding=4)), CPU)
    with pytest.raises(UsageError, match="no ONNX file"):
        faces = face_sets.load(folder, ["drawn"], size=112, template="arcface")
        teacher.hints(faces, TorchRecognizer(IResNet(**SHAPE), "mine", ""), (4,))  # type: ignore[arg-type]


def test_pairs_by_hand() -> None:
    vectors, people = np.array([[1, 0], [0.8, 0.6], [0, 1], [0.6, -0.8]], np.float32), np.array([0, 0, 1, -1])
    scores, same = paired.pairs(vectors, people)
    np.testing.assert_allclose(scores, [0.8, 0, 0.6], atol=1e-6)
    assert same.tolist() == [True, False, False]
    scores, same = paired.pairs(vectors, people, vectors[:, ::-1])  # each probe against the other two pictures
    np.testing.assert_allclose(scores, [0.6, 1, 0.6, 0.8, 1, 0.8], atol=1e-6)
    assert same.tolist() == [True, False, True, False, False, False]
