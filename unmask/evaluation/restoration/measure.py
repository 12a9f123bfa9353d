"""Restorers side by side on held-out faces with simulated face masks."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ... import images
from ...data import face_sets
from ...errors import UsageError
from ...faces import align, blend
from ...recognition import Recognizer
from ...restore import RestoredFace, Restorer
from ...restore.located import Located
from ...simulation.simulate import simulate
from ..baselines import FaceRestorer, through
from ..linear import SOURCES
from . import people, quality
from .picking import Picker

__all__ = ["Distance", "Faces", "Results", "Segment", "evaluate", "held_out", "misaligned"]

BATCH = 32
SHEET_ROWS = 12  # of a contact sheet that nobody gave a length
WHOLE = np.eye(2, 3)  # a crop is its own photo
TONE, VIEW, LIGHT = "skin (estimated)", "view (estimated)", "light (estimated)"

Segment = Callable[[Tensor], Tensor]
Distance = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # two [N,3,S,S] -> [N] and its map [N,1,S,S]


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
    groups: dict[str, list[str]]  # "kind", "coverage", "source", "skin (estimated)", ... -> one word a face
    seconds: dict[str, float]  # per face
    region_iou: NDArray[np.float64] | None
    sheet: list[list[NDArray[np.uint8]]] = field(default_factory=list)


def held_out(
    root: str | Path,
    sources: Sequence[str] = SOURCES,
    limit: int | None = None,
    cache: str | Path | None = None,
    size: int = 128,
    split: face_sets.Split = "val",
) -> Faces:
    """The validation split of ``sources`` below ``root`` (every tenth file), or ``limit`` faces spread evenly.

    They are ``size`` pixels wide, whatever restorers paint; ``split`` "all" is for sources in no training.
    """
    found = face_sets.load(root, sources, size, split=split, cache=cache)
    if not len(found):
        raise UsageError(f"{root}: no held-out faces here; give the folder of face data")
    if limit is not None and limit < len(found):
        found = found.subset(np.linspace(0, len(found) - 1, limit).round().astype(int))
    return Faces(found.images, found.points, [str(s) for s in found.source], [str(n) for n in found.names])


def misaligned(faces: Faces, seed: int = 0) -> Faces:
    """The faces in crops that a detector's points might have given.

    They are moved by normal deviations of 0.02 of the width, 3.5 degrees and 5 % of the size, each face by ``seed`` and
    its own name. Points of masked faces differ by about as much from those of bare ones.
    """
    pictures, points = np.empty_like(faces.images), np.empty_like(faces.points)
    side = faces.images.shape[1]
    center = np.full(2, (side - 1) / 2)
    for i, image in enumerate(faces.images):
        rng = np.random.default_rng([seed, zlib.crc32(f"moved {faces.sources[i]}/{faces.names[i]}".encode())])
        angle, scale = np.radians(rng.normal(0, 3.5)), np.exp(rng.normal(0, 0.05))
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = np.concatenate([turn, (center - turn @ center + rng.normal(0, 0.02 * side, 2))[:, None]], 1)
        pictures[i] = align.warp(image, matrix, side, border="replicate")
        points[i] = align.transform_points(faces.points[i], matrix)
    return replace(faces, images=pictures, points=points)


def evaluate(
    faces: Faces,
    restorers: Sequence[FaceRestorer],
    recognizer: Recognizer,
    seed: int = 0,
    segment: Segment | None = None,
    progress: Callable[[int], None] | None = None,
    picker: Picker | None = None,
    noted: str | Path | None = None,
    lpips: Distance | None = None,
) -> Results:
    """Mask every face, restore it by every restorer, and measure the result.

    Each face's mask depends on ``seed`` and the face's own name only. With ``segment`` (crops to region) the
    restorers are given the region that it finds; figures over the region are over the true one all the same.
    ``picker`` chooses the rows of the contact sheet: twelve spread over the faces if None. ``noted`` is a file of
    labels (:func:`unmask.evaluation.restoration.people.noted`). ``lpips`` adds its figures.
    """
    figures: dict[str, dict[str, list[NDArray[np.float64]]]] = {r.name: {} for r in restorers}
    features: dict[str, list[Tensor]] = {name: [] for name in (*figures, "true")}
    groups: dict[str, list[str]] = {"kind": [], "coverage": [], "source": list(faces.sources), TONE: []}
    groups |= {**_labels(faces), VIEW: people.view(faces.points), LIGHT: []}
    if noted is not None:
        groups |= people.noted(noted, faces.names)
    picker = picker or Picker(SHEET_ROWS, len(faces))
    exact = segment is None  # the true region needs no margin and leaves no remains to cover
    covered, overlap, seconds = [], [], dict.fromkeys(figures, 0.0)
    for start in range(0, len(faces), BATCH):
        part = slice(start, min(start + BATCH, len(faces)))
        y = images.to_tensor(faces.images[part])
        x, region = _mask(faces, part, seed, groups)
        worn, places = images.to_uint8(x), _places(faces.points[part], region)
        groups[TONE] += [people.tone(color) for color in people.mean_color(y, places["skin"]).tolist()]
        groups[LIGHT] += people.light(y)
        covered.append(quality.coverage(region))
        given = region if segment is None else segment(x)
        overlap.append(_iou(given, region))
        embed = _embedder(recognizer, faces.points[part])
        features["true"].append(embed(y))
        pictures = [worn, images.to_uint8(region.expand(-1, 3, -1, -1) * 2 - 1)]
        for restorer in restorers:
            began = time.perf_counter()
            pictures.append(_restored(through(restorer), x.numpy(), worn, given.numpy(), faces.points[part], exact))
            seconds[restorer.name] += time.perf_counter() - began
            pasted = images.to_tensor(pictures[-1])
            features[restorer.name].append(embed(pasted))
            found = _measure(pasted, y, region, features[restorer.name][-1], features["true"][-1])
            found |= _colors(pasted, y, places)
            found |= {} if lpips is None else _lpips(lpips, pasted, y, region)
            for name, value in found.items():
                figures[restorer.name].setdefault(name, []).append(value.double().cpu().numpy())
        scores = figures[restorers[-1].name]["psnr_region"][-1]
        for i, row in enumerate(zip(*pictures, faces.images[part], strict=True), start):
            picker.offer(i, list(row), float(scores[i - start]), {group: words[i] for group, words in groups.items()})
        if progress is not None:
            progress(part.stop - part.start)
    return Results(
        {name: {k: np.concatenate(v) for k, v in own.items()} for name, own in figures.items()},
        {name: torch.cat(parts).numpy() for name, parts in features.items()},
        torch.cat(covered).numpy(),
        groups,
        {name: total / len(faces) for name, total in seconds.items()},
        None if segment is None else np.concatenate(overlap),
        picker.rows(),
    )


def _restored(
    restorer: Restorer,
    x: NDArray[np.float32],
    photos: NDArray[np.uint8],
    region: NDArray[np.float32],
    points: NDArray[np.float32],
    exact: bool,
) -> NDArray[np.uint8]:
    """The photos uint8 [N,S,S,3] restored, as they are where the region is too small.

    Each is the crop of one face at its own size, and is cropped once more where the restorer's is another.
    """
    located, own, size = [], photos.shape[1], restorer.size
    matrix = WHOLE if size == own else align.between(restorer.template, own, restorer.template, size)
    if size != own:
        x = images.to_float(np.stack([align.warp(photo, matrix, size, border="replicate") for photo in photos]))
        region = align.warp_batch(region, matrix, size).clip(0, 1)
    for i, photo in enumerate(photos):
        kps = np.asarray(points[i], np.float64)
        face = RestoredFace(np.concatenate([kps.min(0), kps.max(0)]), kps, 1.0, "found")
        part, read = slice(i, i + 1), images.read(photo)
        located.append(
            Located(photo, None, read, [face], [face], x[part], [matrix], region[part], np.ones(1, np.float32), exact)
        )
    restorer.fill(located, exact=exact, with_drift=False)
    return np.stack([one.photo.pixels if one.error else restorer.paste(one).pixels for one in located])


def _labels(faces: Faces) -> dict[str, list[str]]:
    """Groups that the names of files tell of, where any does."""
    told = [people.labels(name) for name in faces.names]
    kinds = dict.fromkeys(kind for words in told for kind in words)
    return {kind: [words.get(kind, "unknown") for words in told] for kind in kinds}


def _places(points: NDArray[np.float32], region: Tensor) -> dict[str, Tensor]:
    """The hidden part of the cheeks, and skin in sight, [N,1,S,S] each."""
    size = region.shape[-1]
    hidden = (region > 0.5).float()
    return {
        "cheeks": people.cheeks(points, size) * hidden,
        "skin": people.skin(points, size) * (1 - torch.from_numpy(blend.grown(hidden.numpy(), 4 / 128))),
    }


def _colors(pasted: Tensor, y: Tensor, places: dict[str, Tensor]) -> dict[str, Tensor]:
    """How far the restored cheeks are from the true ones and from the skin in sight, in CIE L*a*b*."""
    cheek, true = (people.mean_color(picture, places["cheeks"]) for picture in (pasted, y))
    skin = people.mean_color(y, places["skin"])
    shift = cheek - true
    return {
        "cheek": shift.norm(dim=1),
        **{f"cheek_{axis}": shift[:, i] for i, axis in enumerate(("lightness", "red", "yellow"))},
        "from_skin": (cheek - skin).norm(dim=1),
        "from_skin_true": (true - skin).norm(dim=1),
    }


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


def _embedder(recognizer: Recognizer, points: NDArray[np.float32]) -> Callable[[Tensor], Tensor]:
    """Embeddings of aligned crops, taken to the recognizer's template by the points of the true faces."""
    target = align.template(recognizer.template, recognizer.size)
    matrices = np.stack([align.similarity(own, target) for own in points])

    def embed(crops: Tensor) -> Tensor:
        return torch.from_numpy(recognizer.embed(align.warp_batch(crops.numpy(), matrices, recognizer.size)))

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


def _lpips(distance: Distance, pasted: Tensor, y: Tensor, region: Tensor) -> dict[str, Tensor]:
    whole, local = distance(pasted, y)
    return {"lpips": whole, "lpips_region": quality.mean_over(local, region.to(local.device))}


def _iou(found: Tensor, region: Tensor) -> NDArray[np.float64]:
    a, b = found > 0.5, region > 0.5
    union = (a | b).sum((1, 2, 3)).clamp_min(1)
    return ((a & b).sum((1, 2, 3)) / union).double().cpu().numpy()
