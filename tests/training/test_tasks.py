"""The tasks on tiny networks and drawn faces: losses fall, resuming is exact, frozen parts stay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.training import interrupted
from unmask import images, weights
from unmask.config import plain
from unmask.data import augment, face_sets, masked, pose
from unmask.engines import unmaskers
from unmask.errors import UsageError
from unmask.export.release import release
from unmask.faces import align
from unmask.models.generator import Generator
from unmask.models.iresnet import IResNet
from unmask.simulation import shape3d
from unmask.training import ada, ema, loop, shapes
from unmask.training.tasks import generator, segmenter, unmasker

FACES = 12
TINY = {"widths": (4, 6, 8, 8), "depths": (1, 1, 1)}
CHANNELS = (6, 6, 6, 4, 4)  # 4 to 64 px


@pytest.fixture
def faces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> face_sets.FaceSet:
    """Smooth random pictures in place of ``data.load``."""
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "cache"))

    def drawn(
        root: Path, sources: object, size: int, template: str = "ffhq", split: str = "train"
    ) -> face_sets.FaceSet:
        coarse = np.random.default_rng(len(split)).integers(60, 220, (FACES, 4, 4, 3)).astype(np.uint8)
        large = [Image.fromarray(c).resize((size, size), Image.Resampling.BICUBIC) for c in coarse]
        pictures = np.stack([np.asarray(picture) for picture in large])
        points = np.repeat(align.template(template, size)[None], FACES, 0).astype(np.float32)
        who = np.arange(FACES) % 3
        return face_sets.FaceSet(pictures, points, who, np.full(FACES, "s"), np.array([str(i) for i in who]), template)

    monkeypatch.setattr(face_sets, "load", drawn)
    return drawn(tmp_path, (), 64)


def unmasker_config(out: Path, **more: object) -> unmasker.Config:
    shape = shapes.EncoderShape(**TINY, pyramid=6, narrow=2)
    model = shapes.Network(64, 8, CHANNELS, shape, skips=(8, 16), gated=(16,))
    return unmasker.Config(
        "unmasker", out=out, model=model, discriminator=CHANNELS[:4], window=32, workers=1, variants=1,
        batch_size=4, precision="fp32", adversarial_weight=0.05, log_every=1,
        checkpoint_every=2, val_every=4, **more,
    )  # fmt: skip


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_unmasker_resumes_exactly(faces: face_sets.FaceSet, tmp_path: Path) -> None:
    cpu = torch.device("cpu")
    whole = unmasker.build(unmasker_config(tmp_path / "a", max_steps=4), cpu)
    loop.run(whole, unmasker_config(tmp_path / "a", max_steps=4))
    half = unmasker_config(tmp_path / "b", max_steps=4)
    second = interrupted.resumed(lambda: unmasker.build(half, cpu), half, 3)
    for name in ("network", "average", "discriminator"):
        assert same(whole.modules[name], second.modules[name]), name
    assert (tmp_path / "a" / "sheet-0000004.png").is_file()


def test_unmasker_learns_and_a_frozen_generator_stays(faces: face_sets.FaceSet, tmp_path: Path) -> None:
    config = unmasker_config(tmp_path, max_steps=40, tune="frozen", warmup_steps=1, lr=3e-3)
    task = unmasker.build(config, torch.device("cpu"))
    before = [p.clone() for p in task.modules["network"].synthesis.parameters()]
    batch = task.batch(np.random.default_rng(0), 0)
    losses = [float(task.step(batch, i)["pixel"]) for i in range(12)]
    assert losses[-1] < losses[0]
    after = task.modules["network"].synthesis.parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_unmasker_starts_from_a_generator(faces: face_sets.FaceSet, tmp_path: Path) -> None:
    arch = {"z_dim": 8, "w_dim": 8, "img_resolution": 64, "channels": CHANNELS, "mapping_layers": 1}
    net = Generator(**arch)
    net.w_avg.normal_()
    path = weights.save(tmp_path / "g.safetensors", "generator", arch, net.state_dict(), half=False)
    task = unmasker.build(unmasker_config(tmp_path / "run", generator=str(path)), torch.device("cpu"))
    assert same(task.modules["network"].synthesis, net.synthesis)
    assert torch.equal(task.modules["network"].w_avg, net.w_avg)


def test_unmasker_goes_on_from_weights(faces: face_sets.FaceSet, tmp_path: Path) -> None:
    first = unmasker.build(unmasker_config(tmp_path / "a"), torch.device("cpu"))
    first.step(first.batch(np.random.default_rng(0), 0), 0)
    net = first.modules["network"]
    arch = plain(unmasker_config(tmp_path / "a"))["model"]
    path = weights.save(tmp_path / "u.safetensors", "unmasker", arch, net.state_dict(), half=False)
    again = unmasker.build(unmasker_config(tmp_path / "b", start=str(path), seed=5), torch.device("cpu"))
    assert same(again.modules["network"], net)


def tiny_recognizer(folder: Path) -> Path:
    arch = {**TINY, "embedding": 5, "head": "gdc", "stem_stride": 2, "act": "lrelu", "early_stride": True}
    return weights.save(folder / "r.safetensors", "iresnet", arch, IResNet(**arch).state_dict(), half=False)


def test_generator_starts_from_an_unmasker(faces: face_sets.FaceSet, tmp_path: Path) -> None:
    net = unmasker.build(unmasker_config(tmp_path / "a"), torch.device("cpu")).modules["network"]
    arch = plain(unmasker_config(tmp_path / "a"))["model"]
    path = weights.save(tmp_path / "u.safetensors", "unmasker", arch, net.state_dict(), half=False)
    config = generator.Config(
        "generator", out=tmp_path, model=generator.Network(8, 8, 64, CHANNELS, 2), discriminator=CHANNELS,
        encoder=shapes.EncoderShape(**TINY, pyramid=6, narrow=2), start=str(path),
    )  # fmt: skip
    task = generator.build(config, torch.device("cpu"))
    assert same(task.modules["network"].synthesis, net.synthesis)
    assert same(task.modules["encoder"].trunk, net.encoder.trunk)


def test_unmasker_starts_from_a_recognizer_and_learns_through_it(faces: face_sets.FaceSet, tmp_path: Path) -> None:
    arch = {**TINY, "embedding": 5, "head": "gdc", "stem_stride": 2, "act": "lrelu", "early_stride": True}
    net = IResNet(**arch)
    path = weights.save(tmp_path / "r.safetensors", "iresnet", arch, net.state_dict(), half=False)
    config = unmasker_config(tmp_path / "run", recognizer=str(path), identity_weight=0.5, pixel_steps=1)
    task = unmasker.build(config, torch.device("cpu"))
    trunk = task.modules["network"].encoder.trunk
    assert torch.equal(trunk.stem[0].weight[:, :3], net.stem[0].weight)
    assert float(trunk.stem[0].weight[:, 3].abs().max()) == 0
    assert torch.equal(trunk.stages[2][0].conv2.weight, net.stages[2][0].conv2.weight)
    batch = task.batch(np.random.default_rng(0), 0)
    assert "identity" not in task.step(batch, 0)
    assert float(task.step(batch, 1)["identity"]) > 0
    assert task.validate is not None
    assert {"identity_restored", "identity_masked"} <= set(task.validate())


def test_unmasker_goes_on_with_the_masked_identity_and_detail(faces: face_sets.FaceSet, tmp_path: Path) -> None:
    first = unmasker.build(unmasker_config(tmp_path / "a"), torch.device("cpu"))
    arch = plain(unmasker_config(tmp_path / "a"))["model"]
    start = weights.save(
        tmp_path / "u.safetensors", "unmasker", arch, first.modules["network"].state_dict(), half=False
    )
    model = replace(unmasker_config(tmp_path / "a").model, identity=5, detail=4)
    config = unmasker_config(
        tmp_path / "b", start=str(start), recognizer=str(tiny_recognizer(tmp_path)), identity_weight=0.5,
        covered_share=0.5, disturbed_share=0.5,
    )  # fmt: skip
    config = replace(config, model=model)
    task = unmasker.build(config, torch.device("cpu"))
    network, batch = task.modules["network"], task.batch(np.random.default_rng(0), 0)
    assert torch.equal(network.encoder.trunk.stem[0].weight, first.modules["network"].encoder.trunk.stem[0].weight)
    losses = [task.step(batch, i) for i in range(2)][1]
    assert np.isfinite(float(losses["identity"]))
    assert float(network.identity.weight.abs().max()) > 0
    assert float(network.detail.last.weight.abs().max()) == 0  # it learns by itself
    assert task.validate is not None
    assert float(task.validate()["identity_restored"]) > -1
    made = release(loop.run(task, replace(config, max_steps=1)), tmp_path / "w")
    known = weights.read(config.recognizer).sha256
    assert made.onnx and unmaskers.load("unmasker", "onnx", "cpu", tmp_path / "w").recognizer == known
    assert unmaskers.load("unmasker", "torch", "cpu", tmp_path / "w").recognizer == known
    with pytest.raises(UsageError, match="gives 5"):
        unmasker.build(replace(config, model=replace(model, identity=6)), torch.device("cpu"))
    with pytest.raises(UsageError, match="has no place"):
        unmasker.build(replace(config, model=replace(model, w_dim=9)), torch.device("cpu"))
    with pytest.raises(ValueError, match="name a recognizer"):
        replace(config, recognizer="")


def test_only_detail_learns_from_faces_made_coarse(faces: face_sets.FaceSet, tmp_path: Path) -> None:
    cpu = torch.device("cpu")
    first = unmasker.build(unmasker_config(tmp_path / "a"), cpu).modules["network"]
    shape = unmasker_config(tmp_path / "a")
    start = weights.save(tmp_path / "u.safetensors", "unmasker", plain(shape)["model"], first.state_dict(), half=False)
    config = unmasker_config(
        tmp_path / "b", start=str(start), warmup_steps=1, recognizer=str(tiny_recognizer(tmp_path))
    )
    config = replace(config, model=replace(shape.model, detail=4, identity=5), tune="detail")
    task = unmasker.build(config, cpu)
    for at in range(3):
        losses = task.step(task.batch(np.random.default_rng(at), at), at)
        assert all(np.isfinite(float(v)) for v in losses.values()), losses
    after, before = task.modules["network"].state_dict(), first.state_dict()
    assert all(torch.equal(after[name], t) for name, t in before.items())
    assert float(task.modules["network"].detail.last.weight.detach().abs().max()) > 0  # it began at zero
    assert task.validate is not None and np.isfinite(task.validate()["psnr_region"])
    made = release(loop.run(task, replace(config, max_steps=3)), tmp_path / "w")
    written = unmaskers.load("unmasker", "onnx", "cpu", tmp_path / "w")
    assert written.size == 2 * shape.model.img_resolution
    assert made.onnx and written.recognizer == weights.read(config.recognizer).sha256
    with pytest.raises(ValueError, match="give both"):
        replace(config, start="")
    with pytest.raises(UsageError, match="has no place"):
        unmasker.build(replace(config, model=replace(config.model, w_dim=9)), cpu)


def test_a_segmenter_goes_on_from_weights(
    faces: face_sets.FaceSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segmenter, "VAL_FACES", 4)
    config = segmenter.Config("segmenter", out=tmp_path, pool=6, batch_size=2, start="segmenter", max_steps=1)
    model = segmenter.build(config, torch.device("cpu")).modules["model"].state_dict()
    known = weights.read("segmenter").tensors
    assert all(torch.equal(model[name], tensor.to(model[name])) for name, tensor in known.items())


@pytest.mark.parametrize("arms", [
    {"autoencoder": True, "adversarial_weight": 0.0}, {},
])  # fmt: skip
def test_generator_arms_train_and_draw(faces: face_sets.FaceSet, tmp_path: Path, arms: dict[str, Any]) -> None:
    config = generator.Config(
        "generator", out=tmp_path, model=generator.Network(8, 8, 64, CHANNELS, 2), discriminator=CHANNELS,
        batch_size=4, encoder=shapes.EncoderShape(**TINY, pyramid=6, narrow=2), precision="fp32",
        workers=1, **arms,
    )  # fmt: skip
    task = generator.build(config, torch.device("cpu"))
    fresh = {k: v.clone() for k, v in task.modules["network"].state_dict().items()}
    for i in range(3):
        losses = task.step(task.batch(np.random.default_rng(i), i), i)
        assert all(np.isfinite(float(v)) for v in losses.values()), losses
    moved = [k for k, v in task.modules["network"].state_dict().items() if not torch.equal(v, fresh[k])]
    assert any(k.startswith("mapping") for k in moved)
    assert any(k.startswith("synthesis") for k in moved)
    assert task.sheet is not None
    assert task.sheet().dtype == np.uint8


def test_masked_faces_are_rendered_once_and_indices_match(faces: face_sets.FaceSet, tmp_path: Path) -> None:
    masked_faces = masked.masked_faces(faces, 2, occluders=0.0, cache=tmp_path)
    rows, kinds = np.array([3, 0, 11]), np.array([0, 1, 1])
    drawn, regions = masked_faces.take(kinds, rows)
    assert drawn.shape == (3, 64, 64, 3)
    assert regions.shape == (3, 64, 64)
    untouched = regions == 0
    far = np.abs(drawn.astype(int) - faces.images[rows])[untouched].mean()
    near = np.abs(drawn.astype(int) - faces.images[rows])[regions == 255].mean()
    assert far < 3 < near
    stamp = {p: p.stat().st_mtime_ns for p in tmp_path.glob("masked-*")}
    masked.masked_faces(faces, 2, occluders=0.0, cache=tmp_path)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.glob("masked-*")} == stamp


def test_drawn_batches_mirror_picture_and_region_together(faces: face_sets.FaceSet, tmp_path: Path) -> None:
    sampler = masked.Sampler(faces, masked.masked_faces(faces, 1, occluders=0.0, cache=tmp_path))
    batch = sampler.draw(np.random.default_rng(0), 16, grow=0.0)
    outside = (batch.region == 0).expand_as(batch.x)
    assert float((batch.x - batch.y)[outside].abs().mean()) < 0.03
    assert float((batch.x - batch.y)[~outside].abs().mean()) > 0.03
    grown = sampler.draw(np.random.default_rng(0), 16, grow=1.0)
    assert bool((grown.region >= batch.region).all())
    assert float(grown.region.sum()) > float(batch.region.sum())


def test_jitter_moves_picture_and_region_together(faces: face_sets.FaceSet, tmp_path: Path) -> None:
    sampler = masked.Sampler(faces, masked.masked_faces(faces, 1, occluders=0.0, cache=tmp_path))
    still, moved = (sampler.draw(np.random.default_rng(1), 8, grow=0.0, jitter=share) for share in (0.0, 1.0))
    assert float((still.y - moved.y).abs().mean()) > 0.01
    outside = (moved.region < 0.01).expand_as(moved.x)
    assert float((moved.x - moved.y)[outside].abs().mean()) < 0.03
    assert float(moved.region.min()) >= 0
    assert float(moved.region.max()) <= 1


def test_turned_faces_are_drawn_by_their_share(faces: face_sets.FaceSet, tmp_path: Path) -> None:
    yaws = np.linspace(-60, 60, len(faces))
    turns = shape3d.rotation(np.radians(yaws), np.zeros(len(faces)))
    points = 32 + 12 * (shape3d.POINTS @ turns.transpose(0, 2, 1))[..., :2]
    posed = replace(faces, points=points.astype(np.float32))
    chances = pose.turned(posed.points)
    assert chances.sum() == pytest.approx(1)
    assert (chances[np.abs(yaws) < 18] == 0).all()
    assert (chances[np.abs(yaws) > 52] == chances.max()).all()
    masked_faces = masked.masked_faces(faces, 1, occluders=0.0, cache=tmp_path)
    rows = masked.Sampler(posed, masked_faces, 0.5).indices(np.random.default_rng(0), 4000)
    found = np.bincount(rows, minlength=len(faces)) / 4000
    np.testing.assert_allclose(found, 0.5 / len(faces) + 0.5 * chances, atol=0.03)
    ahead = replace(faces, points=np.repeat((32 + 12 * shape3d.POINTS[None, :, :2]), len(faces), 0).astype(np.float32))
    np.testing.assert_allclose(pose.turned(ahead.points), 1 / len(faces))


def test_other_light_falls_on_both_pictures_alike(faces: face_sets.FaceSet, tmp_path: Path) -> None:
    sampler = masked.Sampler(faces, masked.masked_faces(faces, 1, occluders=0.0, cache=tmp_path))
    plain, lit = (sampler.draw(np.random.default_rng(1), 8, grow=0.0, light=share) for share in (0.0, 1.0))
    outside = (lit.region == 0).expand_as(lit.x)
    assert torch.equal(plain.region, lit.region)
    assert float((lit.y - plain.y).abs().mean()) > 0.03
    assert float((lit.x - lit.y)[outside].abs().mean()) < 0.04


def test_accessories_hide_more_and_only_in_their_region(faces: face_sets.FaceSet, tmp_path: Path) -> None:
    sampler = masked.Sampler(faces, masked.masked_faces(faces, 1, occluders=0.0, cache=tmp_path))
    plain, more = (sampler.draw(np.random.default_rng(1), 12, grow=0.0, accessories=share) for share in (0.0, 1.0))
    assert float(more.region.mean()) > 1.05 * float(plain.region.mean())
    outside = (more.region == 0).expand_as(more.x)
    assert float((more.x - more.y)[outside].abs().mean()) < 0.03
    assert float((more.x - more.y)[~outside].abs().mean()) > 0.03


def test_windows_lie_inside_the_lower_face_and_vary() -> None:
    config = unmasker.Config("unmasker", window=64)
    drawn = [unmasker.window(config)[2:] for _ in range(64)]
    assert {s.stop - s.start for pair in drawn for s in pair} == {64}
    assert min(s.start for pair in drawn for s in pair) >= 16
    assert max(rows.stop for rows, _ in drawn) == 128
    assert len({(rows.start, columns.start) for rows, columns in drawn}) > 30
    whole = unmasker.window(unmasker.Config("unmasker", window=128, discriminator=(8,) * 6))
    assert whole[2:] == (slice(0, 128), slice(0, 128))


def test_augmentation_is_off_at_zero_and_adapts() -> None:
    x = torch.rand(4, 3, 16, 16)
    assert ada.augment(x, 0.0) is x
    assert ada.augment(x, 1.0).shape == x.shape
    assert ada.adjust(0.1, 0.9, 1000) > 0.1 > ada.adjust(0.1, 0.1, 1000)
    assert ada.adjust(0.0, 0.0, 1000) == 0.0


def test_average_follows_and_copies_buffers() -> None:
    fast = torch.nn.BatchNorm1d(2)
    slow = ema.frozen_copy(fast)
    with torch.no_grad():
        fast.weight.fill_(3.0)
        fast.running_mean.fill_(7.0)
    for step in range(400):
        ema.update(slow, fast, 8, 0.1, step)
    torch.testing.assert_close(slow.weight, fast.weight, rtol=1e-2, atol=1e-2)
    assert torch.equal(slow.running_mean, fast.running_mean)


def test_augment_helpers_keep_range_and_shape() -> None:
    rng = np.random.default_rng(0)
    x = augment.to_float(rng.integers(0, 255, (6, 20, 20, 3)).astype(np.uint8))
    np.testing.assert_array_equal(images.to_uint8(x).shape, (6, 20, 20, 3))
    for y in (augment.affine(x, rng, 0.02, 3, 0.05), augment.light(x, rng), augment.soften(x, rng, 1.0)):
        assert y.shape == x.shape
        assert float(y.abs().max()) <= 1.0
    flip = np.array([True] + [False] * 5)
    mirrored = augment.mirror(x.permute(0, 2, 3, 1).numpy(), flip)
    np.testing.assert_array_equal(mirrored[0], x[0].permute(1, 2, 0).numpy()[:, ::-1])
    np.testing.assert_array_equal(mirrored[1], x[1].permute(1, 2, 0).numpy())


def test_a_short_run_renders_only_the_faces_that_it_sees(
    faces: face_sets.FaceSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    render = masked.masked_faces

    def counted(known: face_sets.FaceSet, *args: Any, **more: Any) -> masked.MaskedFaces:
        made.append(len(known))
        return render(known, *args, **more)

    monkeypatch.setattr(masked, "masked_faces", counted)
    short = replace(unmasker_config(tmp_path / "a", max_steps=2), batch_size=3, val_every=100)
    task = unmasker.build(short, torch.device("cpu"))
    assert made == [6] and task.validate is None and task.sheet is None
    task.batch(np.random.default_rng(0), 0)
    made.clear()
    long = replace(short, max_steps=100)
    assert unmasker.build(long, torch.device("cpu")).validate is not None
    assert made == [FACES, FACES]
    few = masked.enough(faces, 3)
    assert [int(name) for name in few.names] == [0, int(faces.names[6]), int(faces.names[11])]
    assert masked.enough(faces, FACES) is faces
