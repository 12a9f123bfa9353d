"""Color and grain of a restored crop brought to those of its photo."""

from __future__ import annotations

import itertools
import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

RING = 0.10  # of the crop size: width of the ring in which colors are compared
_GAP = 0.02  # of the crop size: how far the ring keeps from the region, where shadow and remains of a mask lie
_GRID = 32  # the color offset is smooth, it is found at this size
_SPREADS = (8.0, 4.0, 2.0)  # in cells of that grid, coarse to fine
_HOLD = 0.5  # how much trust a finer offset needs to be believed over the coarser one
_LEVELS = 10.0  # differences (in levels of 255) well beyond this count as another object, not another tint
_SKIN = 40.0  # levels: pixels further than this from what is painted say little about its tint
_LIMITS = (48.0, 32.0, 32.0)  # of the offset in luma and in the two differences of color
# Share of the missing grain that is added, where a patch's pixels are as fine as the photo's and where they are coarse:
# near small faces the noise of hair and walls is taken for skin's.
_GRAIN = (0.35, 0.7)
_MAX_GRAIN = 2.5  # levels of a band: what has more was sharpened or compressed, and looks like sand
_MOST_BANDS = 4
LUMA = (0.299, 0.587, 0.114)
# luma and two differences of color (ITU-R BT.601), in which errors of light and of tint are nearly independent
OPPONENT = np.array([LUMA, (-0.169, -0.331, 0.5), (0.5, -0.419, -0.081)], np.float32)
_BACK = np.linalg.inv(OPPONENT).astype(np.float32)


def garment_share(seen: Floats, restored: Floats, region: NDArray[Any]) -> tuple[Floats, Floats]:
    """How much of the face mask's color each pixel holds, and how far that explains it.

    With the garment's color ``g`` (that seen under the region, spread outwards), a pixel that is a mixture
    of bare face and garment obeys ``seen - restored = a (g - restored)``.

    Args:
        seen, restored: float32 ``[S, S, 3]``, levels 0 to 255.
        region: ``[S, S]`` in [0, 1].

    Returns:
        ``a`` by least squares and the length of what is left, float32 ``[S, S]`` each, levels of 255 for the second;
        ``a`` is zero where garment and face have one color.
    """
    hidden = np.asarray(region > 0.5, np.float32)
    weight, worn = _shrunk(hidden), _shrunk(seen * hidden[:, :, None])
    mean = worn.sum((0, 1)) / max(float(weight.sum()), 1e-3)  # where nothing is near
    near = (_blurred(worn, 1.5) + 1e-3 * mean) / (_blurred(weight, 1.5)[:, :, None] + 1e-3)
    color = _enlarged(near, region.shape)
    towards, there = color - restored, seen - restored
    length = products(towards, towards)
    share = np.where(length > 900, products(there, towards) / np.maximum(length, 1), 0)
    left = np.sqrt(np.maximum(products(there, there) - share.clip(0, 1) ** 2 * length, 0))
    return share.astype(np.float32), left.astype(np.float32)


def products(a: Floats, b: Floats) -> Floats:
    """Scalar products [H,W] of colors [H,W,3]; numpy's own sum over so short an axis takes ten times as long."""
    return np.asarray(np.einsum("ijk,ijk->ij", a, b), np.float32)


