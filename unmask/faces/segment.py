"""Where the face mask is in aligned crops, and whether there is one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..engines import networks
from . import align

Floats = NDArray[np.float32]

MOUTH = (0.5, 0.68)  # where a face mask is centerd in the template, in shares of the crop
REACH = 0.22  # and how far from there its parts lie
STRAP = 0.1  # how likely a pixel of a strap has to be
RIM = 0.012  # in shares of the crop: nearer to the region its own soft edge is as likely
PART = 0.15  # a piece apart from the main one counts from this share of its weight


class Segmenter:
    """The segmenter of a checkpoint, ready for crops of its template at any size.

    Attributes:
        size: side of the crops it was trained on; others are resampled to it and their regions back.
        template: the alignment it expects.
    """

    def __init__(
        self,
        name_or_path: str | Path = "segmenter",
        device: str = "cpu",
        engine: str = "auto",
        folder: str | Path | None = None,
    ) -> None:
        """Load one by its name in the table of weights or by path; raises UnmaskError where it is none.

        ``device`` and ``engine`` are those of :func:`unmask.engines.choose`.
        """
        self.network = networks.load(name_or_path, "segmenter", engine, device, folder)
        self.size, self.template, self.sha256 = self.network.size, self.network.template, self.network.sha256

    def predict(self, crops: Floats, tidied: bool = True) -> tuple[Floats, Floats]:
        """Regions and garment scores of aligned crops.

        Args:
            crops: [N,3,S,S] RGB in [-1,1].
            tidied: whether to apply :func:`tidy` and :func:`with_straps` to the regions.

        Returns:
            region [N,1,S,S] in [0,1], 1 where the face mask hides the face; garment score [N] in [0,1], how likely the
            face wears one. Both float32.
        """
        if crops.ndim != 4 or crops.shape[1] != 3 or crops.shape[2] != crops.shape[3]:
            raise ValueError(f"crops are [N,3,S,S], not {tuple(crops.shape)}")
        if not len(crops):
            return np.zeros((0, 1, *crops.shape[2:]), np.float32), np.zeros(0, np.float32)
        side = crops.shape[-1]
        region, score = self.network(align.resized(crops, self.size))
        if tidied:
            region = np.stack([with_straps(tidy(one[0])) for one in region])[:, None]
        return align.resized(region, side), score


def tidy(region: Floats) -> Floats:
    """A region float32 [S,S] without holes inside (prints, valves) and without pieces that belong to somebody else.

    Of the connected pieces above one half, the heaviest around the mouth stays, and others of a share of its weight.
    """
    solid = (region > 0.5).astype(np.uint8)
    count, labels = cv2.connectedComponents(solid, connectivity=8)
    if count < 2:
        return region
    side = region.shape[0]
    ys, xs = np.mgrid[:side, :side] / (side - 1)
    near = np.exp(-((xs - MOUTH[0]) ** 2 + (ys - MOUTH[1]) ** 2) / (2 * REACH**2))
    mass = np.bincount(labels.ravel(), near.ravel(), count)
    mass[0] = 0
    keep = mass >= PART * mass.max()
    keep[0] = True  # what is below one half stays as it is
    out = np.where(keep[labels], region, 1 - np.maximum(region, 0.5))
    kept = np.where(keep[labels], solid, 0).astype(np.uint8)
    outside = np.pad(1 - kept, 1, constant_values=1)
    cv2.floodFill(outside, None, (0, 0), 2, flags=4)
    hole = outside[1:-1, 1:-1] == 1
    return np.where(hole, np.maximum(out, 1 - out), out).astype(np.float32)


def with_straps(region: Floats) -> Floats:
    """A region float32 [S,S] with what is likely enough to be a strap: less sure, away from its rim, joined to it.

    Under face masks on faces of London some 40 % of the straps' pixels are above one half, and 60 % are found so.
    """
    sure = (region > 0.5).astype(np.uint8)
    side = 2 * max(1, round(RIM * region.shape[0])) + 1
    rim = cv2.dilate(sure, np.ones((side, side), np.uint8)) > 0
    likely = (region > STRAP).astype(np.uint8)
    _, labels = cv2.connectedComponents(likely, connectivity=8)
    joined = np.isin(labels, np.unique(labels[sure > 0])) & (likely > 0) & ~rim
    return np.where(joined, 1, region).astype(np.float32)
