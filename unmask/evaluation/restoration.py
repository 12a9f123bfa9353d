"""Restorers side by side on held-out faces with simulated face masks."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import data, images
from ..errors import UsageError
from ..faces import align, blend
from ..faces.simulate import simulate
from ..recognition import Recognizer
from . import quality, tables
from .baselines import FaceRestorer
from .linear import SOURCES

__all__ = ["COLUMNS", "Faces", "Results", "Segment", "evaluate", "held_out", "rows", "summary"]

BATCH = 32
SHEET_ROWS = 12
WHOLE = np.eye(2, 3)  # a crop is its own photo
# figure -> (heading, digits); the order of the tables
COLUMNS = {
    "psnr": ("PSNR dB", 2),
    "ssim": ("SSIM", 4),
    "psnr_region": ("region PSNR dB", 2),
    "ssim_region": ("region SSIM", 3),
    "identity": ("identity", 3),
    "frechet": ("Fréchet", 4),
    "sharpness": ("sharpness", 2),
    "seam": ("seam", 2),
}
_SUMS = ("gradient", "gradient_true", "jump", "jump_true")

Segment = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Faces:
    """Held-out faces: pixels uint8 [N,S,S,3], points [N,5,2], and where each is from."""

    images: NDArray[np.uint8]
    points: NDArray[np.float32]
    sources: list[str]
    names: list[str]

    def __len__(self) -> int:
        return len(self.images)


@dataclass
class Results:
    """Figures per face for every restorer, what the faces wore, and rows for a contact sheet."""

    figures: dict[str, dict[str, NDArray[np.float64]]]
    features: dict[str, NDArray[np.float32]]  # of each restorer's composites, and of the faces as "true"
    coverage: NDArray[np.float64]
    groups: dict[str, list[str]]  # "kind", "coverage", "source" -> one word a face
    seconds: dict[str, float]  # per face
    region_iou: NDArray[np.float64] | None
    sheet: list[list[NDArray[np.uint8]]] = field(default_factory=list)


def held_out(
    root: str | Path,
    sources: Sequence[str] = SOURCES,
    limit: int | None = None,
    cache: str | Path | None = None,
) -> Faces:
    """The validation split of ``sources`` below ``root`` (every tenth file), or ``limit`` faces spread
    evenly over it.
    """
    found = data.load(root, sources, split="val", cache=cache)
    if not len(found):
        raise UsageError(f"{root}: no held-out faces here; give the folder of face data")
    if limit is not None and limit < len(found):
        found = found.subset(np.linspace(0, len(found) - 1, limit).round().astype(int))
    return Faces(found.images, found.points, [str(s) for s in found.source], [str(n) for n in found.names])


def evaluate(
    faces: Faces,
    restorers: Sequence[FaceRestorer],
    recogniser: Recognizer,
    seed: int = 0,
    segment: Segment | None = None,
    progress: Callable[[int], None] | None = None,
) -> Results:
    """Mask every face, restore it by every restorer, and measure the composites.

    Each face's mask depends on ``seed`` and the face's own name only. With ``segment`` (crops to region) the
    restorers are given the region that it finds; figures over the region are over the true one all the same.
    """
    figures: dict[str, dict[str, list[NDArray[np.float64]]]] = {r.name: {} for r in restorers}
    features: dict[str, list[Tensor]] = {name: [] for name in (*figures, "true")}
    groups: dict[str, list[str]] = {"kind": [], "coverage": [], "source": list(faces.sources)}
    covered, overlap, shown = [], [], []
    seconds = dict.fromkeys(figures, 0.0)
    wanted = set(np.linspace(0, len(faces) - 1, min(SHEET_ROWS, len(faces))).round().astype(int).tolist())
    for start in range(0, len(faces), BATCH):
        part = slice(start, min(start + BATCH, len(faces)))
        y = images.to_tensor(faces.images[part])
        x, region = _mask(faces, part, seed, groups)
        worn = images.to_uint8(x)
        covered.append(quality.coverage(region))
        given = region if segment is None else segment(x)
        overlap.append(_iou(given, region))
        to_judge = _judge(recogniser, faces.points[part])
        features["true"].append(to_judge(y))
        pictures = [x, region.expand(-1, 3, -1, -1) * 2 - 1]
        for restorer in restorers:
            began = time.perf_counter()
            painted = blend.paint(x, given, restorer)
            seconds[restorer.name] += time.perf_counter() - began
            exact = segment is None  # the true region leaves no remains to cover
            put = [painted.onto(photo, i, WHOLE, exact=exact) for i, photo in enumerate(worn)]
            pasted = images.to_tensor(np.stack(put))
            features[restorer.name].append(to_judge(pasted))
            found = _measure(pasted, y, region, features[restorer.name][-1], features["true"][-1])
            for name, value in found.items():
                figures[restorer.name].setdefault(name, []).append(value.double().cpu().numpy())
            pictures.append(pasted)
        rows_here = [images.to_uint8(picture) for picture in (*pictures, y)]
        shown += [[column[i - start] for column in rows_here] for i in range(part.start, part.stop) if i in wanted]
        if progress is not None:
            progress(part.stop - part.start)
    return Results(
        {name: {k: np.concatenate(v) for k, v in own.items()} for name, own in figures.items()},
        {name: torch.cat(parts).numpy() for name, parts in features.items()},
        torch.cat(covered).numpy(),
        groups,
        {name: total / len(faces) for name, total in seconds.items()},
        None if segment is None else np.concatenate(overlap),
        shown,
    )


def _mask(faces: Faces, part: slice, seed: int, groups: dict[str, list[str]]) -> tuple[Tensor, Tensor]:
    """Masked faces and regions of one batch; notes what each wears."""
    pictures, regions = [], []
    for i in range(part.start, part.stop):
        name = f"{faces.sources[i]}/{faces.names[i]}"
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        worn = simulate(faces.images[i], faces.points[i], rng)
        pictures.append(worn.image)
        regions.append(worn.region)
        groups["kind"].append(worn.garment.kind if worn.garment else "-")
        groups["coverage"].append(worn.garment.coverage if worn.garment else "-")
    return images.to_tensor(np.stack(pictures)), torch.from_numpy(np.stack(regions))[:, None].float()


def _judge(recogniser: Recognizer, points: NDArray[np.float32]) -> Callable[[Tensor], Tensor]:
    """Embeddings of aligned crops, taken to the recogniser's template by the points of the true faces."""
    target = align.template(recogniser.template, recogniser.size)
    matrices = np.stack([align.similarity(own, target) for own in points])

    def embed(crops: Tensor) -> Tensor:
        return recogniser.embed(align.warp_tensor(crops, matrices, recogniser.size)).cpu()

    return embed


