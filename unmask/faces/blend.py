"""Putting a restored crop back into its photo so that no seam shows and nothing else changes."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import torch.nn.functional as functional
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from . import align

Floats = NDArray[np.float32]

COLOURLESS = (0.03, 0.12)  # spread of colours in a black-and-white photo, and in the palest of coloured ones
GROW = 0.024  # of the crop size: how far the blend reaches beyond the region; the feather fills this band
_RING = 0.10  # of the crop size: width of the ring in which colours are compared
_GAP = (
    0.02  # of the crop size: how far the ring keeps from the region, where shadow and remains of a mask lie
)
_MATCH_SIZE = 32  # the colour offset is smooth, it is solved at this size
_LEVELS = 10.0  # differences (in levels of 255) well beyond this count as another object, not another tint
_MAX_OFFSET = 48.0
_GRAIN = 0.35  # share of the missing grain that is added: all of it looks like sand where hair or cloth is near
_MAX_GRAIN = 1.6


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


def grown(region: Tensor, margin: float = 1 / 64) -> Tensor:
    """A region ``[N, 1, H, W]`` wider by ``margin`` of its height, since a face mask left standing at its rim shows."""
    radius = round(margin * region.shape[2])
    return functional.max_pool2d(region, 2 * radius + 1, stride=1, padding=radius) if radius else region


def feathered(region: Tensor, feather: int | None = None) -> Tensor:
    """The alpha of :func:`composite`, ``[N, 1, H, W]``."""
    radius = round(region.shape[2] / 128) if feather is None else feather
    if radius <= 0:
        return region
    width = 2 * radius + 1
    grown = functional.max_pool2d(region, width, stride=1, padding=radius)
    padded = functional.pad(grown, (radius,) * 4, mode="replicate")
    return functional.avg_pool2d(padded, width, stride=1)


def as_colourful(seen: Tensor, whole: Tensor) -> Tensor:
    """Restored faces [N,3,S,S] with no more colour than the photo has: none in black-and-white or toned ones."""
    red, green, blue = seen.unbind(1)
    variety = (red - green).std(dim=(1, 2)) + (blue - green).std(dim=(1, 2))  # [N]; a tint alone has none
    low, high = COLOURLESS
    keep = ((variety - low) / (high - low)).clamp(0, 1).view(-1, 1, 1, 1)
    luma = (whole * whole.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    return luma + keep * (whole - luma)


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
    rows, columns = np.arange(2 * height) / 2, np.arange(2 * width) / 2
    edge = np.minimum.outer(np.minimum(rows, rows[::-1]), np.minimum(columns, columns[::-1]))
    ramp = np.minimum(ramp, np.clip(edge / max(feather, 1.0), 0, 1)).astype(np.float32)
    ramp = ramp * ramp * (3 - 2 * ramp)
    return cv2.resize(ramp, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)


def colour_offset(seen: Floats, restored: Floats, region: NDArray[Any], levels: float = _LEVELS) -> Floats:
    """The smooth tint by which a restored crop differs from what is seen around the region.

    Both pictures show the pixels around the region; their difference there, carried into the region by a
    membrane, is what has to be added. It solves ``min sum w (o - d)^2 + k |grad o|^2`` at low resolution,
    with weights ``w`` on a ring around the region that fall for differences that are no tint (hair,
    background, remains of the mask).

    Args:
        seen, restored: ``[S, S, 3]``, levels 0 to 255, the aligned photo and the restored crop.
        region: ``[S, S]`` in [0, 1].

    Returns:
        float32 ``[S, S, 3]``, zero where nothing can be compared.
    """
    size = region.shape[0]
    away = cv2.distanceTransform((region <= 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    ring = ((away > _GAP * size) & (away <= (_GAP + _RING) * size)).astype(np.float32)
    if ring.sum() < 12:
        return np.zeros_like(restored, dtype=np.float32)
    small = (_MATCH_SIZE, _MATCH_SIZE)
    weight = cv2.resize(ring, small, interpolation=cv2.INTER_AREA)
    blurred = cv2.resize((seen - restored) * ring[:, :, None], small, interpolation=cv2.INTER_AREA)
    difference = blurred / np.maximum(weight, 1e-3)[:, :, None]
    known = difference[weight > 0.2]
    if len(known) < 4:
        return np.zeros_like(restored, dtype=np.float32)
    offset = np.broadcast_to(np.median(known, axis=0), difference.shape)
    for _ in range(3):  # reweighted: what disagrees with the membrane loses its say
        misfit = np.abs(difference - offset).max(axis=2)
        trusted = weight / (1 + (misfit / levels) ** 2) ** 2
        offset = _membrane(difference, trusted, offset)
    offset = np.clip(offset, -_MAX_OFFSET, _MAX_OFFSET).astype(np.float32)
    return cv2.resize(offset, region.shape[::-1], interpolation=cv2.INTER_CUBIC)


def _membrane(
    values: NDArray[Any], weight: NDArray[Any], start: NDArray[Any], stiffness: float = 2.0
) -> NDArray[Any]:
    """Conjugate gradients on ``(w + k L) o = w d``, L the Laplacian of the pixel grid; ``[h, w, C]``."""
    w = weight[:, :, None].astype(np.float64)

    def apply(o: NDArray[Any]) -> NDArray[Any]:
        down, right = np.diff(o, axis=0), np.diff(o, axis=1)
        out = w * o
        out[:-1] -= stiffness * down
        out[1:] += stiffness * down
        out[:, :-1] -= stiffness * right
        out[:, 1:] += stiffness * right
        return out

    solution = np.array(start, dtype=np.float64)
    residual = w * values - apply(solution)
    direction = residual.copy()
    power = (residual**2).sum(axis=(0, 1))
    target = power * 1e-5 + 1e-6
    for _ in range(100):
        if (power <= target).all():
            break
        image = apply(direction)
        step = power / np.maximum((direction * image).sum(axis=(0, 1)), 1e-12)
        solution += step * direction
        residual -= step * image
        fresh = (residual**2).sum(axis=(0, 1))
        direction = residual + fresh / np.maximum(power, 1e-12) * direction
        power = fresh
    return solution


def _bands(grey: Floats) -> list[Floats]:
    """Detail of about one and about two pixels."""
    fine = cv2.GaussianBlur(grey, (0, 0), 0.8)
    coarse = cv2.GaussianBlur(grey, (0, 0), 1.6)
    return [grey - fine, fine - coarse]


def _power(band: Floats, where: NDArray[np.bool_]) -> float:
    """Power of the noise: that of the flatter places, where there is little else."""
    local = cv2.boxFilter(band * band, -1, (7, 7))[where]
    return float(np.percentile(local, 30)) if len(local) >= 64 else 0.0


def _grain(
    photo: Floats, patch: Floats, around: NDArray[np.bool_], inside: NDArray[np.bool_], seed: int
) -> Floats:
    """Noise ``[h, w, 1]`` that brings the patch to the grain of the photo around it, band by band."""
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    noise = np.random.default_rng(seed).normal(size=photo.shape[:2]).astype(np.float32)
    out = np.zeros(photo.shape[:2], np.float32)
    bands = zip(_bands(photo @ weights), _bands(patch @ weights), _bands(noise), strict=True)
    for there, here, fresh in bands:
        missing = _power(there, around) - _power(here, inside)
        if missing > 0:
            out += fresh * (min(_GRAIN * math.sqrt(missing), _MAX_GRAIN) / max(float(fresh.std()), 1e-6))
    return out[:, :, None]


def paste(
    photo: NDArray[np.uint8],
    crop: NDArray[Any],
    region: NDArray[Any],
    matrix: ArrayLike,
    *,
    grow: float = GROW,
    match: bool = True,
    grain: bool = True,
    seed: int = 0,
) -> NDArray[np.uint8]:
    """The photo with the restored crop put back; see :func:`paste_mapped`."""
    return paste_mapped(photo, crop, region, matrix, grow=grow, match=match, grain=grain, seed=seed)[0]


def paste_mapped(
    photo: NDArray[np.uint8],
    crop: NDArray[Any],
    region: NDArray[Any],
    matrix: ArrayLike,
    *,
    grow: float = GROW,
    match: bool = True,
    grain: bool = True,
    seed: int = 0,
) -> tuple[NDArray[np.uint8], Floats]:
    """Put a restored crop back into its photo, and say where.

    Args:
        photo: uint8 ``[H, W, 3]``; not modified.
        crop: restored crop ``[S, S, 3]``, uint8, or float in levels 0 to 255. It should show the pixels
            around the region as the model restored them, not as copied from the photo: colours are compared
            there, and the feather blends the two.
        region: ``[S, S]`` in [0, 1], 1 = hidden by the face mask, in crop coordinates.
        matrix: ``[2, 3]``, photo to crop.
        grow: reach of the blend beyond the region, as a share of S.
        match: bring the crop's colours to those of the photo around the region.
        grain: give a patch smoother than the photo around it some of its grain.
        seed: of the grain.

    Returns:
        a new photo, bit-identical wherever the map is zero, and the map: float32 ``[H, W]``, the share of the
        restored crop in each pixel.
    """
    if crop.ndim != 3 or crop.shape[2] != 3 or region.shape != crop.shape[:2]:
        raise ValueError(
            f"a crop [S, S, 3] and its region [S, S] belong together: {crop.shape}, {region.shape}"
        )
    size = crop.shape[0]
    out, shares = photo.copy(), np.zeros(photo.shape[:2], np.float32)
    reach = max(grow * size, 1.0)
    alpha = alpha_map(region, reach, reach)
    window = _reach(alpha, matrix, photo.shape[:2], margin=_RING * size)
    if window is None:
        return out, shares
    rows, columns = window
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    to_crop = align.compose(matrix, np.array([[1.0, 0.0, columns.start], [0.0, 1.0, rows.start]]))
    to_photo = align.invert(to_crop)
    restored = np.asarray(crop, dtype=np.float32)
    if match:
        seen = align.warp(photo, matrix, crop.shape[:2], border="replicate").astype(np.float32)
        restored = restored + colour_offset(seen, restored, _known(region, matrix, photo.shape[:2]))
    share = align.warp(alpha, to_photo, shape, border="constant", filter="linear").clip(0, 1)
    share[share < 1 / 256] = 0
    patch = align.warp(restored, to_photo, shape, border="replicate", filter="lanczos")
    original = photo[rows, columns].astype(np.float32)
    if grain:
        away = cv2.distanceTransform((share == 0).astype(np.uint8), cv2.DIST_L2, 5)
        around = (away > 1) & (away <= max(3.0, _RING * size / align.scale_of(matrix)))
        patch = patch + _grain(original, patch, around, share > 0.9, seed)
    mixed = original + share[:, :, None] * (patch - original)
    changed = share > 0
    out[rows, columns][changed] = np.rint(mixed[changed]).clip(0, 255).astype(np.uint8)
    shares[rows, columns] = share
    return out, shares


def _known(region: NDArray[Any], matrix: ArrayLike, shape: tuple[int, int]) -> Floats:
    """The region, and all of the crop that lies outside the photo: neither can be compared with it."""
    height, width = region.shape
    inside = align.warp(
        np.ones(shape, np.uint8), matrix, (height, width), border="constant", filter="nearest"
    )
    return np.where(inside > 0, region, 1).astype(np.float32)


def _reach(
    alpha: Floats, matrix: ArrayLike, shape: tuple[int, int], margin: float
) -> tuple[slice, slice] | None:
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
