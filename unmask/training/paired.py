"""Clean faces, their masked versions and a teacher's view of them: the data of FROM and G2D."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import recognition
from ..config import Count, Share, Variants
from ..data import augment, face_sets, masked
from ..errors import UsageError
from ..evaluation.verification import metrics
from ..recognition import trunk
from ..simulation import patches
from . import loop, teacher

BATCH = 64


@dataclass(frozen=True)
class Config(loop.RunConfig):
    """What the tasks of masked-face recognizers share."""

    variants: Variants = 1
    """Masked versions of each face, rendered once."""
    occluders: Share = 0.0
    """Of those, the ones with another thing than a face mask."""
    teacher: str = ""
    """Name or path of the recognizer that teaches; empty trains on labels alone."""
    clean_share: Share = 1 / 3
    """Of every batch, the faces that stay bare."""
    val_faces: Count = 1000
    """Held-out faces that are measured, at most."""


@dataclass(frozen=True)
class PairedFaces:
    """Training faces [N] with their masked versions and unit-length teacher embeddings [N,D] of the clean ones."""

    faces: face_sets.FaceSet
    masked_faces: masked.MaskedFaces
    targets: np.ndarray | None

    @property
    def people(self) -> int:
        """How many identities are labeled, at least one."""
        return int(self.faces.identity.max(initial=0)) + 1


@dataclass(frozen=True)
class Held:
    """Held-out faces in three views, uint8 [N,S,S,3], with the regions uint8 [N,S,S] of the two covered ones."""

    clean: np.ndarray
    masked: np.ndarray
    masked_region: np.ndarray
    occluded: np.ndarray
    occluded_region: np.ndarray
    people: np.ndarray
    targets: np.ndarray | None


def load(config: Config, size: int, template: str, embedding: int) -> PairedFaces:
    """The training split, aligned to ``template``; the teacher's embeddings must be ``embedding`` long."""
    faces = face_sets.load(config.data, config.sources, size=size, template=template, split="train")
    targets = _targets(config, faces, "train", None)
    if targets is not None and targets.shape[1] != embedding:
        raise UsageError(f"teacher: its embeddings are {targets.shape[1]} long; set the model's embedding to that")
    masked_faces = masked.masked_faces(faces, config.variants, config.seed, config.occluders, config.workers)
    return PairedFaces(faces, masked_faces, targets)


def held(config: Config, size: int, template: str) -> Held:
    """Up to ``config.val_faces`` faces of the validation split, of people with several pictures where there are any."""
    faces = face_sets.load(config.data, config.sources, size=size, template=template, split="val")
    _, owner, times = np.unique(faces.identity, return_inverse=True, return_counts=True)
    several = np.flatnonzero((faces.identity >= 0) & (times[owner] > 1))
    pool = several if len(several) else np.arange(len(faces))
    # whole people, in the order of their numbers, so that few faces still make pairs
    chosen = np.sort(pool[np.argsort(faces.identity[pool], kind="stable")][: config.val_faces])
    targets = _targets(config, faces, "val", chosen)
    faces = faces.subset(chosen)
    drawn, hidden = masked.masked_faces(faces, 1, config.seed + 1, 0.0, config.workers).take(
        np.zeros(len(faces), int), np.arange(len(faces))
    )
    pasted = [
        patches.cover(image, points.astype(np.float64), np.random.default_rng([config.seed, 7, i]))
        for i, (image, points) in enumerate(zip(faces.images, faces.points, strict=True))
    ]
    regions = np.stack([np.rint(p.region * 255).astype(np.uint8) for p in pasted])
    return Held(faces.images, drawn, hidden, np.stack([p.image for p in pasted]), regions, faces.identity, targets)


def _targets(
    config: Config, faces: face_sets.FaceSet, split: face_sets.Split, chosen: np.ndarray | None
) -> np.ndarray | None:
    """The teacher's embeddings of (some of) a split's faces, aligned as it wants them; None without a teacher."""
    if not config.teacher:
        return None
    recognizer = recognition.load(config.teacher)
    side, template = recognizer.size[0], recognizer.template
    if faces.template != template or faces.images.shape[1] != side:
        faces = face_sets.load(config.data, config.sources, size=side, template=template, split=split)
    return teacher.embeddings(faces if chosen is None else faces.subset(chosen), recognizer)


def given(onnx: str, config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    """Graph and state (:func:`unmask.recognition.trunk.read`) of a recognizer to start from; None if ``onnx`` is empty.

    ``onnx`` is as :func:`file_of` takes it.
    """
    return trunk.read(file_of(onnx, config)) if onnx else None


def file_of(onnx: str, config: Mapping[str, Any]) -> str:
    """The path of a given recognizer; ``teacher`` stands for the config's own."""
    return str(config["teacher"]) if onnx == "teacher" else onnx


@torch.no_grad()
def embed(network: Callable[[Tensor, Tensor], Tensor], images: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """Unit-length embeddings [N,D] of uint8 faces [N,S,S,3] under regions [N,S,S]; ``network`` takes tensors."""
    parts = []
    for start in range(0, len(images), BATCH):
        x = augment.to_float(images[start : start + BATCH])
        region = torch.from_numpy(np.ascontiguousarray(regions[start : start + BATCH]))[:, None].float() / 255
        parts.append(torch.nn.functional.normalize(network(x, region).float(), dim=1).cpu().numpy())
    return np.concatenate(parts)


def figures(network: Callable[[Tensor, Tensor], Tensor], views: Held) -> dict[str, float]:
    """TAR at FAR 1e-3 among clean faces, of masked and occluded faces against clean ones, and likeness to the teacher.

    ``network(x, region)`` gives embeddings [N,D] of any length; the regions are the true ones.
    """
    clean = embed(network, views.clean, np.zeros_like(views.masked_region))
    found = {"clean_tar_at_far_1e-3": metrics.tar_at_far(*pairs(clean, views.people), 1e-3)}
    if views.targets is not None:
        found["cos_clean"] = float((clean * views.targets).sum(1).mean())
    for name, images, regions in (
        ("masked", views.masked, views.masked_region), ("occluded", views.occluded, views.occluded_region),
    ):  # fmt: skip
        probe = embed(network, images, regions)
        found[f"{name}_tar_at_far_1e-3"] = metrics.tar_at_far(*pairs(clean, views.people, probe), 1e-3)
        if views.targets is not None:
            found[f"cos_{name}"] = float((probe * views.targets).sum(1).mean())
    return found


def pairs(
    embeddings: np.ndarray, people: np.ndarray, probes: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Similarities [P] of all pairs of pictures of known people, and whether both are of one person [P].

    ``embeddings`` [N,D] of unit length and ``people`` [N] (-1 unknown); ``probes`` [N,D] are other views of the same
    pictures, each compared with all other pictures of ``embeddings``.
    """
    known = people >= 0
    found, people = embeddings[known], people[known]
    ones = np.ones((len(found), len(found)), bool)
    chosen = np.triu(ones, 1) if probes is None else ~np.eye(len(found), dtype=bool)
    scores = (found if probes is None else probes[known]) @ found.T
    return scores[chosen], (people[:, None] == people)[chosen]
