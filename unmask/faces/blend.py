"""From region to photo: the region grown, filled, and put back so that no seam shows and nothing else changes.

:func:`paint` is the one way from crops and regions to restored faces, and :meth:`Painted.onto` the one way from those
into a photo. Whatever restores or measures restoring takes both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import align, tone, tone_curve

Floats = NDArray[np.float32]
Fill = Callable[[Floats, Floats], Floats]  # x [N,3,S,S] in [-1,1], region [N,1,S,S] -> y_hat [N,3,S,S]

MARGIN = 1 / 128  # of the crop size: how much wider than what was found the filled region is
GROW = 0.024  # of the crop size: how far the blend reaches beyond the region; the feather fills this band
_REMAINS = 0.06  # of the crop size: how far from the region remains of the face mask are looked for
_STAIN = (0.2, 0.5)  # share of the garment's color in a pixel that makes it a remain
_SHADE = (12.0, 30.0)  # levels of darkness beside the region that make a pixel shadow of the face mask
_DARK = (60.0, 90.0)  # so much darkness is no shadow but hair or cloth


@dataclass(frozen=True)
class Painted:
    """Restored faces of a batch of crops.

    Attributes:
        whole: ``[N, 3, S, S]`` in [-1, 1], whole faces as the fill sees them, in the photo's tone.
        seen: ``[N, 3, S, S]``, them under the region and the crops elsewhere (without what :meth:`onto` adds).
        region: ``[N, 1, S, S]``, what was painted: the region given, a little wider; empty where the fill did nothing.
    """

    whole: Floats
    seen: Floats
    region: Floats

    def onto(
        self, photo: NDArray[np.uint8], row: int, matrix: ArrayLike, seed: int = 0, exact: bool = False
    ) -> NDArray[np.uint8]:
        """A new photo ``[H, W, 3]`` with the face of one row put back.

        ``matrix`` took the photo to its crop. With ``exact``, for a region that somebody drew, nothing further from it
        than the feather changes; else remains of the face mask beside it are covered too.
        """
        levels = np.ascontiguousarray(((self.whole[row].clip(-1, 1) + 1) * 127.5).transpose(1, 2, 0))
        return paste(photo, levels, self.region[row, 0], matrix, seed=seed, cover=not exact).pixels


def paint(x: Floats, region: Floats, fill: Fill, exact: bool = False) -> Painted:
    """Fill the region of crops: grow it, fill it, and give it the tone of the photo.

    Args:
        x: ``[N, 3, S, S]`` in [-1, 1], crops with face masks.
        region: ``[N, 1, S, S]`` in [0, 1].
        fill: takes crops and the grown region and gives whole faces back; one that gives back its very input leaves
            everything as it is.
        exact: the region is known exactly and is not grown, since what is hidden needlessly is missed by the fill.
    """
    painted = region if exact else grown(region)
    curves = tone_curve.curves_of(x)
    natural = tone_curve.neutral(x, curves)
    whole = fill(natural, painted)
    if whole is natural:
        return Painted(x, x, painted * 0)
    whole = tone_curve.toned(np.asarray(whole.clip(-1, 1), np.float32), curves)
    return Painted(whole, composite(x, whole, painted), painted)


def composite(x: Floats, y_hat: Floats, region: Floats, feather: int | None = None) -> Floats:
    """``y_hat`` under the region and ``x`` elsewhere (training has it on tensors: :mod:`unmask.losses.crops`).

    ``alpha * y_hat + (1 - alpha) * x`` with alpha = 1 all over the region, falling to 0 within ``2 *
    feather`` pixels outside it: the region is grown by ``feather`` and then averaged over as much.

    Args:
        x, y_hat: ``[N, C, H, W]``.
        region: ``[N, 1, H, W]`` in [0, 1].
        feather: pixels; 1/128 of the height if None, 0 takes the region as it is.
    """
    return np.asarray(x + feathered(region, feather) * (y_hat - x), np.float32)


def grown(region: Floats, margin: float = MARGIN) -> Floats:
    """A region ``[N, 1, H, W]`` wider by ``margin`` of its height, since a face mask left standing at its rim shows."""
    return _widened(region, round(margin * region.shape[2]))


def feathered(region: Floats, feather: int | None = None) -> Floats:
    """The alpha of :func:`composite`, ``[N, 1, H, W]``."""
    radius = round(region.shape[2] / 128) if feather is None else feather
    if radius <= 0:
        return region
    side = (2 * radius + 1,) * 2
    return _each(_widened(region, radius), lambda one: cv2.blur(one, side, borderType=cv2.BORDER_REPLICATE))


def _widened(region: Floats, radius: int) -> Floats:
    """The greatest value within ``radius`` pixels along both sides."""
    if not radius:
        return region
    square = np.ones((2 * radius + 1,) * 2, np.uint8)
    return _each(region, lambda one: cv2.dilate(one, square))


def _each(region: Floats, change: Callable[[Floats], Any]) -> Floats:
    """A change of single maps [H,W], made in each of ``[N, 1, H, W]``."""
    maps = [change(np.ascontiguousarray(one[0], np.float32)) for one in region]
    return np.stack(maps)[:, None].astype(np.float32) if maps else np.asarray(region, np.float32)


def alpha_map(region: NDArray[Any], grow: float, feather: float) -> Floats:
    """How much of the restored crop shows, ``[S, S]`` in [0, 1], smooth, from a region in crop coordinates.

    1 over the region and ``grow - feather`` pixels around it, then down to 0 at ``grow`` pixels; 0 on the
    border of the crop, beyond which nothing is known.
    """
    height, width = region.shape
    fine = cv2.resize(np.asarray(region, np.float32), (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR)
    outside = (fine <= 0.5).astype(np.uint8)
    if outside.all():
        return np.zeros((height, width), np.float32)
    away = cv2.distanceTransform(outside, cv2.DIST_L2, 5) / 2
    ramp = np.clip((grow - away) / max(feather, 1e-3), 0, 1)
    ramp = np.minimum(ramp, _border(fine.shape, max(feather, 1.0), 0.5)).astype(np.float32)
    ramp = ramp * ramp * (3 - 2 * ramp)
    return cv2.resize(ramp, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)


class Pasted(NamedTuple):
    """A photo uint8 ``[H, W, 3]`` with a crop put back, and the share of the crop in each pixel, float32 ``[H, W]``."""

    pixels: NDArray[np.uint8]
    share: Floats


def paste(
    photo: NDArray[np.uint8],
    crop: NDArray[Any],
    region: NDArray[Any],
    matrix: ArrayLike,
    *,
    grow: float = GROW,
    match: bool = True,
    cover: bool = True,
    grain: bool = True,
    seed: int = 0,
) -> Pasted:
    """Put a restored crop back into its photo, and say where.

    Args:
        photo: uint8 ``[H, W, 3]``; not modified.
        crop: restored crop ``[S, S, 3]``, uint8, or float in levels 0 to 255. It should show the pixels
            around the region as the model restored them, not as copied from the photo: colors are compared
            there, and the feather blends the two.
        region: ``[S, S]`` in [0, 1], 1 = hidden by the face mask, in crop coordinates.
        matrix: ``[2, 3]``, photo to crop.
        grow: reach of the blend beyond the region, as a share of S.
        match: bring the crop's colors to those of the photo around the region.
        cover: cover what is left of the face mask beside the region (:func:`remains`).
        grain: give a patch smoother than the photo around it some of its grain.
        seed: of the grain.

    Returns:
        a new photo, bit-identical wherever the share is zero, and the share.
    """
    if crop.ndim != 3 or crop.shape[2] != 3 or region.shape != crop.shape[:2]:
        raise ValueError(f"a crop [S, S, 3] and its region [S, S] belong together: {crop.shape}, {region.shape}")
    size = crop.shape[0]
    out, shares = photo.copy(), np.zeros(photo.shape[:2], np.float32)
    reach = max(grow * size, 1.0)
    alpha, restored = alpha_map(region, reach, reach), np.asarray(crop, np.float32)
    slopes = np.ones(3, np.float32)
    if (match or cover) and alpha.any():
        seen = align.warp(photo, matrix, crop.shape[:2], border="replicate").astype(np.float32)
        inside = _inside(photo.shape[:2], matrix, crop.shape[:2])
        curve = tone_curve.measure(seen, inside)
        if not curve.plain:
            seen, restored = curve.neutral(seen), curve.neutral(restored)
        if match:
            restored = restored + tone.color_offset(seen, restored, region, inside)
        if cover:
            alpha = np.maximum(alpha, remains(seen, restored, region) * inside)
        if not curve.plain:
            restored, slopes = curve.toned(restored), curve.slopes
    window = _reach(alpha, matrix, photo.shape[:2], margin=tone.RING * size)
    if window is None:
        return Pasted(out, shares)
    rows, columns = window
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    to_crop = align.compose(matrix, np.array([[1.0, 0.0, columns.start], [0.0, 1.0, rows.start]]))
    to_photo = align.invert(to_crop)
    share = align.warp(alpha, to_photo, shape, border="constant", filter="linear").clip(0, 1)
    share[share < 1 / 256] = 0
    patch = align.warp(restored, to_photo, shape, border="replicate", filter="lanczos")
    original = photo[rows, columns].astype(np.float32)
    if grain:
        away = cv2.distanceTransform((share == 0).astype(np.uint8), cv2.DIST_L2, 5)
        around = (away > 1) & (away <= max(3.0, tone.RING * size / align.scale_of(matrix)))
        finest = 1 / align.scale_of(matrix)
        patch = patch + tone.grain(original, patch, around, share > 0.9, seed, finest) * slopes
    mixed = original + share[:, :, None] * (patch - original)
    changed = share > 0
    out[rows, columns][changed] = np.rint(mixed[changed]).clip(0, 255).astype(np.uint8)
    shares[rows, columns] = share
    return Pasted(out, shares)


def remains(seen: Floats, restored: Floats, region: NDArray[Any]) -> Floats:
    """What of a face mask is left beside the region, ``[S, S]`` in [0, 1]: rims and loops in its color, its shadow.

    A pixel counts if it is near the region and joined to it, and either a mixture of the restored face with the
    garment's color (:func:`tone.garment_share`) or darker than the restored face without another tint.

    Args:
        seen, restored: float32 ``[S, S, 3]``, levels 0 to 255, of one tone.
        region: ``[S, S]`` in [0, 1].
    """
    size, hidden = region.shape[0], (region > 0.5).astype(np.uint8)
    if not hidden.any():
        return np.zeros(region.shape, np.float32)
    sigma = 0.8 * size / 128
    soft = cv2.GaussianBlur(seen - restored, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    share, left = tone.garment_share(restored + soft, restored, region)
    luma, *tint = np.moveaxis(soft @ tone.OPPONENT.T, 2, 0)
    shade = -luma - np.hypot(*tint)
    stained = tone.ramp(share, *_STAIN) * (1 - tone.ramp(left, 15, 45))
    shaded = tone.ramp(shade, *_SHADE) * (1 - tone.ramp(-luma, *_DARK))
    away = cv2.distanceTransform(1 - hidden, cv2.DIST_L2, 5) / size
    found = np.maximum(stained, shaded) * np.clip((_REMAINS - away) / (0.4 * _REMAINS), 0, 1) * (1 - hidden)
    near = (found > 0.3) | (away <= GROW / 2)
    _, labels = cv2.connectedComponents(near.astype(np.uint8))
    joined = np.isin(labels, np.unique(labels[hidden > 0])) & near
    found = cv2.GaussianBlur(np.where(joined, found, 0).astype(np.float32), (0, 0), sigma)
    return np.minimum(found, _border(region.shape, 3 * size / 128)).astype(np.float32)


def _border(shape: tuple[int, ...], width: float, step: float = 1.0) -> Floats:
    """0 on the border of a picture of this shape, 1 from ``width`` inside; ``step`` is the distance of its samples."""
    rows, columns = (np.arange(side) * step for side in shape)
    edge = np.minimum.outer(np.minimum(rows, rows[::-1]), np.minimum(columns, columns[::-1]))
    return np.clip(edge / width, 0, 1).astype(np.float32)


def _inside(shape: tuple[int, int], matrix: ArrayLike, size: tuple[int, int]) -> NDArray[np.bool_]:
    """What of a crop lies inside its photo, bool ``[S, S]``."""
    whole = align.warp(np.ones(shape, np.uint8), matrix, size, border="constant", filter="nearest")
    return np.asarray(whole > 0)


def _reach(alpha: Floats, matrix: ArrayLike, shape: tuple[int, int], margin: float) -> tuple[slice, slice] | None:
    """The rectangle of the photo that the blend and the ring around it touch, None where they touch none."""
    ys, xs = np.nonzero(alpha)
    if len(ys) == 0:
        return None
    low_x, high_x = xs.min() - margin, xs.max() + margin
    low_y, high_y = ys.min() - margin, ys.max() + margin
    corners = [(low_x, low_y), (high_x, low_y), (low_x, high_y), (high_x, high_y)]
    spots = align.transform_points(corners, align.invert(matrix))
    slices = []
    for axis, extent in ((1, shape[0]), (0, shape[1])):
        start = max(0, math.floor(spots[:, axis].min()) - 2)
        stop = min(extent, math.ceil(spots[:, axis].max()) + 3)
        if stop <= start:
            return None
        slices.append(slice(start, stop))
    return slices[0], slices[1]
