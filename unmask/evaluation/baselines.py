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
from numpy.typing import NDArray

from .. import images
from ..errors import UnmaskError, UsageError
from ..faces import align
from ..faces.detect import Detector, Face
from ..faces.landmarks import Landmarker
from ..restore import Restorer, parts
from ..restore.located import SegmenterLike
from . import linear

__all__ = ["BASELINES", "FaceRestorer", "Inpainting", "LinearRegression", "MaskLeftOn", "MeanFace", "load", "through"]

UNMASK = "unmask"
_TOUCHED = 0.02  # a pixel hidden more than this is not to be trusted

Floats = NDArray[np.float32]


class FaceRestorer(Protocol):
    """What the evaluations need of a restorer."""

    name: str
    size: int
    template: str
    fingerprint: str

    def __call__(self, x: Floats, region: Floats) -> Floats:
        """Restored faces [N,3,S,S] of masked ones [N,3,S,S], all in [-1,1], under the region [N,1,S,S]."""
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

    def __call__(self, x: Floats, region: Floats) -> Floats:
        """The input itself."""
        return x


class Inpainting(_Baseline):
    """OpenCV's inpainting after Telea (2004), radius 3."""

    def __init__(self) -> None:
        super().__init__("opencv")

    def __call__(self, x: Floats, region: Floats) -> Floats:
        """Inpaint every pixel that the region touches, and one more all round."""
        each = zip(images.to_uint8(x), _touched(region), strict=True)
        return images.to_float(
            np.stack([cv2.inpaint(picture, hole.astype(np.uint8), 3, cv2.INPAINT_TELEA) for picture, hole in each])
        )


class MeanFace(_Baseline):
    """The mean training face, each channel scaled and shifted to fit the visible part of the inner face."""

    def __init__(self, model: linear.LinearFaces):
        super().__init__("mean", model.fingerprint)
        self.face = _enlarged(model.mean.reshape(model.side, model.side, 3), self.size)[None]
        at = (np.arange(self.size) + 0.5) / self.size - 0.5
        self.inner = (((at[None] / 0.30) ** 2 + ((at[:, None] - 0.05) / 0.38) ** 2) <= 1)[None, None]

    def __call__(self, x: Floats, region: Floats) -> Floats:
        """Weighted least squares of ``gain * mean + shift`` per picture and channel, gain held near one."""
        face, weight = self.face, (self.inner & ~_touched(region)[:, None]).astype(np.float32)  # [N,1,H,W]
        total = weight.sum((2, 3), keepdims=True).clip(1)
        mean_x, mean_f = ((weight * t).sum((2, 3), keepdims=True) / total for t in (x, face))
        both = (weight * (x - mean_x) * (face - mean_f)).sum((2, 3), keepdims=True) / total
        spread = (weight * np.square(face - mean_f)).sum((2, 3), keepdims=True) / total
        held = 0.01  # as strong as a spread of 0.1 would be
        gain = ((both + held) / (spread + held)).clip(0.3, 2)
        return np.asarray((gain * (face - mean_f) + mean_x).clip(-1, 1), np.float32)


class LinearRegression(_Baseline):
    """The hidden pixels predicted from the visible ones by a Gaussian model of faces (see :mod:`.linear`)."""

    def __init__(self, model: linear.LinearFaces):
        super().__init__("linear", model.fingerprint)
        self.model = model

    def __call__(self, x: Floats, region: Floats) -> Floats:
        """Predict at the model's resolution and enlarge."""
        side = self.model.side
        small = np.ascontiguousarray(align.resized(x, side).transpose(0, 2, 3, 1))
        hidden = _coarsest(region[:, 0], side) > _TOUCHED
        filled = [self.model.fill(a, b) for a, b in zip(small, hidden, strict=True)]
        return np.stack([_enlarged(one, x.shape[-1]) for one in filled]).clip(-1, 1)


def _touched(region: Floats) -> NDArray[np.bool_]:
    """What a region [N,1,H,W] touches, and one pixel more all round, bool [N,H,W]."""
    square = np.ones((3, 3), np.uint8)
    return np.stack([cv2.dilate(np.ascontiguousarray(one[0]), square) > _TOUCHED for one in region])


def _enlarged(picture: Floats, size: int) -> Floats:
    """A picture [s,s,3] at another size, [3,size,size]."""
    large = cv2.resize(np.asarray(picture, np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    return np.asarray(large.transpose(2, 0, 1), np.float32)


def _coarsest(maps: Floats, side: int) -> Floats:
    """The greatest value of maps [N,S,S] in each of ``side`` x ``side`` cells."""
    size = maps.shape[-1]
    starts, ends = np.arange(side) * size // side, -(-(np.arange(side) + 1) * size // side)
    rows = np.stack([maps[:, a:b].max(1) for a, b in zip(starts, ends, strict=True)], 1)
    return np.stack([rows[:, :, a:b].max(2) for a, b in zip(starts, ends, strict=True)], 2)


class Unmasking:
    """An unmasker's checkpoint as a restorer of crops of its own size."""

    template = "ffhq"

    def __init__(self, name_or_path: str | Path, name: str = UNMASK, device: str = "cpu"):
        self.name = name
        self.model = parts.of(name_or_path).ready("auto", device)
        self.fingerprint, self.size = self.model.sha256, self.model.size

    def __call__(self, x: Floats, region: Floats) -> Floats:
        """Run the unmasker on its device."""
        return self.model(x, region)


class NoSegmenter:
    """Where the true region is given, nothing is segmented."""

    def predict(self, crops: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Nothing hidden."""
        return np.zeros((len(crops), 1, *crops.shape[2:]), np.float32), np.zeros(len(crops), np.float32)


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
    """Restorers by name, in the given order.

    A name is that of a baseline, ``unmask`` (the embedded unmasker), or the name or path of weights. ``data`` is the
    folder of training faces that ``mean`` and ``linear`` are fitted on (once; the fit is kept in the cache folder).
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
