"""How a photo was toned (black and white, sepia, night vision, colored stage light), and the way there and back.

A photo of one hue, whatever it is, lies on a curve in the space of colors: each color follows from its lightness. That
is measured, no tint is assumed. Models were taught on natural photos, so they see such a photo in gray, and what they
paint goes back along the photo's own curve. Light of another color than any daylight is a factor for each channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from . import tone

Floats = NDArray[np.float32]

# Levels of color besides the curve: photos of one hue have up to 2.8 (JPEG of quality 40), portraits before gray 3.5.
COLORLESS = (2.8, 3.5)
CAST = (1.2, 1.9)  # octaves between the channels beyond those of natural faces: none is light, more is stage light
_USUAL = (0.37, -0.21)  # octaves of red and blue over green around the eyes in natural crops of faces, the median
_EYES = (slice(0.28, 0.52), slice(0.28, 0.72))  # of a crop: skin above most face masks
_STEP = 4  # levels of lightness in which the curve is measured
_SIDE = 128  # larger crops are shrunk to some such side first: what is measured is coarser
_SMOOTH = 0.07  # of the crop size: noise of compression is finer, colors of things are not
_LUMA = np.array((0.299, 0.587, 0.114), np.float32)
_BLACK = 4.0  # levels added to a channel's mean before it is compared: below there is noise


@dataclass(frozen=True)
class ToneCurve:
    """The tone of one photo, measured on a crop.

    Attributes:
        colored: 1 for photos in color, 0 for those of one hue.
        weights: of the channels in the lightness, [3], sum 1.
        knots, curve: lightness [K], rising, and the color there [K,3], levels.
        gains: by which the channels are multiplied to look like daylight, [3]; ones for nearly all photos.
    """

    colored: float
    weights: Floats
    knots: Floats
    curve: Floats
    gains: Floats

    @property
    def plain(self) -> bool:
        """Whether this is an ordinary photo, which stays as it is."""
        return self.colored == 1 and bool((self.gains == 1).all())

    def neutral(self, levels: Floats) -> Floats:
        """Colors [...,3] of the photo as they would be in daylight, or gray."""
        light = (levels @ self.weights)[..., None]
        return np.asarray(self.colored * levels * self.gains + (1 - self.colored) * light, np.float32)

    def toned(self, levels: Floats) -> Floats:
        """Natural colors [...,3] as the photo would show them: :meth:`neutral` undone for what is in the photo."""
        light = levels @ _LUMA
        on_curve = np.stack([_follow(light, self.knots, self.curve[:, k]) for k in range(3)], -1)
        return np.asarray(self.colored * levels / self.gains + (1 - self.colored) * on_curve, np.float32)

    @property
    def slopes(self) -> Floats:
        """How much of a change in luma each channel shows, [3]."""
        rise = np.maximum(self.curve[-1] - self.curve[0], 0)
        rise = rise / max(float(rise @ _LUMA), 1e-3)
        return np.asarray(self.colored + (1 - self.colored) * rise, np.float32)


def measure(seen: Floats, inside: NDArray[np.bool_] | None = None) -> ToneCurve:
    """The tone of a photo from a crop of it, float32 [S,S,3] in levels; ``inside``: what of the crop is photo."""
    if inside is not None and inside.mean() < 0.05:
        inside = None
    if (times := seen.shape[0] // _SIDE) > 1:
        side = seen.shape[0] // times
        inside = None if inside is None else _shrunk(inside.astype(np.float32), side) > 0.5
        seen = _shrunk(seen, side)
    colors = seen[inside] if inside is not None else seen.reshape(-1, 3)
    spread = colors.std(axis=0) + 1e-3
    weights = np.asarray(spread / spread.sum(), np.float32)
    knots, curve = _curve(colors, weights)
    light = seen @ weights
    besides = seen - np.stack([_follow(light, knots, curve[:, k]) for k in range(3)], -1)
    side = max(3, round(_SMOOTH * seen.shape[0]) | 1)
    besides = np.asarray(cv2.blur(besides, (side, side)), np.float32)
    square = tone.products(besides, besides)
    color = float(np.sqrt((square[inside] if inside is not None else square).mean()))
    colored = float(np.clip((color - COLORLESS[0]) / (COLORLESS[1] - COLORLESS[0]), 0, 1))
    return ToneCurve(colored, weights, knots, curve, _gains(seen, inside) if colored else np.ones(3, np.float32))


def _shrunk(values: Floats, side: int) -> Floats:
    return np.asarray(cv2.resize(values, (side, side), interpolation=cv2.INTER_AREA), np.float32)


def _curve(colors: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Mean lightness and color in steps of lightness; beyond them the curve goes on as the colors do on the whole."""
    light = colors @ weights
    place = np.clip((light / _STEP).astype(int), 0, 255 // _STEP)
    count = np.bincount(place)
    full = count >= max(1, min(6, len(colors) // 200))
    mean = [np.bincount(place, one)[full] / count[full] for one in (light, *colors.T)]
    knots, curve = mean[0], np.stack(mean[1:], -1)
    middle = colors - colors.mean(axis=0)
    along = light - light.mean()
    slope = np.asarray((middle * along[:, None]).sum(axis=0) / max(float((along * along).sum()), 1e-3), np.float32)
    slope = slope if float(slope @ weights) > 0.5 else np.ones(3, np.float32)
    ends = np.array([min(0.0, knots[0] - 1e-3), max(255.0, knots[-1] + 1e-3)])
    low, high = (np.asarray(curve[i] + (ends[i] - knots[i]) * slope) for i in (0, -1))
    return (
        np.concatenate([ends[:1], knots, ends[1:]]).astype(np.float32),
        np.concatenate([low[None], curve, high[None]]).clip(0, 255).astype(np.float32),
    )


def _follow(light: Floats, knots: Floats, values: Floats) -> Floats:
    return np.asarray(np.interp(light, knots, values), np.float32)


def _gains(seen: Floats, inside: NDArray[np.bool_] | None) -> Floats:
    """What takes an unnatural cast away, [3]; ones where the colors may well be natural.

    The face itself tells the light, around the eyes, where it is bare; a garment has colors of its own. The channel
    that the light shows best stays as it is, since that is the one for which the photo was exposed.
    """
    rows, columns = (slice(round(s.start * n), round(s.stop * n)) for s, n in zip(_EYES, seen.shape, strict=False))
    around = np.zeros(seen.shape[:2], bool)
    around[rows, columns] = True
    if inside is not None:
        around = around & inside if (around & inside).any() else inside
    mean = seen[around].mean(axis=0) + _BLACK
    octaves = np.log2(mean[[0, 2]] / mean[1]) - np.array(_USUAL)
    far = float(np.hypot(*octaves))
    share = float(np.clip((far - CAST[0]) / (CAST[1] - CAST[0]), 0, 1))
    gains = 2.0 ** (-share * np.array([octaves[0], 0.0, octaves[1]]))
    return np.asarray(gains / gains.min(), np.float32) if share else np.ones(3, np.float32)


def curves_of(x: Floats) -> list[ToneCurve]:
    """The tone of each crop [N,3,S,S] in [-1,1]."""
    return [measure(levels) for levels in _levels(x)]


def neutral(x: Floats, curves: Sequence[ToneCurve]) -> Floats:
    """Crops [N,3,S,S] in [-1,1] in daylight or gray; ordinary ones, and all of ``x`` if all are, as they are."""
    if all(one.plain for one in curves):
        return x
    rows = zip(curves, x, _levels(x), strict=True)
    return np.stack([row if one.plain else _row(one.neutral(levels)) for one, row, levels in rows])


def toned(y: Floats, curves: Sequence[ToneCurve]) -> Floats:
    """:func:`neutral` undone: crops [N,3,S,S] in [-1,1] in the tone of their photos."""
    if all(one.plain for one in curves):
        return y
    rows = zip(curves, y, _levels(y), strict=True)
    return np.stack([row if one.plain else _row(one.toned(levels)) for one, row, levels in rows])


def _levels(x: Floats) -> list[Floats]:
    return list(np.ascontiguousarray(((x + 1) * np.float32(127.5)).transpose(0, 2, 3, 1)))


def _row(levels: Floats) -> Floats:
    return np.asarray((levels.transpose(2, 0, 1) / 127.5 - 1).clip(-1, 1), np.float32)
