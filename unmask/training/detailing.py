"""``tune: detail`` of the task ``unmasker``: the layers that double the side learn detail from bare faces made coarse.

A restored face is one guess of many, and its detail cannot be learned against the true face, whose mouth is another.
So the truth is the very face that was made coarse: shrunk, blurred as much as a generator's picture may be, with noise
and blotches (a blind super-resolution as in Zhang et al. 2021, arXiv:2103.14006, with degradations of our own); its
lower part is hidden from what the layers see at full side. The generator and all else stay as they were.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..data import face_sets, masked
from ..losses import perceptual
from ..models.encoder import grown, visible
from ..models.unmasker import Unmasker
from . import distributed, ema, loop, restoring, schedule

if TYPE_CHECKING:
    from .tasks.unmasker import Config

WINDOW = 48  # coarse pixels: what is made larger at a step
BLUR = (0.4, 1.3)  # deviations, in pixels of the coarse picture
NOISE_WIDTHS, NOISE = (0.2, 0.6), 0.015  # deviations in pixels; of half the range, at most, in half of the pictures
BLOTCH_WIDTHS, BLOTCHES = (1.0, 3.0), 0.03  # the same of what is coarser, as generators leave on cheeks
SHARE = 0.6  # of the detail that is to be learned: all of it makes a wrong guess plainer, and less like the person
OUTSIDE = 0.1  # weight of errors outside the region
SMALL, SIDES = 0.4, (0.3, 0.8)  # of the faces, those from small photos, and the side of these in shares of the crop's
LOWER = (0.28, 0.06)  # where windows over the lower face begin, in shares of the side from above and from the left
ANYWHERE = 0.15  # of the windows, those that lie anywhere


class Windows(NamedTuple):
    """Parts of true faces y [N,3,2W,2W], the same made coarse [N,3,W,W], and what is seen of the faces [N,4,2W,2W]."""

    y: Tensor
    coarse: Tensor
    seen: Tensor


def build(config: Config, device: torch.device) -> loop.Task:
    """The task that trains the detail of the unmasker that ``config.start`` names."""
    network = loop.place(Unmasker(**asdict(config.model)), device)
    restoring.go_on(network, config.start)
    network.eval().requires_grad_(False)
    detail = network.detail
    assert detail is not None  # the config says so
    faces = masked.enough(face_sets.load(config.data, config.sources, size=network.size, split="train"), config.drawn)
    masked_faces = masked.masked_faces(faces, config.variants, config.seed, masked.OCCLUDERS, config.workers)
    sampler = masked.Sampler(faces, masked_faces, config.turned_share)
    held = restoring.held(config, network.size) if config.measured else None
    reads = perceptual.load(config.recognizer, network.size, device) if held and config.model.identity else None
    average = ema.frozen_copy(network)
    detail.requires_grad_()
    optimizer = torch.optim.Adam(detail.parameters(), config.lr, betas=(0.9, 0.99))

    def batch(rng: np.random.Generator, step: int) -> Windows:
        drawn = sampler.draw(rng, config.batch_size, masked.GROW, light=config.light_share)
        return windows(drawn.y, drawn.region, min(WINDOW, network.size // 2), rng)

    def step(content: Windows, at: int) -> Mapping[str, Tensor]:
        content = Windows(*(t.to(device).contiguous(memory_format=torch.channels_last) for t in content))
        schedule.warm_cosine(optimizer, config.lr, at, config.warmup_steps, config.max_steps)
        with loop.autocast(config.precision, device):
            y_hat = detail(content.coarse, content.seen).float()
        y = detail.enlarged(content.coarse).lerp(content.y, SHARE)
        weight = (content.seen[:, 3:] + 1) / 2 + OUTSIDE
        error = ((y_hat - y).abs() * weight).sum() / (3 * weight.sum())
        optimizer.zero_grad(set_to_none=True)
        error.backward()
        distributed.average_gradients([*detail.parameters()])
        nn.utils.clip_grad_norm_(detail.parameters(), 1.0)
        optimizer.step()
        ema.update(average, network, config.batch_size, config.ema_kimg, at)
        return {"pixel": error.detach()}

    return loop.Task(
        {"network": network, "average": average},
        {"network": optimizer},
        batch,
        step,
        (lambda: restoring.figures(average, reads, held, config.precision, device)) if held else None,
        (lambda: restoring.sheet(average, reads, held, config.precision, device)) if held else None,
        restoring.read_by(config),
    )


def windows(y: Tensor, region: Tensor, side: int, rng: np.random.Generator) -> Windows:
    """Windows, ``side`` pixels wide in coarse faces, of faces y [N,3,S,S] and their regions [N,1,S,S]."""
    corner = corners(rng, len(y), y.shape[3] // 2, side)
    parts = []
    for one, hidden, (top, left) in zip(y.split(1), region.split(1), corner.tolist(), strict=True):
        one = of_small_photo(one, rng.uniform(*SIDES)) if rng.random() < SMALL else one
        fine = (..., slice(2 * top, 2 * (top + side)), slice(2 * left, 2 * (left + side)))
        small = coarsened(one, rng)[..., top : top + side, left : left + side]
        parts.append((one[fine], small, visible(one, grown(hidden, int(rng.integers(1, 4))))[fine]))
    return Windows(*(torch.cat(each) for each in zip(*parts, strict=True)))


def of_small_photo(y: Tensor, share: float) -> Tensor:
    """A face [1,3,S,S] as it is cut from a photo in which it is ``share`` as wide: there is no detail to add."""
    whole = y[0].permute(1, 2, 0).numpy()
    side = max(1, round(share * len(whole)))
    small = cv2.resize(whole, (side, side), interpolation=cv2.INTER_AREA)
    back = cv2.resize(small, whole.shape[1::-1], interpolation=cv2.INTER_LANCZOS4)
    return torch.from_numpy(back).permute(2, 0, 1)[None]


def corners(rng: np.random.Generator, count: int, size: int, side: int) -> np.ndarray:
    """Upper left corners [count,2] (row, column) of windows of ``side`` in coarse faces, most over the lower face."""
    least = np.where(rng.random((count, 1)) < ANYWHERE, 0, [[round(share * size) for share in LOWER]])
    most = size - side - least * [[0, 1]]
    least = np.minimum(least, most)
    return rng.integers(least, most + 1)


def coarsened(y: Tensor, rng: np.random.Generator) -> Tensor:
    """A face [1,3,S,S] as a generator of half its side may paint it, [1,3,S/2,S/2]."""
    small = functional.avg_pool2d(y, 2)[0].permute(1, 2, 0).numpy()
    small = cv2.GaussianBlur(small, (0, 0), rng.uniform(*BLUR), borderType=cv2.BORDER_REPLICATE)
    for width, most in ((NOISE_WIDTHS, NOISE), (BLOTCH_WIDTHS, BLOTCHES)):
        if rng.random() < 0.5:
            noise = cv2.GaussianBlur(rng.standard_normal(small.shape[:2], np.float32), (0, 0), rng.uniform(*width))
            small = small + (noise * np.float32(rng.uniform(0, most) / noise.std()))[:, :, None]
    return torch.from_numpy(small).permute(2, 0, 1)[None]