def _measure(pasted: Tensor, y: Tensor, region: Tensor, seen: Tensor, true: Tensor) -> dict[str, Tensor]:
    return {
        "psnr": quality.psnr(pasted, y),
        "ssim": quality.ssim(pasted, y),
        "psnr_region": quality.psnr(pasted, y, region),
        "ssim_region": quality.ssim(pasted, y, region),
        "identity": (seen * true).sum(1),
        "gradient": quality.gradient_energy(pasted, region),
        "gradient_true": quality.gradient_energy(y, region),
        "jump": quality.seam_jump(pasted, region),
        "jump_true": quality.seam_jump(y, region),
    }


def _iou(found: Tensor, region: Tensor) -> NDArray[np.float64]:
    a, b = found > 0.5, region > 0.5
    union = (a | b).sum((1, 2, 3)).clamp_min(1)
    return ((a & b).sum((1, 2, 3)) / union).double().cpu().numpy()


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
        means: dict[str, Any] = {k: _mean(v[chosen]) for k, v in own.items() if k not in _SUMS}
        means["sharpness"] = _ratio(own["gradient"][chosen], own["gradient_true"][chosen])
        means["seam"] = _ratio(own["jump"][chosen], own["jump_true"][chosen])
        enough = chosen.sum() >= 2 * true.shape[1]
        means["frechet"] = quality.frechet(results.features[name][chosen], true) if enough else None
        means["psnr_region_error"] = _error(own["psnr_region"][chosen])
        means["identity_error"] = _error(own["identity"][chosen])
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
    header = ["restorer", *(heading for heading, _ in COLUMNS.values())]
    body = [
        [name, *(tables.cell(own.get(key), digits) for key, (_, digits) in COLUMNS.items())]
        for name, own in group["restorers"].items()
    ]
    return header, body
