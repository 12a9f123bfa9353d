"""Restorers by name: the unmasker beside what it has to beat.

A restorer takes aligned crops and the region and gives whole faces back; :func:`through` pastes them, as photos are
restored and the same for all. The baselines are the mask left on, OpenCV inpainting, a
mean face fitted to the visible colors, and linear regression of the hidden pixels from the visible ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..errors import UnmaskError, UsageError
from ..faces.detect import Detector, Face
from ..faces.landmarks import Landmarker
from ..restore import Restorer
from ..restore.located import SegmenterLike
from . import linear

__all__ = ["BASELINES", "FaceRestorer", "Inpainting", "LinearRegression", "MaskLeftOn", "MeanFace", "load", "through"]

UNMASK = "unmask"
_TOUCHED = 0.02  # a pixel hidden more than this is not to be trusted


class FaceRestorer(Protocol):
    """What the evaluations need of a restorer."""

    name: str
    size: int
    template: str
    fingerprint: str

    def __call__(self, x: Tensor, region: Tensor) -> Tensor:
        """Masked faces [N,3,S,S] in [-1,1] and region [N,1,S,S] in, restored faces [N,3,S,S] in [-1,1]
        out.
        """
        ...


class _Baseline:
    size = 128
    template = "ffhq"

    def __init__(self, name: str, detail: str = "1"):
        self.name = name
        self.fingerprint = hashlib.sha256(f"{name}/{detail}".encode()).hexdigest()


class MaskLeftOn(_Baseline):
    """Does nothing: the picture as it is."""

    def __init__(self) -> None:
        super().__init__("mask")

    def __call__(self, x: Tensor, region: Tensor) -> Tensor:
        """The input itself."""
        return x


class Inpainting(_Baseline):
    """OpenCV's inpainting after Telea (2004), radius 3."""

    def __init__(self) -> None:
        super().__init__("opencv")

    def __call__(self, x: Tensor, region: Tensor) -> Tensor:
        """Inpaint every pixel that the region touches, and one more all round."""
        pixels = ((x + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
        hidden = (F.max_pool2d(region, 3, 1, 1) > _TOUCHED).byte()[:, 0].cpu().numpy()
        filled = np.empty_like(pixels)
        for i, (picture, hole) in enumerate(zip(pixels, hidden, strict=True)):
            filled[i] = cv2.inpaint(np.ascontiguousarray(picture), hole, 3, cv2.INPAINT_TELEA)
        return torch.from_numpy(filled).permute(0, 3, 1, 2).float().div(127.5).sub(1).to(x.device)


class MeanFace(_Baseline):
    """The mean training face, each channel scaled and shifted to fit the visible part of the inner face."""

    def __init__(self, model: linear.LinearFaces):
        super().__init__("mean", model.fingerprint)
        side = model.side
        face = torch.from_numpy(model.mean).reshape(1, side, side, 3).permute(0, 3, 1, 2)
        self.face = F.interpolate(face, self.size, mode="bicubic", antialias=False)
        at = (torch.arange(self.size) + 0.5) / self.size - 0.5
        self.inner = (((at[None] / 0.30) ** 2 + ((at[:, None] - 0.05) / 0.38) ** 2) <= 1).float()[None, None]

    def __call__(self, x: Tensor, region: Tensor) -> Tensor:
        """Weighted least squares of ``gain * mean + shift`` per picture and channel, gain held near one."""
        face, inner = self.face.to(x), self.inner.to(x)
        weight = inner * (F.max_pool2d(region, 3, 1, 1) <= _TOUCHED)  # [N,1,H,W]
        total = weight.sum((2, 3), keepdim=True).clamp_min(1)
        mean_x, mean_f = ((weight * t).sum((2, 3), keepdim=True) / total for t in (x, face))
        both = (weight * (x - mean_x) * (face - mean_f)).sum((2, 3), keepdim=True) / total
        spread = (weight * (face - mean_f).square()).sum((2, 3), keepdim=True) / total
        held = 0.01  # as strong as a spread of 0.1 would be
        gain = ((both + held) / (spread + held)).clamp(0.3, 2)
        return (gain * (face - mean_f) + mean_x).clamp(-1, 1)


class LinearRegression(_Baseline):
    """The hidden pixels predicted from the visible ones by a Gaussian model of faces (see :mod:`.linear`)."""

    def __init__(self, model: linear.LinearFaces):
        super().__init__("linear", model.fingerprint)
        self.model = model

    def __call__(self, x: Tensor, region: Tensor) -> Tensor:
        """Predict at the model's resolution and enlarge."""
        side = self.model.side
        small = F.interpolate(x, side, mode="area").permute(0, 2, 3, 1).cpu().numpy()
        hidden = F.adaptive_max_pool2d(region, side)[:, 0].cpu().numpy() > _TOUCHED
        filled = np.stack([self.model.fill(a, b) for a, b in zip(small, hidden, strict=True)])
        out = torch.from_numpy(filled).permute(0, 3, 1, 2)
        return F.interpolate(out, x.shape[-1], mode="bicubic").clamp(-1, 1).to(x)


class Unmasking:
    """An unmasker's checkpoint as a restorer; crops of another size are resampled on the way in and out."""

    template = "ffhq"

    def __init__(self, name_or_path: str | Path, name: str = UNMASK, device: str = "cpu"):
        from .. import models, weights

        checkpoint = weights.read(name_or_path, "unmasker")
        self.name = name
        self.fingerprint = checkpoint.sha256
        self.meta = checkpoint.meta
        self.device = device
        model = models.build(checkpoint.kind, **checkpoint.arch)
        weights.fill(model, checkpoint)
        self.model = model.eval().requires_grad_(False).to(device)
        self.size = int(getattr(model, "size", 128))

    @torch.inference_mode()
    def __call__(self, x: Tensor, region: Tensor) -> Tensor:
        """Run the unmasker on its device."""
        side, given = (self.size, self.size), x.shape[-2:]
        if given != side:
            x = F.interpolate(x, side, mode="bilinear", antialias=True)
            region = F.interpolate(region, side, mode="bilinear", antialias=True)
        found: Tensor = self.model(x.to(self.device), region.to(self.device)).cpu()
        return found if given == side else F.interpolate(found, given, mode="bilinear", antialias=True)


class NoSegmenter:
    """Where the true region is given, nothing is segmented."""

    def predict(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Nothing hidden."""
        return torch.zeros(len(crops), 1, *crops.shape[2:]), torch.zeros(len(crops))


class Nobody:
    """Where pictures are aligned already, nobody is looked for."""

    def detect(self, image: NDArray[np.uint8], max_faces: int | None = None) -> list[Face]:
        """No face."""
        return []


def through(
    restorer: FaceRestorer,
    segmenter: SegmenterLike | None = None,
    detector: Detector | None = None,
    landmarker: Landmarker | None = None,
) -> Restorer:
    """A restorer by the way that photos take; without a segmenter regions are given, without a detector faces are."""
    return Restorer(
        restorer,
        NoSegmenter() if segmenter is None else segmenter,
        Nobody() if detector is None else detector,
        size=restorer.size,
        template=restorer.template,
        landmarker=landmarker,
    )


BASELINES = ("mask", "opencv", "mean", "linear")


def load(names: Sequence[str], data: str | Path | None = None, device: str = "cpu") -> list[FaceRestorer]:
    """Restorers by name, in the given order: a baseline, ``unmask`` (the embedded unmasker), or weights
    by name or path.

    ``data`` is the folder of training faces that ``mean`` and ``linear`` are fitted on (once; the fit is kept
    in the cache folder).
    """
    found: list[FaceRestorer] = []
    for name in dict.fromkeys(names):
        if name in ("mean", "linear"):
            if data is None:
                raise UsageError(f"{name}: this restorer is fitted on faces; give their folder with --data")
            model = linear.fit(data)
            found.append(MeanFace(model) if name == "mean" else LinearRegression(model))
        elif name in BASELINES:
            found.append(MaskLeftOn() if name == "mask" else Inpainting())
        else:
            found.append(_unmasking(name, device))
    return found


def _unmasking(name: str, device: str) -> Unmasking:
    if name == UNMASK:
        return Unmasking("unmasker", device=device)
    try:
        return Unmasking(name, Path(name).stem, device)
    except UnmaskError as error:
        if Path(name).suffix:
            raise
        known = ", ".join((*BASELINES, UNMASK))
        raise UsageError(f"{name}: no such restorer; use one of {known}, or weights by path ({error})") from error
