"""Training task ``detector``: faces with and without face masks, with five points, in composed scenes.

The boxes and points come from a teacher detector (or a table) on the bare photos and from the index of aligned faces;
face masks are put on afterwards, so that the points under them are those of the bare face.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from ... import weights
from ...config import Count, Depths, Layers, SceneSide, Width, Widths
from ...data import backgrounds, detection, face_sets, photos, scene
from ...errors import UsageError
from ...images import sheet
from ...models.detector import STRIDES, Detector, centers, decode
from ...models.small import Residual
from .. import assignment, distributed, loop, schedule

Batch = dict[str, Tensor]

VAL_SCENES = 200
WEIGHT_DECAY = 1e-4
BOX_WEIGHT, POINTS_WEIGHT = 2.0, 25.0
WORN_REPEATS = 8  # of photos of real face masks, which are few
WIDE_EVERY = 4  # steps: scenes are then twice as wide and a quarter as many, which costs as much
MOST = 31 / 32  # of a scene's side: the largest face


@dataclass(frozen=True)
class Network:
    """Arguments of :class:`unmask.models.detector.Detector`."""

    stem: Width = 32
    """Channels at stride 4."""
    widths: Widths = (64, 64, 64)
    """Channels at strides 8, 16 and 32; of the feature pyramid, those at 8."""
    depths: Depths = (1, 2, 2, 1)
    """Residual blocks of the stem and of each stage."""
    head: Layers = 2
    """Convolutions of each head."""


@dataclass(frozen=True)
class Config(loop.RunConfig):
    """Config of the detector; ``sources`` are of 128 pixels."""

    model: Network = Network()
    """Shape of the network."""
    photos: tuple[str, ...] = ()
    """Folders of whole photos: ``images.zip``, and ``faces.csv`` where there is one."""
    worn: tuple[str, ...] = ()
    """Folders of photos of people in real face masks; every second photo is used, the others are for looking at."""
    large: tuple[str, ...] = ()
    """Sources of 256 pixels."""
    per_source: Count = 5000
    """Faces of each source at most."""
    empty: tuple[str, ...] = ()
    """Folders of pictures without a face."""
    teacher: str = ""
    """Path of a detector that labels photos without a table and finds faces that a table leaves out."""
    start: str = ""
    """Name or path of a detector to start from; residual blocks that it lacks begin as identities."""
    size: SceneSide = 320
    """Side of a scene in pixels; its faces are from 13 pixels to nearly all of it."""


def build(config: Config, device: torch.device) -> loop.Task:
    """The detector task: labels the photos (once, cached), dresses them and builds the network."""
    scenes = detection.SceneConfig(size=config.size, most=MOST * config.size)
    material, held = gather(config, scenes)
    seeds = [[scenes.seed, 1, i] for i in range(VAL_SCENES)]
    held_scenes = detection.scenes(held, scenes, seeds)
    torch.manual_seed(config.seed)
    model = Detector(**vars(config.model), neck=config.model.widths[0])
    if config.start:
        begin(model, config.start)
    model = loop.place(model, device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=WEIGHT_DECAY)
    wide = replace(scenes, size=2 * scenes.size, most=2 * scenes.most)
    grids = {s: assignment.anchors(s, s) for s in (scenes.size, wide.size)}
    placed = {
        s: assignment.Anchors(g.center.to(device), g.size.to(device), g.stride.to(device), g.counts)
        for s, g in grids.items()
    }

    def batch(rng: np.random.Generator, step: int) -> Batch:
        widely = step % WIDE_EVERY == 0
        how, count = (wide, max(1, config.batch_size // 4)) if widely else (scenes, config.batch_size)
        drawn = detection.scenes(material, how, rng.integers(0, 2**31, (count, 2)).tolist())
        return collate(drawn, grids[how.size], rng)

    def step(inputs: Batch, at: int) -> Mapping[str, Tensor | float]:
        model.train()
        schedule.warm_cosine(optimizer, config.lr, at, config.warmup_steps, config.max_steps)
        there = {k: v.to(device) for k, v in inputs.items()}
        x = there.pop("x").contiguous(memory_format=torch.channels_last)
        with loop.autocast(config.precision, device):
            outputs = model(x)
        losses = assignment.losses(outputs, placed[x.shape[-1]], **there)
        total = losses["score"]
        if "box" in losses:
            total = total + BOX_WEIGHT * losses["box"] + POINTS_WEIGHT * losses["points"]
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        distributed.average_gradients(model.parameters())
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        return {k: v.detach() for k, v in losses.items()}

    def validate() -> Mapping[str, float]:
        return figures(model, held_scenes, device)

    def pictures() -> np.ndarray:
        return picture(model, held_scenes, device)

    return loop.Task({"model": model}, {"optimizer": optimizer}, batch, step, validate, pictures)


def begin(model: Detector, start: str) -> None:
    """Take over the weights of another detector; raises UsageError where more than residual blocks is missing."""
    known = weights.read(start, kind="detector").tensors
    own = model.state_dict()
    if any(k not in own or own[k].shape != v.shape for k, v in known.items()):
        raise UsageError(f"start={start}: a network of another shape; only further residual blocks can be added")
    missing = model.load_state_dict(known, strict=False).missing_keys
    for name, module in model.named_modules():
        if isinstance(module, Residual) and any(k.startswith(f"{name}.") for k in missing):
            nn.init.zeros_(module.second.bn.weight)  # type: ignore[arg-type]
            missing = [k for k in missing if not k.startswith(f"{name}.")]
    if missing:
        raise UsageError(f"start={start}: lacks {missing[0]}; give a detector of the same layout")


def gather(config: Config, scenes: detection.SceneConfig) -> tuple[detection.Material, detection.Material]:
    """What training scenes are made of, and what held-out ones are."""
    from ...faces.detect import load_detector

    teacher = load_detector(config.teacher, min_score=photos.DOUBT) if config.teacher else None
    split: Literal["train", "val"]
    made = []
    for split in ("train", "val"):
        known: list[photos.LabelledPhoto] = []
        for name in config.photos:
            known += photos.load(Path(config.data) / name, split, teacher)
        for name in config.worn if split == "train" else ():
            worn = photos.load(Path(config.data) / name, split, teacher, every=2, dressed=True)
            known += worn * WORN_REPEATS
        sets = [
            some(face_sets.load(config.data, [name], size=size, split=split), config.per_source)
            for size, names in ((128, config.sources), (256, config.large))
            for name in names
        ]
        empty = [backgrounds.load_empty(Path(config.data) / name, split) for name in config.empty]
        made.append(detection.gather(known, sets, empty, scenes))
    return made[0], made[1]


def some(faces: face_sets.FaceSet, most: int) -> face_sets.FaceSet:
    """At most ``most`` faces, evenly taken."""
    if len(faces) <= most:
        return faces
    return faces.subset(np.linspace(0, len(faces) - 1, most).astype(int))


def collate(scenes: scene.Scenes, grid: assignment.Anchors, rng: np.random.Generator) -> Batch:
    """Scenes as tensors with the anchors' tasks; the light of each is varied a little."""
    images = scenes.images.astype(np.float32)
    owners, counts = [], []
    for i, state in enumerate(scenes.state):
        images[i] = images[i] * np.float32(np.exp(rng.normal(0, 0.15))) + np.float32(rng.normal(0, 12))
        real = torch.from_numpy(scenes.boxes[i])
        there, ignored = torch.from_numpy((state == 1) | (state == 2)), torch.from_numpy(state == 3)
        owner, count = assignment.assign(grid, real[there], real[ignored])
        back = torch.nonzero(there)[:, 0]  # numbers among the true faces -> rows of the table
        owners.append(torch.where(owner >= 0, back[owner.clamp(min=0)] if len(back) else owner, owner))
        counts.append(count)
    np.clip(images, 0, 255, out=images)
    x = torch.from_numpy(images).permute(0, 3, 1, 2).sub_(127.5).div_(128.0)
    return {
        "x": x,
        "owner": torch.stack(owners),
        "counts": torch.stack(counts),
        "boxes": torch.from_numpy(scenes.boxes),
        "points": torch.from_numpy(scenes.points),
        "trusted": torch.from_numpy(scenes.state == 1),
    }


