"""The pixel loss, weighted by the region."""

from __future__ import annotations

from torch import Tensor


def region_error(y_hat: Tensor, y: Tensor, region: Tensor, inside: float = 1.0, outside: float = 0.2) -> Tensor:
    """``inside`` times the mean absolute error under the region plus ``outside`` times the one elsewhere.

    y_hat, y [N,3,H,W]; region [N,1,H,W] in [0,1]. Means are over the region's (or the rest's) area, so that large and
    small face masks weigh the same per picture.
    """
    apart = y_hat - y
    error = apart.abs().mean(1, keepdim=True)
    under = (error * region).sum((1, 2, 3)) / region.sum((1, 2, 3)).clamp(min=1.0)
    rest = (error * (1 - region)).sum((1, 2, 3)) / (1 - region).sum((1, 2, 3)).clamp(min=1.0)
    return inside * under.mean() + outside * rest.mean()
