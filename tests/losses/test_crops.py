"""What a restoration does to crops, on tensors: gradients, and the same numbers as those on arrays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from unmask.faces import align, blend
from unmask.losses import crops
from unmask.models import encoder

LEVEL = 2 / 255  # of pictures in [-1,1]


def pictures(rng: np.random.Generator, size: int, count: int = 3) -> np.ndarray:
    """Soft pictures, float32 [N,3,S,S] in [-1,1]."""
    noise = ndimage.gaussian_filter(rng.normal(0, 1, (count, 3, size, size)), (0, 0, 4, 4))
    return (noise / np.abs(noise).max()).astype(np.float32)


@pytest.mark.parametrize("size", [64, 128, 256])
def test_compositing_is_the_same_on_arrays(size: int, rng: np.random.Generator) -> None:
    x, y_hat = pictures(rng, size), pictures(rng, size)
    region = ndimage.gaussian_filter((rng.random((3, 1, size, size)) > 0.999).astype(np.float32), (0, 0, 3, 3))
    region = (region / region.max()).astype(np.float32)
    for feather in (None, 0, 2, 5):
        ours = blend.composite(x, y_hat, region, feather)
        theirs = crops.composite(*map(torch.from_numpy, (x, y_hat, region)), feather)
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)
        np.testing.assert_allclose(
            blend.feathered(region, feather), crops.feathered(torch.from_numpy(region), feather).numpy(), atol=1e-5
        )


def test_growing_is_the_same_on_arrays(rng: np.random.Generator) -> None:
    region = rng.random((2, 1, 64, 64), np.float32)
    for pixels in (0, 1, 3):
        theirs = encoder.grown(torch.from_numpy(region), pixels).numpy()
        assert np.array_equal(blend.grown(region, pixels / 64), theirs) and (theirs >= region).all()


def test_composite_has_gradients_under_the_region_only() -> None:
    x, y_hat = torch.zeros(1, 3, 64, 64), torch.ones(1, 3, 64, 64, requires_grad=True)
    region = torch.zeros(1, 1, 64, 64)
    region[:, :, 30:50, 10:40] = 1
    crops.composite(x, y_hat, region, feather=2).sum().backward()
    assert y_hat.grad is not None and (y_hat.grad[:, :, 35, 20] == 1).all() and not y_hat.grad[:, :, :20].any()


def test_warping_is_the_same_on_arrays(rng: np.random.Generator) -> None:
    """Nothing is shrunk here, as from the unmasker's crops to a recognizer's."""
    x = pictures(rng, 128)
    matrices = np.stack([align.between("ffhq", 128, "arcface", 112), np.eye(2, 3), [[0.9, 0.3, 2], [-0.3, 0.9, 30]]])
    for matrix in (matrices, matrices[0]):
        ours, theirs = align.warp_batch(x, matrix, 112), crops.warp(torch.from_numpy(x), matrix, 112).numpy()
        assert np.abs(ours - theirs).max() < LEVEL
    with pytest.raises(ValueError, match="3 matrices"):
        align.warp_batch(x[:2], matrices, 16)


def test_shrinking_is_about_the_same_on_arrays(rng: np.random.Generator) -> None:
    x, matrix = pictures(rng, 256), align.between("ffhq", 256, "arcface", 112)
    ours, theirs = align.warp_batch(x, matrix, 112), crops.warp(torch.from_numpy(x), matrix, 112).numpy()
    assert np.abs(ours - theirs)[:, :, 3:-3, 3:-3].max() < 0.03  # two averaging filters


def test_warp_takes_one_matrix_each_and_gradients() -> None:
    x = torch.randn(2, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    matrices = np.stack([np.eye(2, 3), np.array([[1.0, 0, 2], [0, 1, -1]])])
    y = crops.warp(x, matrices, 16, padding="zeros")
    assert torch.allclose(y[0], x[0])
    assert torch.allclose(y[1, :, :15, 2:], x[1, :, 1:, :14])
    small = torch.randn(1, 1, 6, 6, dtype=torch.float64, requires_grad=True)
    turn = [[0.9, 0.1, 0], [-0.1, 0.9, 0]]
    assert torch.autograd.gradcheck(lambda t: crops.warp(t, turn, 5), (small,))
    with pytest.raises(ValueError, match="3 matrices"):
        crops.warp(x, np.zeros((3, 2, 3)), 16)