@torch.no_grad()
def detect(
    model: torch.nn.Module, x: Tensor, threshold: float = 0.5, overlap: float = 0.4
) -> list[dict[str, np.ndarray]]:
    """Faces in each photo of ``x`` [N,3,H,W] by greedy suppression: boxes [K,4], points [K,5,2], scores [K]."""
    model.eval()
    scores, boxes, points = model(x)
    score = torch.cat(scores, 1)[..., 0].sigmoid()
    decoded = [
        decode(b, p, c.to(x.device), s)
        for b, p, c, s in zip(boxes, points, centers(*x.shape[2:]), STRIDES, strict=True)
    ]
    box, point = torch.cat([d[0] for d in decoded], 1), torch.cat([d[1] for d in decoded], 1)
    found = []
    for i in range(len(x)):
        rows = torch.nonzero(score[i] >= threshold)[:, 0]
        rows = rows[score[i, rows].argsort(descending=True)][:400]
        keep: list[int] = []
        alive = torch.ones(len(rows), dtype=torch.bool, device=x.device)
        overlaps = assignment.iou(box[i, rows][:, None], box[i, rows][None])
        for k in range(len(rows)):
            if alive[k]:
                keep.append(k)
                alive &= overlaps[k] <= overlap
        chosen = rows[keep]
        found.append(
            {
                "boxes": box[i, chosen].cpu().numpy(),
                "points": point[i, chosen].cpu().numpy(),
                "scores": score[i, chosen].cpu().numpy(),
            }
        )
    return found


