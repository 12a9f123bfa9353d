"""Training task ``segmenter``: region and presence of a face mask, on aligned faces with simulated ones.

A pool of faces (with a simulated face mask, without, or behind a hand or another object) is rendered once and kept;
every step draws from it with a new misalignment, light, camera and, for a share, a new look of the garment. Objects
that are no face mask have garment 0 and an empty region: they are not to be restored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ... import weights
from ...config import Depths, PoolSize, Side, Widths
from ...data import face_sets, segmentation, self_labels
from ...images import sheet, to_uint8
from ...models.segmenter import Segmenter
from .. import distributed, loop, schedule

VAL_FACES = 500
FEWEST = 64  # of the pool
WORN_REPEATS = 10  # of real face masks in the pool
DETECTOR = "embedded"  # finds the faces in those
TURNED_SHARE = 0.2  # of the pool, the faces chosen for being turned to a side, of which photos have few
ACCESSORY_SHARE = 0.2  # of the face masks, those with straps, valves or cloth down the neck
WEIGHT_DECAY = 1e-4
GARMENT_WEIGHT = 0.3
THIN, THIN_WEIGHT = 0.04, 4.0  # of the side: what is as narrow as a strap; and how much more its pixels weigh


@dataclass(frozen=True)
class Network:
    """Arguments of :class:`unmask.models.segmenter.Segmenter`."""

    widths: Widths = (32, 48, 64, 80)
    """Channels of each stage, from half the resolution on."""
    depths: Depths = (1, 1, 1, 1)
    """Residual blocks of each stage."""
    ups: Widths = (64, 48, 32)
    """Channels on the way up."""

    def __post_init__(self) -> None:
        if len(self.depths) != len(self.widths) or len(self.ups) != len(self.widths) - 1:
            raise ValueError("depths has an entry for each of widths, and ups one fewer")


@dataclass(frozen=True)
class Config(loop.RunConfig):
    """Config of the segmenter."""

    model: Network = Network()
    """Shape of the network."""
    size: Side = 128
    """Height and width of faces, in pixels."""
    pool: PoolSize = 12_000
    """Faces that are rendered once, with and without face masks."""
    start: str = ""
    """Name or path of a segmenter's weights to go on from."""
    worn: tuple[str, ...] = ()
    """Folders of photos of people in real face masks."""
    worn_labels: str = ""
    """Name or path of an earlier segmenter: with the regions that it finds, every second photo of ``worn`` joins."""


