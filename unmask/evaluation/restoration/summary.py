"""From figures per face to tables: means over all faces and over groups, and the group a restorer serves worst."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import tables
from . import quality
from .measure import Results

__all__ = ["COLUMNS", "FAIR", "rows", "summary", "worst_groups"]

# figure -> (heading, digits); the order of the tables
COLUMNS = {
    "psnr": ("PSNR dB", 2),
    "ssim": ("SSIM", 4),
    "psnr_region": ("region PSNR dB", 2),
    "ssim_region": ("region SSIM", 3),
    "lpips": ("LPIPS", 4),
    "lpips_region": ("region LPIPS", 3),
    "identity": ("identity", 3),
    "frechet": ("Fréchet", 4),
    "precision": ("precision", 2),
    "recall": ("recall", 2),
    "sharpness": ("sharpness", 2),
    "seam": ("seam", 2),
    "cheek": ("cheek ΔE", 2),
    "cheek_skin": ("cheek to skin", 2),
}
OPTIONAL = ("lpips", "lpips_region")  # columns only where measured
RATIOS = {  # figure -> two sums over faces: of the restored and of the true ones
    "sharpness": ("gradient", "gradient_true"),
    "seam": ("jump", "jump_true"),
    "cheek_skin": ("from_skin", "from_skin_true"),
}
FAIR = ("source", "skin (estimated)", "age (label)", "gender (label)", "race (label)")  # groups of people
LEAST = 20  # faces in a group that may be called the worst


def summary(results: Results) -> dict[str, Any]:
    """Means per restorer over all faces and over each group, as plain values for JSON."""
    everyone = np.ones(len(results.coverage), bool)
    out: dict[str, Any] = {"all": _summary_of(results, everyone)}
    for group, words in results.groups.items():
        for word in sorted(set(words)):
            out[f"{group}: {word}"] = _summary_of(results, np.array([w == word for w in words]))
    return out


def _summary_of(results: Results, chosen: NDArray[np.bool_]) -> dict[str, Any]:
    true = results.features["true"][chosen]
    found: dict[str, Any] = {"faces": int(chosen.sum()), "coverage": float(results.coverage[chosen].mean())}
    if results.region_iou is not None:
        found["region_iou"] = float(results.region_iou[chosen].mean())
    found["restorers"] = {}
    for name, own in results.figures.items():
        sums = {part for both in RATIOS.values() for part in both}
        means: dict[str, Any] = {k: _mean(v[chosen]) for k, v in own.items() if k not in sums}
        means |= {figure: _ratio(own[top][chosen], own[bottom][chosen]) for figure, (top, bottom) in RATIOS.items()}
        if chosen.sum() >= 2 * true.shape[1]:
            features = results.features[name][chosen]
            means["frechet"] = quality.frechet(features, true)
            means["precision"], means["recall"] = quality.precision_recall(features, true)
        means["psnr_region_error"] = _error(own["psnr_region"][chosen])
        means["identity_error"] = _error(own["identity"][chosen])
        means |= {f"{figure}_error": _error(own[figure][chosen]) for figure in OPTIONAL if figure in own}
        found["restorers"][name] = {k: None if v is None or not np.isfinite(v) else v for k, v in means.items()}
    return found


def _mean(values: NDArray[np.float64]) -> float:
    there = values[np.isfinite(values)]
    return float(there.mean()) if len(there) else float("nan")


def _error(values: NDArray[np.float64]) -> float:
    """The standard error of the mean."""
    there = values[np.isfinite(values)]
    return float(there.std(ddof=1) / np.sqrt(len(there))) if len(there) > 1 else float("nan")


def _ratio(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> float:
    there = np.isfinite(top) & np.isfinite(bottom)
    return float(top[there].sum() / bottom[there].sum()) if there.any() else float("nan")


def rows(group: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of one group of :func:`summary`."""
    every = group["restorers"].values()
    columns = {k: v for k, v in COLUMNS.items() if k not in OPTIONAL or any(k in own for own in every)}
    header = ["restorer", *(heading for heading, _ in columns.values())]
    body = [
        [name, *(tables.cell(own.get(key), digits) for key, (_, digits) in columns.items())]
        for name, own in group["restorers"].items()
    ]
    return header, body


def worst_groups(found: dict[str, Any]) -> list[str]:
    """For every restorer one sentence on the groups of people for which its figures are lowest.

    ``found`` is what :func:`summary` gives; groups of fewer than 20 faces are left out.
    """
    groups = {
        name: group
        for name, group in found.items()
        if name.split(": ")[0] in FAIR and group["faces"] >= LEAST and not name.endswith(": unknown")
    }
    lines = []
    for restorer, every in found["all"]["restorers"].items():
        parts = []
        for figure in ("psnr_region", "identity"):
            there = {n: g["restorers"][restorer][figure] for n, g in groups.items()}
            known = {n: value for n, value in there.items() if value is not None}
            if known and every[figure] is not None:
                name = min(known, key=lambda n: known[n])
                heading, digits = COLUMNS[figure]
                parts.append(f"{heading} {known[name]:.{digits}f} for {name} (all: {every[figure]:.{digits}f})")
        if parts:
            lines.append(f"{restorer}: {'; '.join(parts)}")
    return lines
