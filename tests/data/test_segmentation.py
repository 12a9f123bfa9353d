"""Faces with known regions: what is done to picture and region alike, and what belongs to one only."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.training.drawn import pool_of_squares
from unmask.data import segmentation as task
from unmask.data.face_sets import FaceSet
from unmask.data.photometric import colors, degrade
from unmask.faces import align
from unmask.simulation import shape3d
from unmask.training.tasks import segmenter

SIZE = 64


def test_a_batch_has_regions_where_and_only_where_there_is_a_garment(rng: np.random.Generator) -> None:
    x, region, garment = task.batch(pool_of_squares(), task.AugmentConfig(), 64, rng)
    assert x.shape == (64, 3, SIZE, SIZE) and region.shape == (64, 1, SIZE, SIZE) and garment.shape == (64,)
    assert x.min() >= -1 and x.max() <= 1 and region.min() >= 0 and region.max() <= 1
    some = region.flatten(1).amax(1) > 0.5
    assert torch.equal(some, garment > 0.5)


def test_the_region_moves_with_the_picture(rng: np.random.Generator) -> None:
    calm = task.AugmentConfig(restyle=0, transplant=0, tight=0.5, strength=0)
    for _ in range(10):
        image, region, garment = task.sample(pool_of_squares(), 0, calm, rng)
        assert garment == 1
        bright = image.mean(2) > 140
        agree = (bright & (region > 0.5)).sum() / (bright | (region > 0.5)).sum()
        assert agree > 0.9


def test_light_and_camera_are_random_but_repeatable() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    a, b, c = (degrade(image, np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert a.shape == image.shape and a.dtype == np.uint8 and not np.array_equal(a, c)
    assert np.abs(degrade(image, np.random.default_rng(0), 0.0).astype(int) - image).max() <= 1
    assert colors(np.ones((4, 4, 3), np.float32), np.random.default_rng(0)).dtype == np.float32


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    """Plain discs as faces: the renderer needs points, not features."""
    ys, xs = np.mgrid[:128, :128]
    disc = ((xs - 64) ** 2 + (ys - 72) ** 2 < 46**2)[..., None]
    images = np.where(disc, [200, 160, 140], [60, 90, 120]).astype(np.uint8)[None].repeat(4, 0)
    points = align.template("ffhq", 128).astype(np.float32)[None].repeat(4, 0)
    words = np.array(["a", "b", "c", "d"])
    return FaceSet(images, points, np.full(4, -1), words, words, "ffhq")


def test_the_pool_holds_the_shares_asked_for_and_is_rendered_once(faces, tmp_path, monkeypatch) -> None:
    config = task.PoolConfig(count=12, garments=0.5, scarves=0.1, occluded=0.2, handled=0.5)
    pool = task.build_pool(faces, config, tmp_path)
    assert len(pool) == 12 and set(pool.kinds) <= {0, 1, 2}
    hidden = pool.regions.reshape(12, -1).max(1) > 0
    assert not hidden[pool.kinds != task.GARMENT].any() and hidden[pool.kinds == task.GARMENT].all()
    monkeypatch.setattr(task, "render", lambda *_: pytest.fail("rendered again"))
    np.testing.assert_array_equal(task.build_pool(faces, config, tmp_path).images, pool.images)


def test_dice_and_cross_entropy_by_hand() -> None:
    truth = torch.zeros(1, 1, 4, 4)
    truth[..., :2, :] = 1
    sure = segmenter.region_losses((truth * 2 - 1) * 30, truth)
    assert float(sure["bce"]) < 1e-6 and float(sure["dice"]) < 1e-6
    wrong = segmenter.region_losses(-(truth * 2 - 1) * 30, truth)
    assert float(wrong["dice"]) > 0.99 and float(wrong["bce"]) == pytest.approx(30, rel=1e-3)


def test_a_missed_strap_weighs_more_than_as_many_pixels_of_a_garment() -> None:
    truth = torch.zeros(1, 1, 128, 128)
    truth[..., 60:110, 40:90] = 1
    truth[..., 20:60, 40:42] = 1
    narrow = segmenter.thin(truth)
    assert float(narrow[..., 22:56, 39:43].min()) == 1 and float(narrow[..., 70:100, 45:85].max()) == 0
    assert float(segmenter.thin(torch.zeros(1, 1, 128, 128)).max()) == 0
    strap, garment = (truth * 8 - 4 for _ in range(2))
    strap[..., 20:50, 40:42] = garment[..., 80:90, 60:66] = -4.0
    costs = [float(segmenter.region_losses(logits, truth)["bce"]) for logits in (strap, garment)]
    assert costs[0] > 2.5 * costs[1]


def test_figures_of_a_perfect_and_of_a_blind_network() -> None:
    pool = pool_of_squares()
    calm = task.AugmentConfig(0, 0, 0, 0, 0, 0, 0)

    class Bright(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            logits = (x.mean(1, keepdim=True) - 0.3) * 50
            return logits, logits.amax((1, 2, 3))

    class Blind(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return torch.full_like(x[:, :1], -9), torch.full((len(x),), -9.0)

    good = segmenter.figures(Bright(), pool, calm, torch.device("cpu"))
    assert good["iou"] > 0.9 and good["garment_right"] == 1.0 and good["false_pixels"] == 0.0
    blind = segmenter.figures(Blind(), pool, calm, torch.device("cpu"))
    assert blind["iou"] == 0.0 and blind["garment_right"] == pytest.approx(2 / 3)


def test_a_pool_may_prefer_turned_faces() -> None:
    ahead = align.template("ffhq", SIZE)
    aside = 32 + 12 * (shape3d.POINTS @ shape3d.rotation(np.radians(45.0), 0.0).T)[:, :2]
    points = np.stack([ahead, aside] * 10).astype(np.float32)
    images = np.full((20, SIZE, SIZE, 3), 90, np.uint8)
    images[1::2] = 160
    who, names = np.zeros(20, np.int64), np.array([str(i) for i in range(20)])
    faces = FaceSet(images, points, who, np.full(20, "s"), names, "ffhq")
    shares = {}
    for turned in (0.0, 0.8):
        config = task.PoolConfig(count=200, garments=0, scarves=0, occluded=0, turned=turned)
        shares[turned] = (task._render(faces, config)[0].mean((1, 2, 3)) > 120).mean()
    assert shares[0.0] == 0.5
    assert 0.8 < shares[0.8] < 0.97