def build(config: Config, device: torch.device) -> loop.Task:
    """The training task: builds the pool (once, cached) and the network."""
    faces = face_sets.load(config.data, config.sources, config.size, "ffhq", "train")
    # a short run does not see the whole pool, and takes a few to have face masks among them
    count = min(config.pool, max(config.drawn, FEWEST))
    augment = segmentation.AugmentConfig(accessories=ACCESSORY_SHARE)
    pool = segmentation.build_pool(faces, segmentation.PoolConfig(count, turned=TURNED_SHARE))
    if config.worn and config.worn_labels:
        folders = [config.data / name for name in config.worn]
        more = self_labels.from_folders(folders, DETECTOR, config.worn_labels)
        pool = segmentation.extended(pool, *more, WORN_REPEATS)
    held_out = _held(config) if config.measured else None
    torch.manual_seed(config.seed)
    model = Segmenter(**vars(config.model)).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if config.start:
        weights.fill(model, weights.read(config.start, kind="segmenter"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=WEIGHT_DECAY)

    def batch(rng: np.random.Generator, step: int) -> tuple[Tensor, Tensor, Tensor]:
        return segmentation.batch(pool, augment, config.batch_size, rng)

    def step(inputs: tuple[Tensor, Tensor, Tensor], at: int) -> Mapping[str, Tensor | float]:
        model.train()
        schedule.warm_cosine(optimizer, config.lr, at, config.warmup_steps, config.max_steps)
        x, region, garment = (t.to(device) for t in inputs)
        with loop.autocast(config.precision, device):
            logits, score = model(x.contiguous(memory_format=torch.channels_last))
        losses = region_losses(logits, region)
        losses["garment"] = F.binary_cross_entropy_with_logits(score, garment)
        distributed.descend(optimizer, losses["bce"] + losses["dice"] + GARMENT_WEIGHT * losses["garment"])
        return {k: v.detach() for k, v in losses.items()}

    return loop.Task(
        {"model": model},
        {"optimizer": optimizer},
        batch,
        step,
        (lambda: figures(model, held_out, augment, device)) if held_out else None,
        (lambda: picture(model, held_out, augment, device)) if held_out else None,
    )


def _held(config: Config) -> segmentation.Pool:
    """The pool of held-out faces."""
    held = face_sets.load(config.data, config.sources, config.size, "ffhq", "val")
    return segmentation.build_pool(held, segmentation.PoolConfig(VAL_FACES, turned=TURNED_SHARE, seed=1))


def region_losses(logits: Tensor, region: Tensor) -> dict[str, Tensor]:
    """Cross entropy per pixel and the Dice loss per face, of logits and truth [N,1,S,S] (truth in [0,1]).

    Where the truth is thin, as straps are, a pixel counts for several: missed straps cost little else, and are seen.
    """
    probability = logits.sigmoid()
    overlap = (probability * region).sum((1, 2, 3))
    total = probability.sum((1, 2, 3)) + region.sum((1, 2, 3))
    smooth = 0.005 * logits[0].numel()  # an empty region with few false pixels costs little
    return {
        "bce": F.binary_cross_entropy_with_logits(logits, region, 1 + THIN_WEIGHT * thin(region)),
        "dice": (1 - (2 * overlap + smooth) / (total + smooth)).mean(),
    }


def thin(region: Tensor) -> Tensor:
    """What of regions [N,1,S,S] is narrower than :data:`THIN` of the side, and as much around it; 0 or 1."""
    radius = max(1, round(THIN * region.shape[2] / 2))
    side = 2 * radius + 1
    inner = -F.max_pool2d(-region, side, 1, radius)
    opened = F.max_pool2d(inner, side, 1, radius)
    narrow = ((region - opened) > 0.5).float()
    return F.max_pool2d(narrow, 3, 1, 1)


@torch.no_grad()
def figures(
    model: torch.nn.Module, pool: segmentation.Pool, augment: segmentation.AugmentConfig, device: torch.device
) -> dict[str, float]:
    """IoU over faces with a mask, share of faces whose garment score is right, and false pixels without a mask."""
    model.eval()
    overlaps, right, false = [], [], []
    for start in range(0, len(pool), 50):
        rows = np.arange(start, min(start + 50, len(pool)))
        x, region, garment = segmentation.batch(pool, augment, len(rows), np.random.default_rng([7, start]), rows)
        logits, score = model(x.to(device))
        found, truth = logits.cpu() > 0, region > 0.5
        iou = (found & truth).sum((1, 2, 3)) / (found | truth).sum((1, 2, 3)).clamp(min=1)
        overlaps += iou[garment > 0.5].tolist()
        right += ((score.cpu() > 0) == (garment > 0.5)).float().tolist()
        false += found.float().mean((1, 2, 3))[garment < 0.5].tolist()
    return {
        "iou": float(np.mean(overlaps)),
        "iou_p10": float(np.quantile(overlaps, 0.1)),
        "garment_right": float(np.mean(right)),
        "false_pixels": float(np.mean(false)) if false else 0.0,
    }


@torch.no_grad()
def picture(
    model: torch.nn.Module, pool: segmentation.Pool, augment: segmentation.AugmentConfig, device: torch.device
) -> np.ndarray:
    """Held-out faces above their found regions (red: found; green: missed truth)."""
    model.eval()
    x, region, _ = segmentation.batch(pool, augment, 32, np.random.default_rng(3), np.arange(min(32, len(pool))))
    found = model(x.to(device))[0].sigmoid().cpu()
    red = torch.cat([found, region * (1 - found), torch.zeros_like(found)], 1) * 2 - 1
    over = to_uint8(torch.where(torch.maximum(found, region) > 0.5, 0.5 * x + 0.5 * red, x))
    plain = to_uint8(x)
    rows = []
    for start in range(0, len(plain), 16):
        rows += [list(plain[start : start + 16]), list(over[start : start + 16])]
    return sheet(rows)
