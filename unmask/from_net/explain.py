"""Pictures of what FROM sees: the learned feature mask and the predicted occlusion pattern over a face."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .. import images
from . import patterns
from .network import FromOutput

__all__ = ["Explained", "explained", "panel"]

Image = NDArray[np.uint8]
SIDE = 224  # height of a picture in a panel
_BOX = (255, 196, 0)


class Explained:
    """One face's explanation in plain numbers.

    Attributes:
        kept: float32 [h, w] in [0,1]: how much of the features of each place the mask keeps, its mean over channels
            (one place for a mask on the embedding).
        box: x1, y1, x2, y2 of the most likely pattern in pixels of the crop (ends excluded); None for no occlusion.
        probability: of that pattern.
    """

    def __init__(self, output: FromOutput, grid: int, size: tuple[int, int], row: int = 0) -> None:
        mask = output.mask[row].float()
        self.kept: NDArray[np.float32] = (mask.mean(0) if mask.ndim == 3 else mask.mean()[None, None]).cpu().numpy()
        shares = output.occlusion_logits[row].float().softmax(0)
        best = int(shares.argmax())
        found = patterns.rectangles(grid, size)[best]
        self.box: tuple[int, int, int, int] | None = tuple(int(v) for v in found) if best else None  # type: ignore[assignment]
        self.probability = float(shares[best])


def explained(output: FromOutput, grid: int, size: tuple[int, int]) -> list[Explained]:
    """One explanation per face of ``output``; ``grid`` and ``size`` are the recognizer's."""
    return [Explained(output, grid, size, row) for row in range(len(output.embedding))]


def panel(faces: Tensor, found: list[Explained]) -> Image:
    """A sheet uint8 [H,W,3]: for each of the faces [N,3,h,w] the crop, the feature mask over it, and the pattern.

    In the middle picture warm colors are features that the mask takes away, relative to the face's own range.
    """
    rows, labels = [], []
    for crop, one in zip(images.to_uint8(faces), found, strict=True):
        width = round(SIDE * crop.shape[1] / crop.shape[0])
        large = np.asarray(cv2.resize(crop, (width, SIDE), interpolation=cv2.INTER_CUBIC), np.uint8)
        rows.append([large, _heat(large, one.kept), _pattern(large, one, SIDE / crop.shape[0])])
        pattern = "no occlusion" if one.box is None else "occlusion"
        kept = f"mask {one.kept.min():.2f}-{one.kept.max():.2f}"
        labels.append(["face", kept, f"{pattern} ({one.probability:.0%})"])
    return images.sheet(rows, labels)


def _heat(large: Image, kept: NDArray[np.float32]) -> Image:
    low, high = float(kept.min()), float(kept.max())
    gone = (high - kept) / max(high - low, 1e-6)
    level = cv2.resize(gone.astype(np.float32), large.shape[1::-1], interpolation=cv2.INTER_CUBIC).clip(0, 1)
    colors = images.bgr(np.asarray(cv2.applyColorMap((level * 255).astype(np.uint8), cv2.COLORMAP_JET), np.uint8))
    return np.asarray(cv2.addWeighted(large, 0.55, colors, 0.45, 0), np.uint8)


def _pattern(large: Image, one: Explained, scale: float) -> Image:
    out = large.copy()
    if one.box is not None:
        x1, y1, x2, y2 = (round(v * scale) for v in one.box)
        tint = np.array(_BOX, np.float32)
        out[y1:y2, x1:x2] = (out[y1:y2, x1:x2] * 0.6 + tint * 0.4).astype(np.uint8)
        cv2.rectangle(out, (x1, y1), (x2 - 1, y2 - 1), _BOX, 2)
    return out
