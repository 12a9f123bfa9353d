"""What a restoration does to crops, on tensors: gradients flow, for training.

On arrays there are :func:`unmask.faces.align.warp_batch`, :func:`unmask.faces.blend.composite` and
:func:`unmask.faces.blend.feathered`; a test holds them equal.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn import functional

from ..models.encoder import grown

SHRINK_BELOW = 0.75  # warps that shrink more than this get an averaging pass first


def composite(x: Tensor, y_hat: Tensor, region: Tensor, feather: int | None = None) -> Tensor:
    """``y_hat`` under the region and ``x`` elsewhere, differentiable.

    ``alpha * y_hat + (1 - alpha) * x`` with alpha = 1 all over the region, falling to 0 within ``2 *
    feather`` pixels outside it: the region is grown by ``feather`` and then averaged over as much.

    Args:
        x, y_hat: ``[N, C, H, W]``.
        region: ``[N, 1, H, W]`` in [0, 1].
        feather: pixels; 1/128 of the height if None, 0 takes the region as it is.
    """
    return x + feathered(region, feather) * (y_hat - x)


def feathered(region: Tensor, feather: int | None = None) -> Tensor:
    """The alpha of :func:`composite`, ``[N, 1, H, W]``."""
    radius = round(region.shape[2] / 128) if feather is None else feather
    if radius <= 0:
        return region
    padded = functional.pad(grown(region, radius), (radius,) * 4, mode="replicate")
    return functional.avg_pool2d(padded, 2 * radius + 1, stride=1)


def warp(
    x: Tensor,
    matrix: ArrayLike | Tensor,
    size: int | tuple[int, int],
    padding: str = "border",
    antialias: bool = True,
) -> Tensor:
    """Resample a batch through matrices, bilinear.

    Args:
        x: ``[N, C, H, W]``.
        matrix: forward, input to output, ``[2, 3]`` for all or ``[N, 2, 3]`` one each; it gets no gradient.
        size: (height, width) of the result, or one number.
        padding: ``border`` (replicated), ``reflection`` or ``zeros``.
        antialias: shrink with an averaging filter first where the matrix makes things much smaller.

    Returns:
        ``[N, C, h, w]``, of x's type and device.
    """
    height, width = (size, size) if isinstance(size, int) else size
    plain = matrix.detach().cpu() if isinstance(matrix, Tensor) else np.asarray(matrix)
    m = torch.as_tensor(plain, dtype=torch.float64).reshape(-1, 2, 3)
    if len(m) not in (1, len(x)):
        raise ValueError(f"{len(m)} matrices for a batch of {len(x)}")
    inverse_linear = torch.linalg.inv(m[:, :, :2])
    inverse = torch.cat([inverse_linear, -inverse_linear @ m[:, :, 2:]], dim=2)  # output to input
    scale = float(torch.linalg.det(m[:, :, :2]).abs().sqrt().min())
    if antialias and scale < SHRINK_BELOW:
        old_h, old_w = x.shape[2:]
        new_h, new_w = max(1, round(old_h * scale)), max(1, round(old_w * scale))
        x = functional.interpolate(x, (new_h, new_w), mode="bilinear", align_corners=False, antialias=True)
        fx, fy = new_w / old_w, new_h / old_h
        shrink = torch.tensor([[fx, 0.0], [0.0, fy]], dtype=torch.float64)
        inverse = shrink @ inverse
        inverse[:, :, 2] += torch.tensor([(fx - 1) / 2, (fy - 1) / 2], dtype=torch.float64)
    in_h, in_w = x.shape[2:]
    # grid_sample counts from -1 (left edge of the first pixel) to 1 (right edge of the last one)
    normalize = torch.tensor([[2 / in_w, 0.0], [0.0, 2 / in_h]], dtype=torch.float64)
    inverse = normalize @ inverse
    inverse[:, :, 2] += torch.tensor([1 / in_w - 1, 1 / in_h - 1], dtype=torch.float64)
    ys, xs = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    points = torch.stack([xs, ys, torch.ones_like(xs)], dim=-1).to(torch.float64)  # [h, w, 3]
    grid = torch.einsum("hwk,njk->nhwj", points, inverse).to(device=x.device, dtype=x.dtype)
    grid = grid.expand(len(x), -1, -1, -1)
    return functional.grid_sample(x, grid, mode="bilinear", padding_mode=padding, align_corners=False)
