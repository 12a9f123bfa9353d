"""How restless a restored clip is: formulas only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def flicker(frames: NDArray[np.uint8], region: NDArray[np.floating] | None = None) -> float:
    """Mean size of the second difference in time, ``|f[t-1] - 2 f[t] + f[t+1]| / 2``, in levels of 255.

    A still picture, and one that changes evenly (a fade, a slow turn), has none; one that is drawn anew for each frame
    has about the standard deviation of what is drawn.

    Args:
        frames: uint8 [T,H,W,3], at least three; aligned crops, so that the motion of a head is no flicker.
        region: [T,H,W] or [H,W] in [0,1], weights of the pixels; None takes all alike.

    Raises:
        ValueError: fewer than three frames, or an empty region.
    """
    if len(frames) < 3:
        raise ValueError("flicker needs at least three frames")
    f = frames.astype(np.float32)
    change = np.abs(f[:-2] - 2 * f[1:-1] + f[2:]).mean(axis=3) / 2
    if region is None:
        return float(change.mean())
    weight = np.broadcast_to(region, frames.shape[:3])[1:-1]
    if weight.sum() <= 0:
        raise ValueError("the region is empty")
    return float((change * weight).sum() / weight.sum())
