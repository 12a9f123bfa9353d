"""The detector and the segmenter: shapes, sizes, folding of normalization, and what their outputs mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from unmask.models.detector import ANCHORS, SIZES, STRIDES, Detector, ScrfdLayout, centers, decode
from unmask.models.segmenter import Segmenter
from unmask.models.small import fuse


def _stir(model: nn.Module) -> nn.Module:
    """Batch statistics that are not the identity, so that folding has something to fold."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return model.eval()


def test_detector_has_one_prediction_per_anchor_and_stride() -> None:
    scores, boxes, points = Detector()(torch.zeros(2, 3, 96, 160))
    for stride, s, b, p in zip(STRIDES, scores, boxes, points, strict=True):
        count = (96 // stride) * (160 // stride) * ANCHORS
        assert s.shape == (2, count, 1) and b.shape == (2, count, 4) and p.shape == (2, count, 10)


def test_an_untrained_detector_guesses_boxes_of_its_anchors_sizes_and_low_scores() -> None:
    scores, boxes, points = Detector().eval()(torch.zeros(1, 3, 64, 64))
    for level, (stride, sizes) in enumerate(zip(STRIDES, SIZES, strict=True)):
        box, _ = decode(boxes[level], points[level], centers(64, 64)[level], stride)
        sides = (box[0, :, 2] - box[0, :, 0]).reshape(-1, ANCHORS).mean(0)
        assert torch.allclose(sides, torch.tensor(sizes), rtol=0.1)
        assert scores[level].sigmoid().max() < 0.05


def test_the_running_statistics_of_the_shared_head_serve_all_levels() -> None:
    model = Detector(stem=16, widths=(16, 16, 16), depths=(0, 0, 0, 0), neck=16)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0  # the running statistics become those of this very batch
    x = torch.randn(4, 3, 96, 96)
    with torch.no_grad():
        trained, used = model.train()(x), model.eval()(x)
    for a, b in zip(trained[0] + trained[2], used[0] + used[2], strict=True):
        assert float((a - b).abs().mean()) < 0.05 * float(a.std())


def test_the_detectors_pieces_stay_small() -> None:
    assert 0.3e6 < sum(p.numel() for p in Detector().parameters()) < 0.7e6
    assert sum(p.numel() for p in Segmenter().parameters()) < 0.6e6


def test_centers_and_decode_follow_insightface() -> None:
    scrfd = pytest.importorskip("insightface.model_zoo.scrfd")
    rng = np.random.default_rng(0)
    height, width = 64, 96
    for level, stride in enumerate(STRIDES):
        xy = np.stack(np.mgrid[: height // stride, : width // stride][::-1], -1).astype(np.float32) * stride
        xy = np.stack([xy.reshape(-1, 2)] * 2, 1).reshape(-1, 2)
        assert np.array_equal(centers(height, width)[level].numpy(), xy)
        distances, points = rng.normal(size=(len(xy), 4)), rng.normal(size=(len(xy), 10))
        box, five = decode(torch.tensor(distances), torch.tensor(points), torch.tensor(xy), stride)
        np.testing.assert_allclose(box, scrfd.distance2bbox(xy, distances * stride), rtol=1e-6, atol=1e-4)
        theirs = scrfd.distance2kps(xy, points * stride).reshape(-1, 5, 2)
        np.testing.assert_allclose(five, theirs, rtol=1e-6, atol=1e-4)


def test_scrfd_layout_is_scores_boxes_points_without_a_batch_axis() -> None:
    out = ScrfdLayout(Detector().eval())(torch.zeros(1, 3, 64, 64))
    assert [tuple(o.shape) for o in out] == [(n, w) for w in (1, 4, 10) for n in (128, 32, 8)]
    assert all(float(o.min()) >= 0 and float(o.max()) <= 1 for o in out[:3])


@pytest.mark.parametrize("side", [64, 128, 256])
def test_segmenter_keeps_the_size(side: int) -> None:
    region, garment = Segmenter()(torch.zeros(2, 3, side, side))
    assert region.shape == (2, 1, side, side) and garment.shape == (2,)
    assert region.dtype == garment.dtype == torch.float32


def test_segmenter_refuses_widths_that_do_not_match() -> None:
    with pytest.raises(ValueError, match="fewer"):
        Segmenter(widths=(16, 24), depths=(1, 1), ups=(16, 16))


@pytest.mark.parametrize("model", [Segmenter(), Detector()], ids=["segmenter", "detector"])
def test_folding_the_normalization_changes_nothing(model: nn.Module) -> None:
    model = _stir(model)
    folded = fuse(model)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    x = torch.randn(2, 3, 64, 64)

    def flat(out: object) -> list[torch.Tensor]:
        return [out] if isinstance(out, torch.Tensor) else [t for part in out for t in flat(part)]  # type: ignore[attr-defined]

    with torch.no_grad():
        for a, b in zip(flat(model(x)), flat(folded(x)), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def test_a_segmenter_can_learn_one_picture() -> None:
    x = torch.rand(4, 3, 32, 32) * 2 - 1
    truth = torch.zeros(4, 1, 32, 32)
    truth[:, :, 16:, 8:24] = 1
    x = x + truth
    model = Segmenter(widths=(16, 16), depths=(1, 0), ups=(16,))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(60):
        loss = nn.functional.binary_cross_entropy_with_logits(model(x)[0], truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss) < 0.1
