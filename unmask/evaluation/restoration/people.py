"""Whom a face shows, as far as pictures, points and names tell: skin, cheeks, tone of skin, view, light, age, groups.

Tones of skin are estimates: they follow the light of the photo as well as the skin.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import UsageError

__all__ = ["TONES", "cheeks", "lab", "labels", "light", "mean_color", "noted", "skin", "tone", "view"]

TURNED = 0.2  # of the distance between the eyes: from here on off their middle, the nose is that of a turned face
DIM = 0.5  # of white: below, nine tenths of the pixels around the face are darker
LEAST = 20.0  # pixels that a mean color should rest on
# individual typology angle in degrees (Chardon et al. 1991; Del Bino and Bernerd 2013): lower end -> word
TONES = {55.0: "very light", 41.0: "light", 28.0: "intermediate", 10.0: "tan", -30.0: "brown", -91.0: "dark"}
_WHITE = (0.95047, 1.0, 1.08883)  # D65
_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)  # linear sRGB to XYZ
_UTK = re.compile(r"(?:^|/)(\d{1,3})_([01])_([0-4])_\d+")  # age_gender_race_date
_GENDERS = ("male", "female")
_RACES = ("white", "black", "asian", "indian", "other")


def lab(image: Tensor) -> Tensor:
    """CIE L*a*b* of D65 of sRGB pictures, [N,3,H,W] in [-1,1] -> float64 [N,3,H,W].

    The formula itself: OpenCV's conversion of floats reads a table of 33 cells a side and is up to 0.4 off.
    """
    value = ((image.double() + 1) / 2).clamp(0, 1)
    linear = torch.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    matrix = torch.tensor(_XYZ, dtype=torch.float64, device=image.device)
    white = torch.tensor(_WHITE, dtype=torch.float64, device=image.device).view(1, 3, 1, 1)
    xyz = torch.einsum("ij,njhw->nihw", matrix, linear) / white
    f = torch.where(xyz > (6 / 29) ** 3, xyz.clamp_min(1e-12) ** (1 / 3), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = f.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def cheeks(points: NDArray[np.float32], size: int) -> Tensor:
    """Both cheeks of faces by their five points [N,5,2] in crops of a size, [N,1,S,S] of 0 and 1.

    Discs of 0.22 eye distances, on the way from eye to mouth corner a little outwards.
    """
    eyes, mouth = points[:, :2], points[:, 3:]
    apart = np.linalg.norm(eyes[:, 1] - eyes[:, 0], axis=1)[:, None]  # [N,1]
    across = (eyes[:, 1] - eyes[:, 0]) / 10
    middles = 0.4 * eyes + 0.6 * mouth + np.stack([-across, across], 1)
    return _discs(middles, np.repeat(0.22 * apart, 2, 1), size)


def skin(points: NDArray[np.float32], size: int) -> Tensor:
    """Where skin is expected and a face mask seldom is: forehead, bridge of the nose, below the eyes; as above."""
    eyes = points[:, :2]
    middle, across = eyes.mean(1), eyes[:, 1] - eyes[:, 0]
    down = np.stack([-across[:, 1], across[:, 0]], 1)  # as long as the eyes are apart
    apart = np.linalg.norm(across, axis=1)[:, None]
    middles = np.stack([middle - 0.55 * down, middle + 0.2 * down, *(eyes[:, i] + 0.35 * down for i in (0, 1))], 1)
    return _discs(middles, apart * np.array([[0.3, 0.12, 0.14, 0.14]]), size)


def _discs(middles: NDArray[np.floating], radii: NDArray[np.floating], size: int) -> Tensor:
    """The union of discs, middles [N,K,2] and radii [N,K] in pixels -> [N,1,S,S]."""
    at = np.arange(size)
    away = (at[None, None, None, :] - middles[:, :, 0, None, None]) ** 2
    away = away + (at[None, None, :, None] - middles[:, :, 1, None, None]) ** 2
    return torch.from_numpy((away <= radii[:, :, None, None] ** 2).any(1)[:, None]).float()


def mean_color(image: Tensor, where: Tensor) -> Tensor:
    """Mean L*a*b* over a part of each picture: [N,3,H,W] in [-1,1], [N,1,H,W] -> [N,3], NaN below 20 pixels."""
    weight = where.double()
    total = weight.sum((1, 2, 3))
    mean = (lab(image) * weight).sum((2, 3)) / total[:, None]
    return torch.where((total >= LEAST)[:, None], mean, torch.full_like(mean, torch.nan))


def tone(color: Sequence[float]) -> str:
    """A word for the mean L*a*b* of skin by its typology angle ``atan2(L - 50, b)``; "unknown" for NaN."""
    light, _, yellow = (float(v) for v in color)
    if not np.isfinite(light):
        return "unknown"
    angle = float(np.degrees(np.arctan2(light - 50, max(yellow, 1e-6))))
    return next(word for low, word in TONES.items() if angle > low)


def labels(name: str) -> dict[str, str]:
    """Age, gender and race of a file named as UTKFace names them; empty for another name."""
    found = _UTK.search(name)
    if found is None:
        return {}
    age, gender, race = (int(text) for text in found.groups())
    decade = "0-9" if age < 10 else "10-19" if age < 20 else "20-39" if age < 40 else "40-59" if age < 60 else "60+"
    return {"age (label)": decade, "gender (label)": _GENDERS[gender], "race (label)": _RACES[race]}


def view(points: NDArray[np.floating]) -> list[str]:
    """The view of faces by their five points [N,5,2], "frontal" or "turned": is the nose off the middle of the eyes."""
    points = np.asarray(points, np.float64)
    across = points[:, 1] - points[:, 0]
    off = ((points[:, 2] - points[:, :2].mean(1)) * across).sum(1) / (across**2).sum(1).clip(1e-9)
    return ["turned" if one else "frontal" for one in np.abs(off) > TURNED]


def light(image: Tensor) -> list[str]:
    """The light of crops [N,3,S,S], "dim" or "bright": by the ninth decile of luma, but for the border and the hair."""
    size = image.shape[-1]
    inner = (image.double()[:, :, size // 4 : size * 7 // 8, size * 3 // 16 : size * 13 // 16] + 1) / 2
    luma = (inner * inner.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1).flatten(1)
    return ["dim" if float(one) < DIM else "bright" for one in torch.quantile(luma, 0.9, dim=1)]


def noted(file: str | Path, names: Sequence[str]) -> dict[str, list[str]]:
    """Groups that somebody noted by eye, from a JSON object ``{"faces": [...], "labels": {label: [...]}}`` of names.

    Each of ``names`` is "yes" or "no" for every label, or "unknown" where it is none of the ``faces`` looked at. Raises
    UsageError for a file that is not like that or knows none of the names.
    """
    try:
        content = json.loads(Path(file).read_text(encoding="utf-8"))
        looked_at = {str(name) for name in content["faces"]}
        told = {str(label): {str(name) for name in own} for label, own in dict(content["labels"]).items()}
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        cure = 'give {"faces": [names], "labels": {label: [names]}}'
        raise UsageError(f"{file}: not readable as labels ({error}); {cure}") from None
    if not looked_at & set(names):
        raise UsageError(f"{file}: tells of none of these faces; give the labels of this split")
    return {
        f"{label} (noted)": [("yes" if n in own else "no") if n in looked_at else "unknown" for n in names]
        for label, own in told.items()
    }