def figures(model: torch.nn.Module, scenes: scene.Scenes, device: torch.device) -> dict[str, float]:
    """Recall at score 0.5, false faces per scene, average precision, and the points' error over the eye distance."""
    hits, errors, total, ranked = 0, [], 0, []
    for i in range(len(scenes)):
        x = torch.from_numpy(np.array(scenes.images[i])).permute(2, 0, 1)[None].float().sub(127.5).div(128).to(device)
        found = detect(model, x, threshold=0.05)[0]
        state, truth = scenes.state[i], scenes.boxes[i]
        total += int(((state == 1) | (state == 2)).sum())
        free = set(np.flatnonzero((state == 1) | (state == 2)))
        for box, points, score in zip(found["boxes"], found["points"], found["scores"], strict=True):
            overlap = assignment.iou(torch.from_numpy(box)[None], torch.from_numpy(truth)).numpy() * (state > 0)
            best = int(overlap.argmax())
            if overlap[best] >= 0.5 and state[best] == 3:
                continue
            right = overlap[best] >= 0.5 and best in free
            ranked.append((float(score), right))
            if right:
                free.discard(best)
                hits += score >= 0.5
                if score >= 0.5 and state[best] == 1:
                    errors.append(points_error(points, scenes.points[i][best]))
    false = sum(1 for score, right in ranked if score >= 0.5 and not right)
    return {
        "recall": hits / max(1, total),
        "false_per_scene": false / max(1, len(scenes)),
        "ap": average_precision(ranked, total),
        "points": float(np.mean(errors)) if errors else 1.0,
    }


def points_error(found: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance of five points [5,2], over that between the eyes (at least a third of the face's height)."""
    eyes = float(np.linalg.norm(truth[1] - truth[0]))
    height = float(np.linalg.norm(truth[3:].mean(0) - truth[:2].mean(0)))
    return float(np.linalg.norm(found - truth, axis=1).mean() / max(eyes, height / 3, 1e-6))


def average_precision(ranked: list[tuple[float, bool]], total: int) -> float:
    """Area under precision over recall of detections (score, right) against ``total`` faces."""
    right = np.array([r for _, r in sorted(ranked, key=lambda pair: -pair[0])], float)
    if not len(right) or not total:
        return 0.0
    precision = right.cumsum() / np.arange(1, len(right) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float((precision * right).sum() / total)


def picture(model: torch.nn.Module, scenes: scene.Scenes, device: torch.device) -> np.ndarray:
    """Held-out scenes with what was found in them."""
    drawn = []
    for i in range(min(12, len(scenes))):
        image = np.array(scenes.images[i])
        x = torch.from_numpy(image).permute(2, 0, 1)[None].float().sub(127.5).div(128).to(device)
        found = detect(model, x)[0]
        for box, points in zip(found["boxes"], found["points"], strict=True):
            low, high = box[:2].round().astype(int).tolist(), box[2:].round().astype(int).tolist()
            cv2.rectangle(image, low, high, (0, 255, 0), 1)
            for x0, y0 in points.round().astype(int).tolist():
                cv2.circle(image, (x0, y0), 1, (255, 0, 0), -1)
        drawn.append(image)
    return sheet([drawn[k : k + 4] for k in range(0, len(drawn), 4)])
