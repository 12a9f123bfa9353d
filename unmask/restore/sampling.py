"""What fills the region of aligned crops: one guess, or several that differ as much as the model is in doubt."""

from __future__ import annotations

import cv2
import numpy as np

from ..engines.unmaskers import Inverter
from ..errors import UsageError
from ..faces import tone_curve
from ..faces.blend import Fill, Floats, Painted
from ..faces.tone import LUMA

VARIANTS = 24  # inputs with more of the face hidden, from whose codes the doubt is measured
REACH = 2.0  # length of a step from the one guess, in standard deviations of those codes
DRAWN = 3  # candidates for each sample that is kept
TINT = 0.25  # share of a difference in color that is kept; shapes and shades are kept whole
CELL = 8  # differences that are smooth over an eighth of the crop are light, not a face, and are dropped


def seeded(fill: Fill, seed: int) -> Fill:
    """The fill with its generator's noise drawn anew; seed 0 is the noise stored in the checkpoint."""
    return fill.seeded(seed) if isinstance(fill, Inverter) and seed else fill


def toned(fill: Fill, x: Floats, painted: Painted, count: int, seed: int) -> list[Floats]:
    """:func:`several` for photos of any tone: drawn in natural colors, and given the photo's own again.

    Args:
        x: crops [N,3,S,S] in [-1,1], as the photo has them.
        painted: the one guess, which is among those given back, unchanged.

    Returns:
        ``count`` times [N,3,S,S].
    """
    curves = tone_curve.curves_of(x)
    natural, plain = tone_curve.neutral(x, curves), tone_curve.neutral(painted.whole, curves)
    found = []
    for one in several(fill, natural, painted.region, plain, count, seed):
        own = (one == plain).all(axis=(1, 2, 3), keepdims=True)
        found.append(np.where(own, painted.whole, tone_curve.toned(one, curves)))
    return found


def several(fill: Fill, x: Floats, region: Floats, restored: Floats, count: int, seed: int = 0) -> Floats:
    """``count`` guesses for each crop, those that agree best with the visible pixels first.

    The doubt is measured on the model itself: it sees the crop with other parts hidden as well, and a candidate is the
    one guess plus a Gaussian step along the differences of those codes and skip features. The generator's noise alone
    would hardly change a face. Of ``DRAWN`` times as many candidates the best are kept, and the one guess always is.

    Args:
        x, region: [N,3,S,S] in [-1,1] and [N,1,S,S].
        guess: [N,3,S,S] in [-1,1], what the fill makes of them.

    Returns:
        [count,N,3,S,S] in [-1,1].

    Raises:
        UsageError: the fill has no codes.
    """
    if not isinstance(fill, Inverter):
        raise UsageError("samples: this way to fill gives a single guess; use an unmasker")
    drawn = np.random.default_rng(seed)
    rows = [slice(i, i + 1) for i in range(len(x))]
    return np.stack([_of_one(fill, x[i], region[i], restored[i], count, drawn) for i in rows], 1)


def _of_one(fill: Inverter, x: Floats, region: Floats, plain: Floats, count: int, drawn: np.random.Generator) -> Floats:
    """The guesses [count,3,S,S] for a single crop."""
    ws, skips = fill.codes(x, region)
    hidden = hidden_more(region, VARIANTS, drawn)
    other_ws, other_skips = fill.codes(np.repeat(x, VARIANTS, 0), hidden)
    steps = drawn.standard_normal((DRAWN * (count - 1), VARIANTS), np.float32)
    steps = REACH * steps / np.linalg.norm(steps, axis=1, keepdims=True).clip(1e-6)

    def stepped(at: Floats, others: Floats) -> Floats:
        return np.asarray(at + np.tensordot(steps, others - others.mean(0), 1), np.float32)

    moved = {r: stepped(s, other_skips[r]) for r, s in skips.items() if r < x.shape[3]}
    if x.shape[3] in skips:  # what is seen of the crop, which is known
        moved[x.shape[3]] = np.repeat(skips[x.shape[3]], len(steps), 0)
    y = fill.synthesis(stepped(ws, other_ws), moved)
    best = _misfit(y, x, region).argsort(kind="stable")[: count - 1]
    found = np.concatenate([plain, plain + as_shape((y[best] - plain).clip(-1, 1))]).clip(-1, 1)
    return np.asarray(found[_misfit(found, x, region).argsort(kind="stable")], np.float32)


def _misfit(y: Floats, x: Floats, region: Floats) -> Floats:
    """How far pictures [K,3,S,S] are from the visible pixels of a crop, [K]."""
    return np.asarray((np.abs(y - x) * (1 - region)).mean((1, 2, 3)))


def hidden_more(region: Floats, count: int, drawn: np.random.Generator) -> Floats:
    """``count`` regions [count,1,S,S] that hide what ``region`` [1,1,S,S] hides and three random rectangles more."""
    side = region.shape[2]
    out = np.repeat(region, count, 0)
    for one in out:
        for _ in range(3):
            place, size = drawn.random(2), 0.15 + 0.45 * drawn.random(2)
            top, left = ((place * (1 - size)) * side).astype(int)
            height, width = (size * side).astype(int)
            one[:, top : top + height, left : left + width] = 1
    return out


def as_shape(difference: Floats) -> Floats:
    """Differences of pictures [N,3,S,S] without what is a tint or a light: color and what is smooth over the crop."""
    luma = (difference * np.array(LUMA, np.float32)[:, None, None]).sum(1, keepdims=True)
    kept = luma + np.float32(TINT) * (difference - luma)
    return np.asarray(kept - np.stack([_smooth(one) for one in kept]), np.float32)


def _smooth(picture: Floats) -> Floats:
    """What of a picture [3,S,S] is smooth over its cells."""
    levels = np.ascontiguousarray(picture.transpose(1, 2, 0))
    cells = cv2.resize(levels, (CELL, CELL), interpolation=cv2.INTER_AREA)
    smooth = cv2.resize(cells, levels.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth.transpose(2, 0, 1), np.float32)
