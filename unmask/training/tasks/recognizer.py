"""Task ``recognizer``: an IR network on clean faces, distilled from a teacher's embeddings and from identity labels.

The student learns the teacher's unit-length embedding of each face (``1 - cos``), optionally an inner map of the
teacher (a hint: Romero et al. 2015, FitNets), and, where people are known, a margin softmax over identities. Only clean
faces are used: what the network makes of face masks it owes to nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ... import recognition, weights
from ...config import Depths, Margin, Number, Pixels, Positive, Rate, Share, Stride, Weight, Width, Widths
from ...data import augment, face_sets
from ...errors import UsageError
from ...losses import identity
from ...models.iresnet import IResNet
from .. import distributed, loop, schedule, teacher


@dataclass(frozen=True)
class Network:
    """Arguments of :class:`unmask.models.iresnet.IResNet`."""

    widths: Widths = (32, 64, 128, 224)
    depths: Depths = (2, 3, 2)
    embedding: Width = 128
    size: tuple[Pixels, Pixels] = (112, 112)
    head: Literal["fc", "flat", "gdc"] = "gdc"
    stem_stride: Stride = 2
    dropout: Share = 0.0
    act: Literal["lrelu", "prelu"] = "lrelu"
    early_stride: bool = True

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.depths) + 1:
            raise ValueError(f"widths has {len(self.widths)} entries; it takes one more than depths")


@dataclass(frozen=True)
class Config(loop.RunConfig):
    """Config of the recognizer.

    ``teacher`` is a recognizer's name or path; empty trains on labels alone. ``hint_layer`` names a tensor [N,C,h,w]
    inside the teacher's ONNX graph that the student's last map, of the same height and width, is to predict through a
    1x1 convolution; empty gives no hints. ``start`` (name or path of a recognizer's weights) goes on from those.
    """

    model: Network = Network()
    sources: tuple[str, ...] = ()
    teacher: str = ""
    hint_layer: str = ""
    start: str = ""
    lr: Rate = 2e-3
    weight_decay: Weight = 5e-4
    warmup_steps: Number = 200
    distill_weight: Weight = 1.0
    hint_weight: Weight = 1.0
    label_weight: Weight = 0.1
    scale: Positive = 30.0
    m_cos: Margin = 0.25
    coarse_share: Share = 0.3


class Batch(NamedTuple):
    """Faces x [N,3,S,S] in [-1,1], people [N] (-1 unknown), the teacher's vectors [N,D] and maps [N,C,h,w] or None."""

    x: Tensor
    people: Tensor
    vectors: Tensor | None
    maps: Tensor | None


def build(config: Config, device: torch.device) -> loop.Task:
    """The recognizer task on the faces of ``config.sources``."""
    height, width = config.model.size
    if height != width:
        raise UsageError("model.size: this task trains on the square arcface template; give it [S, S]")
    faces = face_sets.load(config.data, config.sources, size=height, template="arcface", split="train")
    held = face_sets.load(config.data, config.sources, size=height, template="arcface", split="val")
    judge = recognition.load(config.teacher) if config.teacher else None
    targets, maps = _targets(config, faces, judge)
    held_targets = torch.from_numpy(teacher.embeddings(held, judge)) if judge else None
    if targets is not None and targets.shape[2] != config.model.embedding:
        raise UsageError(f"teacher: its embeddings are {targets.shape[2]} long; set model.embedding to that")
    torch.manual_seed(config.seed)
    network = loop.place(IResNet(**vars(config.model)), device)
    if config.start:
        weights.fill(network, weights.read(config.start, kind="iresnet"))
    head = identity.MarginSoftmax(
        config.model.embedding, int(faces.identity.max(initial=0)) + 1, config.scale, 0.0, config.m_cos
    ).to(device)
    modules: dict[str, nn.Module] = {"network": network, "head": head}
    hint = None
    if maps is not None:
        hint = modules["hint"] = loop.place(nn.Conv2d(config.model.widths[-1], maps.shape[2], 1), device)
    parameters = [parameter for module in modules.values() for parameter in module.parameters()]
    optimizer = torch.optim.AdamW(parameters, config.lr, weight_decay=config.weight_decay)

    def batch(rng: np.random.Generator, step: int) -> Batch:
        chosen = rng.integers(0, len(faces), config.batch_size)
        turned = (rng.random(len(chosen)) < 0.5).astype(int)
        images = augment.mirror(faces.images[chosen], turned > 0)
        x = augment.affine(augment.to_float(images), rng, shift=0.012, turn=3.0, zoom=0.03)
        x = augment.light(augment.soften(x, rng, config.coarse_share), rng)
        return Batch(
            x,
            torch.from_numpy(faces.identity[chosen]),
            torch.from_numpy(targets[turned, chosen]) if targets is not None else None,
            torch.from_numpy(maps[turned, chosen]).float() if maps is not None else None,
        )

    def step(content: Batch, at: int) -> Mapping[str, Tensor]:
        content = Batch(*(None if t is None else t.to(device) for t in content))  # type: ignore[arg-type]
        schedule.warm_cosine(optimizer, config.lr, at, config.warmup_steps, config.max_steps)
        network.train()
        with loop.autocast(config.precision, device):
            last = network.maps(content.x.contiguous(memory_format=torch.channels_last))[-1]
            found = network.head(last)
            predicted = hint(last) if hint is not None else None
        found = found.float()
        losses = {"label": head(found, content.people)}
        total = config.label_weight * losses["label"]
        if content.vectors is not None:
            losses["distill"] = identity.cosine(torch.nn.functional.normalize(found), content.vectors)
            total = total + config.distill_weight * losses["distill"]
        if predicted is not None and content.maps is not None:
            losses["hint"] = unexplained(predicted.float(), content.maps)
            total = total + config.hint_weight * losses["hint"]
        distributed.descend(optimizer, total)
        return {k: v.detach() for k, v in losses.items()}

    @torch.no_grad()
    def validate() -> dict[str, float]:
        network.eval()
        found = torch.cat(
            [network.embed(augment.to_float(held.images[i : i + 128]).to(device)) for i in range(0, len(held), 128)]
        ).cpu()
        figures = same_different(found.numpy(), held.identity)
        if held_targets is not None:
            figures["cos_to_teacher"] = float((found * held_targets).sum(1).mean())
        return figures

    return loop.Task(modules, {"all": optimizer}, batch, step, validate)


def _targets(
    config: Config, faces: face_sets.FaceSet, judge: recognition.Recognizer | None
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The teacher's embeddings [2,N,D] (of the faces and their mirror images) and maps [2,N,C,h,w], or None."""
    if judge is None:
        return None, None
    if config.hint_layer:
        return teacher.hints(faces, judge, config.hint_layer)
    found = teacher.embeddings(faces, judge)
    return np.broadcast_to(found, (2, *found.shape)), None


def unexplained(predicted: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared error of maps [N,C,h,w] over each channel's variance in the batch of ``wanted``; 0 is perfect."""
    error = (predicted - wanted).square().mean((0, 2, 3))
    return (error / wanted.var((0, 2, 3), correction=0).clamp(min=1e-6)).mean()


def same_different(embeddings: np.ndarray, people: np.ndarray, probes: np.ndarray | None = None) -> dict[str, float]:
    """Mean similarity of pictures of the same and of different people, and the share of same above 99.9 % of others.

    ``embeddings`` [N,D] of unit length and ``people`` [N] (-1 unknown); ``probes`` [N,D] are other views of the same
    pictures, each compared with all other pictures of ``embeddings``.
    """
    known = people >= 0
    found, people = embeddings[known], people[known]
    if len(found) < 2:
        return {}
    pairs = np.triu_indices(len(found), 1) if probes is None else np.nonzero(~np.eye(len(found), dtype=bool))
    scores, same = ((found if probes is None else probes[known]) @ found.T)[pairs], (people[:, None] == people)[pairs]
    if not same.any() or same.all():
        return {}
    threshold = np.quantile(scores[~same], 0.999)
    return {
        "same": float(scores[same].mean()),
        "different": float(scores[~same].mean()),
        "tar_at_far_1e-3": float((scores[same] > threshold).mean()),
    }