def ramp(values: Floats, low: float, high: float) -> Floats:
    """0 up to ``low``, 1 from ``high``, smooth between."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def color_offset(
    seen: Floats,
    restored: Floats,
    region: NDArray[Any],
    inside: NDArray[Any] | None = None,
    levels: float = _LEVELS,
) -> Floats:
    """The smooth tint by which a restored crop differs from what is seen around the region.

    Both pictures show the pixels around the region. Their differences there are averaged by ever narrower
    Gaussians, from the whole ring down to its parts, each held to the coarser one where it rests on little. What
    is no tint has little say: remains of the face mask (:func:`garment_share`), colors unlike those that are
    painted (hair, cloth, background), and what disagrees with its surroundings.

    Args:
        seen, restored: float32 ``[S, S, 3]``, levels 0 to 255, the aligned photo and the restored crop.
        region: ``[S, S]`` in [0, 1].
        inside: bool ``[S, S]``, what of the crop lies in the photo; all if None.

    Returns:
        what has to be added to ``restored``, float32 ``[S, S, 3]``, zero where nothing can be compared.
    """
    size, hidden = region.shape[0], region > 0.5
    nothing = np.zeros_like(restored, dtype=np.float32)
    if not hidden.any():
        return nothing
    away = cv2.distanceTransform((~hidden).astype(np.uint8), cv2.DIST_L2, 5)
    ring = (away > _GAP * size) & (away <= (_GAP + RING) * size)
    if inside is not None:
        ring &= inside
    if ring.sum() < 12 * (size / 128) ** 2:
        return nothing
    share, _ = garment_share(seen, restored, region)
    share = share - max(float(np.median(share[ring])), 0)  # what most of the ring has is tint, not remains
    apart = np.asarray(restored - np.median(restored[hidden], axis=0), np.float32)
    unlike = products(apart, apart)
    weight = np.asarray(ring * (1 - ramp(share, 0.08, 0.35)) * np.exp(-unlike / (2 * _SKIN**2)), np.float32)
    trust = _shrunk(weight)
    if (trust > 0.05).sum() < 4:
        return nothing
    weighted = _shrunk(((seen - restored) @ OPPONENT.T) * weight[:, :, None])
    difference = np.asarray(weighted / np.maximum(trust, 1e-3)[:, :, None], np.float32)
    offset = np.asarray(np.median(difference[trust > 0.05], axis=0), np.float32)
    for _ in range(3):  # reweighted: what disagrees with the offset loses its say
        misfit = np.square(difference - offset).sum(2)
        offset = _spread(difference, np.asarray(trust / (1 + misfit / levels**2) ** 2, np.float32))
    limits = np.array(_LIMITS, np.float32)
    return _enlarged(np.asarray(np.clip(offset, -limits, limits) @ _BACK.T, np.float32), region.shape)


def _spread(values: Floats, trust: Floats) -> Floats:
    """Values ``[h, w, C]`` known where trusted, carried everywhere, coarse to fine."""
    weighted = values * trust[:, :, None]
    out = np.broadcast_to(weighted.sum((0, 1)) / (trust.sum() + 1), values.shape)
    for width in _SPREADS:
        out = (_blurred(weighted, width) + _HOLD * out) / (_blurred(trust, width)[:, :, None] + _HOLD)
    return np.asarray(out, np.float32)


def _blurred(values: Floats, sigma: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float32)


def _shrunk(values: NDArray[Any]) -> Floats:
    small = cv2.resize(np.asarray(values, np.float32), (_GRID, _GRID), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def _enlarged(values: Floats, shape: tuple[int, ...]) -> Floats:
    return np.asarray(cv2.resize(values, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), np.float32)


def _bands(gray: Floats, finest: float) -> list[Floats]:
    """Detail of about one, two, four ... pixels, up to that of pictures of which a pixel is ``finest`` pixels here."""
    widths = [0.8, 1.6]
    while widths[-1] < 1.2 * finest and len(widths) < _MOST_BANDS:
        widths.append(2 * widths[-1])
    steps = [gray, *(cv2.GaussianBlur(gray, (0, 0), width) for width in widths)]
    return [np.asarray(fine - coarse, np.float32) for fine, coarse in itertools.pairwise(steps)]


def _power(band: Floats, where: NDArray[np.bool_]) -> float:
    """Power of the noise: that of the flatter places, where there is little else."""
    local = cv2.boxFilter(band * band, -1, (7, 7))[where]
    return float(np.percentile(local, 30)) if len(local) >= 64 else 0.0


def grain(
    photo: Floats,
    patch: Floats,
    around: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    seed: int,
    finest: float = 1.0,
) -> Floats:
    """Noise that gives a patch the grain of the skin around it, camera's and pores' alike, band by band.

    Args:
        photo, patch: float32 ``[h, w, 3]``, levels 0 to 255.
        around, inside: bool ``[h, w]``, where the photo and where the patch shows.
        seed: of the noise.
        finest: pixels of the photo in one of the picture that the patch was made of, finer than which it has nothing.

    Returns:
        float32 ``[h, w, 1]``, to be added to the patch; the same for the same seed.
    """
    weights = np.array(LUMA, np.float32)
    noise = np.random.default_rng(seed).normal(size=photo.shape[:2]).astype(np.float32)
    out = np.zeros(photo.shape[:2], np.float32)
    amount = float(np.interp(finest, (1, 2), _GRAIN))
    skin = around & _alike(photo, patch, inside)  # hair and cloth beside it have more
    bands = zip(*(_bands(gray, finest) for gray in (photo @ weights, patch @ weights, noise)), strict=True)
    for there, here, fresh in bands:
        missing = _power(there, skin) - _power(here, inside)
        if missing > 0:
            out += fresh * (min(amount * math.sqrt(missing), _MAX_GRAIN) / max(float(fresh.std()), 1e-6))
    return out[:, :, None]


def _alike(photo: Floats, patch: Floats, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a photo has about the color of a patch."""
    if not inside.any():
        return np.zeros(inside.shape, bool)
    apart = np.asarray(cv2.GaussianBlur(photo, (0, 0), 2) - np.median(patch[inside], axis=0), np.float32)
    return np.asarray(products(apart, apart) < _SKIN**2)
