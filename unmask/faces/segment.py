"""Where the face mask is in aligned crops, and whether there is one."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import weights
from ..models.segmenter import Segmenter as Network
from ..models.small import fuse


class Segmenter:
    """The segmenter of a checkpoint, ready for crops of its template at any size.

    Attributes:
        size: side of the crops it was trained on; others are resampled to it and their regions back.
        template: the alignment it expects.
    """

    def __init__(self, name_or_path: str | Path = "segmenter", device: str | torch.device = "cpu") -> None:
        """Read a checkpoint by its name in the table of weights or by path; raises UnmaskError where it is none."""
        found = weights.read(name_or_path, kind="segmenter")
        network = Network(**found.arch)
        weights.fill(network, found)
        self.device = torch.device(device)
        self.network = fuse(network).to(self.device)
        self.size = int(found.meta.get("size", 128))
        self.template = str(found.meta.get("template", "ffhq"))

    @torch.inference_mode()
    def predict(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Regions and garment scores of aligned crops.

        Args:
            crops: [N,3,S,S] RGB in [-1,1].

        Returns:
            region [N,1,S,S] in [0,1], 1 where the face mask hides the face; garment score [N] in [0,1], how likely the
            face wears one. Both float32 on the device of ``crops``.
        """
        if crops.ndim != 4 or crops.shape[1] != 3 or crops.shape[2] != crops.shape[3]:
            raise ValueError(f"crops are [N,3,S,S], not {tuple(crops.shape)}")
        side = crops.shape[-1]
        x = crops.to(self.device, torch.float32)
        if side != self.size:
            x = F.interpolate(x, self.size, mode="bilinear", align_corners=False, antialias=side > self.size)
        logits, score = self.network(x)
        if side != self.size:
            logits = F.interpolate(logits, side, mode="bilinear", align_corners=False)
        return logits.sigmoid().to(crops.device), score.sigmoid().to(crops.device)
