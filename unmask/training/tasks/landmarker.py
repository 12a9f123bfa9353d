"""Training task ``landmarker``: face or not, roll, the five points of the bare face, and garment, from wide crops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...config import PoolSize, Rate
from ...data import face_sets, photos, segmentation
from ...data import landmark_material as made_of
from ...data import landmarks as crops_of
from ...data.framing import UNKNOWN
from ...faces import align, landmarks
from ...images import sheet, to_uint8
from ...models.landmarker import SIZE, Landmarker, LandmarkerOutput
from .. import distributed, loop, schedule

# the fields that say what crops are made of
MATERIAL = ("data", "sources", "photos", "scenes", "worn", "teacher", "miner")
POOL, FEWEST = 8000, 64  # aligned faces that are rendered once, with and without face masks; a short run takes fewer
TURNED_SHARE = 0.2  # of the pool, the faces chosen for being turned to a side, of which photos have few
SHARES = made_of.Shares()
VARIANTS = 2  # of a photo with face masks drawn on
THINGS = 1000  # pictures of things that are no faces
MINER_SCORE = 0.3  # of candidates, at least
ZOOMS = (1.0, 2.5)  # one of these enlarges a picture for the miner
VAL_CROPS = 600
WEIGHT_DECAY = 1e-4
ROLL_WEIGHT, POINTS_WEIGHT, SHIFT_WEIGHT, GARMENT_WEIGHT = 0.5, 8.0, 4.0, 0.5
HELD_PHOTOS = 3  # of whole photos every third is held out: they are few


@dataclass(frozen=True)
class Config(loop.RunConfig):
    """Config of the landmarker; its network is :class:`unmask.models.landmarker.Landmarker` as it is."""

    lr: Rate = 3e-3
    photos: tuple[str, ...] = ()
    """Folders of whole photos with ``images.zip`` and ``faces.csv``; face masks are drawn on."""
    scenes: tuple[str, ...] = ()
    """Folders of photos without faces."""
    worn: tuple[str, ...] = ()
    """Folders of photos of people in real face masks; every second photo is used."""
    teacher: str = ""
    """The detector that finds the faces in those."""
    miner: str = ""
    """A detector whose candidates on photos and scenes join the crops; empty: none."""
    crops: PoolSize = 36_000
    """Crops that are rendered once."""


def build(config: Config, device: torch.device) -> loop.Task:
    """The training task: gathers the crops' material (rendered or mined once) and builds the network."""
    crops, held = rendered(config, "train"), rendered(config, "val")
    torch.manual_seed(config.seed)
    model = loop.place(Landmarker(), device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=WEIGHT_DECAY)
    validation = crops_of.batch(held, np.arange(len(held.face)))

    def batch(rng: np.random.Generator, step: int) -> crops_of.Batch:
        return crops_of.varied(crops, rng.integers(0, len(crops.face), config.batch_size), rng)

    def step(inputs: crops_of.Batch, at: int) -> Mapping[str, Tensor | float]:
        model.train()
        schedule.warm_cosine(optimizer, config.lr, at, config.warmup_steps, config.max_steps)
        there = crops_of.Batch(*(t.to(device) for t in inputs))
        with loop.autocast(config.precision, device):
            output = model(there.x.contiguous(memory_format=torch.channels_last))
        parts = losses(output, there)
        total = parts["face"] + ROLL_WEIGHT * parts["roll"] + GARMENT_WEIGHT * parts["garment"]
        total = total + POINTS_WEIGHT * parts["points"] + SHIFT_WEIGHT * parts["shift"]
        distributed.descend(optimizer, total)
        return {k: v.detach() for k, v in parts.items()}

    def validate() -> Mapping[str, float]:
        return figures(model, validation, device)

    def pictures() -> np.ndarray:
        return picture(model, validation, device)

    return loop.Task({"model": model}, {"optimizer": optimizer}, batch, step, validate, pictures)


def rendered(config: Config, split: face_sets.Split) -> crops_of.Crops:
    """The crops of training or the held-out ones; rendered once and kept."""
    held = split == "val"
    count, seed = VAL_CROPS if held else min(config.crops, config.drawn), config.seed + held
    key = repr((split, *(getattr(config, name) for name in MATERIAL), POOL, TURNED_SHARE))
    return crops_of.render(lambda: gather(config, split), SHARES, SIZE, count, seed, key)


