"""Windows of true faces, of the same made coarse and of what is seen of them."""

from __future__ import annotations

import numpy as np
import torch

from unmask.training import detailing


def test_windows_belong_together() -> None:
    y = torch.nn.functional.interpolate(torch.rand(12, 3, 8, 8), size=(64, 64), mode="bicubic").clamp(-1, 1)
    region = torch.zeros(12, 1, 64, 64)
    region[:, :, 36:60, 16:48] = 1
    content = detailing.windows(y, region, 12, np.random.default_rng(0))
    assert [tuple(t.shape) for t in content] == [(12, 3, 24, 24), (12, 3, 12, 12), (12, 4, 24, 24)]
    bare = (content.seen[:, 3:] < 0).expand_as(content.y)
    torch.testing.assert_close(content.seen[:, :3][bare], content.y[bare])
    assert 0.05 < float(bare.float().mean()) < 0.95
    apart = torch.nn.functional.avg_pool2d(content.y, 2) - content.coarse
    assert 0 < float(apart.abs().mean()) < 0.1


def test_corners_lie_in_the_picture_and_most_over_the_lower_face() -> None:
    found = detailing.corners(np.random.default_rng(1), 2000, 128, 48)
    assert found.min() >= 0 and found.max() == 80
    assert 0.8 < (found[:, 0] >= 36).mean() < 0.95
    assert detailing.corners(np.random.default_rng(1), 4, 32, 32).max() == 0  # a window as large as the picture


def test_coarsening_takes_detail_and_leaves_color() -> None:
    y = torch.rand(1, 3, 64, 64)
    small = detailing.coarsened(y, np.random.default_rng(1))
    assert small.shape == (1, 3, 32, 32) and small.dtype == torch.float32
    torch.testing.assert_close(small.mean((2, 3)), y.mean((2, 3)), atol=0.02, rtol=0)
    assert float(small.std()) < float(torch.nn.functional.avg_pool2d(y, 2).std())


def test_a_face_of_a_small_photo_has_its_colors_and_nothing_finer_than_its_pixels() -> None:
    y = torch.rand(1, 3, 64, 64)
    blurred = detailing.of_small_photo(y, 0.5)
    assert blurred.shape == y.shape
    torch.testing.assert_close(blurred.mean((2, 3)), y.mean((2, 3)), atol=0.02, rtol=0)
    fine = torch.fft.fft2(blurred - blurred.mean((2, 3), keepdim=True)).abs()[..., 20:45, 20:45].mean()
    assert float(fine) < 0.15 * float(torch.fft.fft2(y).abs()[..., 20:45, 20:45].mean())