def gather(config: Config, split: face_sets.Split) -> made_of.Material:
    """The material of the training or the held-out crops."""
    held = split == "val"
    faces = face_sets.load(config.data, config.sources, 128, "ffhq", split)
    few = min(POOL, max(config.drawn, FEWEST))  # a short run does not see the whole pool
    of_pool = segmentation.PoolConfig(VAL_CROPS if held else few, turned=TURNED_SHARE, seed=int(held))
    pool = segmentation.build_pool(faces, of_pool)
    points = faces.points[segmentation.order(faces, of_pool)].astype(np.float64)
    half: Literal["train", "val"] = "val" if held else "train"
    known = [p for name in config.photos for p in photos.load(config.data / name, half, every=HELD_PHOTOS)]
    folders = [config.data / name for name in config.scenes]
    bare = [p for folder in folders for p in photos.load(folder, half, None, HELD_PHOTOS, faceless=True)]
    scenes = [
        made_of.dressed(photo, SHARES, np.random.default_rng([config.seed + held, i, k]))
        for k in range(1 if held else VARIANTS) for i, photo in enumerate([*known, *bare])
        if k == 0 or len(photo.points)
    ]  # fmt: skip
    worn: list[made_of.Scene] = []
    if config.miner or config.worn:
        from ...faces.detect import load_detector

        if config.miner:
            miner = load_detector(config.miner, MINER_SCORE)
            scenes = made_of.with_candidates(scenes, miner, ZOOMS, config.seed)
        for name in config.worn:
            teacher = load_detector(config.teacher or "embedded")
            found = photos.load(config.data / name, half, teacher, every=2, dressed=True)
            made = [made_of.dressed(p, SHARES, np.random.default_rng(0)) for p in found]
            worn += [scene for scene in made if scene.sure.any()]
    things = made_of.things(bare or known, THINGS // (10 if held else 1), 128, config.seed + held)
    return made_of.Material(pool, points, scenes, worn, [*known, *bare], things, SHARES.close)


def losses(output: LandmarkerOutput, truth: crops_of.Batch) -> dict[str, Tensor]:
    """The named losses of a batch.

    Cross entropies of face and garment, squared error of the roll, distance of points and of aligned crops in shares of
    the wide crop.
    """
    far = (output.points - truth.points).square().sum(2).add(1e-8).sqrt() / 2  # [N,5]
    return {
        "face": _asked(output.face, truth.face),
        "garment": _asked(output.garment, truth.garment),
        "roll": _mean((output.roll - truth.roll).square().sum(1), truth.turned),
        "points": _mean(far.mean(1), truth.placed),
        "shift": _mean(shift(output.points, truth.points), truth.placed),
    }


def shift(found: Tensor, true: Tensor) -> Tensor:
    """How far the aligned crops [N] of two sets of points [N,5,2] lie apart, in shares of the wide crop.

    It is the mean over nine of their places, each crop being the least-squares similarity from the template to the
    points.
    """
    place = torch.view_as_complex(torch.from_numpy(align.template(landmarks.TEMPLATE, 1)).to(found))
    side = torch.linspace(0.0, 1.0, 3, dtype=found.dtype, device=found.device)
    spots = torch.complex(*torch.meshgrid(side, side, indexing="ij")).flatten() - place.mean()
    place = place - place.mean()
    ends = []
    for points in (found, true):
        z = torch.view_as_complex(points.contiguous())
        turn = (place.conj() * z).sum(1) / place.abs().square().sum()
        ends.append(z.mean(1)[:, None] + turn[:, None] * spots)
    return (ends[0] - ends[1]).abs().mean(1) / 2


def _asked(logits: Tensor, truth: Tensor) -> Tensor:
    known = (truth != UNKNOWN).float()
    return _mean(F.binary_cross_entropy_with_logits(logits, truth.clamp(min=0), reduction="none"), known)


def _mean(values: Tensor, where: Tensor) -> Tensor:
    return (values * where).sum() / where.sum().clamp(min=1)


@torch.no_grad()
def see(model: torch.nn.Module, x: Tensor, device: torch.device) -> LandmarkerOutput:
    """What the network in eval mode says of many crops [N,3,S,S], on the CPU."""
    model.eval()
    parts = [model(part.to(device)) for part in x.split(64)]
    return LandmarkerOutput(*(torch.cat(each).float().cpu() for each in zip(*parts, strict=True)))


def figures(model: torch.nn.Module, truth: crops_of.Batch, device: torch.device) -> dict[str, float]:
    """Figures of held-out crops, all from one look.

    Area under the ROC curve of face and of garment; median and p90 of the roll's error in degrees, and of the crop's
    shift in pixels of 128 under face masks.
    """
    output = see(model, truth.x, device)
    turned, placed = truth.turned > 0, (truth.placed > 0) & (truth.garment == 1)
    a, b = (torch.atan2(r[turned, 1], r[turned, 0]) for r in (output.roll, truth.roll))
    off = (torch.remainder(a - b + np.pi, 2 * np.pi) - np.pi).abs().rad2deg()
    size = truth.x.shape[-1]
    found, true = (landmarks.to_pixels(p[placed].numpy(), size) for p in (output.points, truth.points))
    moved = [landmarks.shift(f, t) for f, t in zip(found, true, strict=True)]
    out = {"face_auc": auc(output.face, truth.face), "garment_auc": auc(output.garment, truth.garment)}
    for name, values in (("roll", off.numpy()), ("shift", np.array(moved))):
        if len(values):
            out |= {f"{name}_median": float(np.median(values)), f"{name}_p90": float(np.quantile(values, 0.9))}
    return out


def auc(scores: Tensor, truth: Tensor) -> float:
    """How often a true one scores above a false one; unknown ones are left out; 0.5 where one kind is missing."""
    yes, no = scores[truth == 1], scores[truth == 0].sort().values
    if not len(yes) or not len(no):
        return 0.5
    return float(torch.searchsorted(no, yes).float().mean() / len(no))


def picture(model: torch.nn.Module, truth: crops_of.Batch, device: torch.device) -> np.ndarray:
    """Held-out crops: green points are true, red ones found; the frame says face (green) or not, wrong ones thick."""
    x, size = truth.x[:72], truth.x.shape[-1]
    output = see(model, x, device)
    drawn = []
    for i, crop in enumerate(to_uint8(x)):
        image = np.ascontiguousarray(crop)
        for points, color, known in ((truth.points, (0, 255, 0), truth.placed[i]), (output.points, (255, 0, 0), 1)):
            for px, py in landmarks.to_pixels(points[i].numpy(), size).round().astype(int).tolist() if known else ():
                cv2.circle(image, (px, py), 1, color, -1)
        said = bool(output.face[i] > 0)
        wrong = truth.face[i] != UNKNOWN and said != bool(truth.face[i])
        cv2.rectangle(image, (0, 0), (size - 1, size - 1), (0, 255, 0) if said else (255, 0, 0), 5 if wrong else 1)
        drawn.append(image)
    return sheet([drawn[k : k + 12] for k in range(0, len(drawn), 12)])
