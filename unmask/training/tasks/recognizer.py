"""Task ``recognizer``: an IR network that learns a teacher's view of bare faces from bare and covered ones.

Whatever covers a face, its embedding is to be the one that the teacher has of the bare face (``1 - cos``), and to be
told by that from all other training faces (:func:`unmask.losses.relation.contrast`). The teacher's last map of the
bare face (a hint: Romero et al. 2015, FitNets) says place by place what is to be seen there, under the cover too. Where
people are known, a margin softmax over identities can join.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ... import recognition, weights
from ...config import Depths, Margin, Number, Pixels, Positive, Share, Stride, Weight, Width, Widths
from ...data import augment, face_sets, garment_variation, masked, photometric
from ...errors import UsageError
from ...losses import identity, relation
from ...models.iresnet import IResNet
from ...simulation import patches
from .. import distributed, ema, loop, paired, schedule, teacher


@dataclass(frozen=True)
class Network:
    """Arguments of :class:`unmask.models.iresnet.IResNet`."""

    widths: Widths = (32, 64, 128, 224)
    """Channels of the stem and of each stage."""
    depths: Depths = (2, 3, 2)
    """Residual units of each stage."""
    embedding: Width = 128
    """Length of the embedding; the teacher's."""
    size: tuple[Pixels, Pixels] = (112, 112)
    """Height and width of faces, in pixels."""
    head: Literal["fc", "flat", "gdc"] = "gdc"
    """How the last map becomes a vector: a linear layer of all of it (``flat``: each value normalized first), or a
    learned weight for each channel and place."""
    stem_stride: Stride = 2
    """1 as in ArcFace, or 2 for a network four times cheaper."""
    dropout: Share = 0.0
    """Before the linear layer of ``fc`` and ``flat``."""
    act: Literal["lrelu", "prelu"] = "lrelu"
    """Activation."""
    early_stride: bool = True
    """Whether a unit's first convolution has the stride, which costs less."""

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.depths) + 1:
            raise ValueError(f"widths has {len(self.widths)} entries; it takes one more than depths")


@dataclass(frozen=True)
class Config(paired.Config):
    """Config of the recognizer; what ``clean_share`` and ``patched_share`` leave of a batch wears face masks."""

    warmup_steps: Number = 200
    clean_share: Share = 1.0
    model: Network = Network()
    """Shape of the network."""
    start: str = ""
    """Name or path of a recognizer's weights to go on from."""
    weight_decay: Weight = 5e-4
    """Of the optimizer."""
    patched_share: Share = 0.0
    """Of every batch, the faces with a picture pasted on."""
    restyled: Share = 0.0
    """Of the face masks, those in new colors and prints."""
    degraded: Share = 0.0
    """Of every batch, the faces that are blurred, noisy or compressed."""
    distill_weight: Weight = 1.0
    """Of the distance from the teacher's embedding of the bare face."""
    contrast_weight: Weight = 0.0
    """Of telling each face from all the others by the teacher's embeddings."""
    hint_channels: Number = 0
    """Principal components of the teacher's last map that the student's last map is to predict; 0: none."""
    hint_weight: Weight = 1.0
    """Of the error of those."""
    label_weight: Weight = 0.1
    """Of the margin softmax over people."""
    scale: Positive = 30.0
    """Scale of the margin softmax."""
    m_cos: Margin = 0.25
    """Margin of the margin softmax, taken from the cosine."""
    coarse_share: Share = 0.3
    """Of every batch, the faces that are shrunk and enlarged again."""
    ema_kimg: Weight = 5.0
    """Half-life of the average of the weights, which is measured and released, in thousand faces."""


class Batch(NamedTuple):
    """Faces x [N,3,S,S] in [-1,1], people [N] (-1 unknown), the teacher's vectors [N,D] and maps [N,C,h,w] or None."""

    x: Tensor
    people: Tensor
    vectors: Tensor | None
    maps: Tensor | None


@dataclass(frozen=True)
class Material:
    """Training faces [N], their masked versions (None: all stay bare), and what the teacher makes of them bare.

    ``vectors`` float32 [2,N,D] and ``maps`` float16 [2,N,C,h,w], of the faces and their mirror images, or None.
    """

    faces: face_sets.FaceSet
    masked_faces: masked.MaskedFaces | None
    vectors: np.ndarray | None
    maps: np.ndarray | None


def build(config: Config, device: torch.device) -> loop.Task:
    """The recognizer task on the faces of ``config.sources``."""
    height, width = config.model.size
    if height != width:
        raise UsageError("model.size: this task trains on the square arcface template; give it [S, S]")
    if config.clean_share + config.patched_share > 1:
        raise UsageError("patched_share: together with clean_share it is more than 1; make one smaller")
    if not (config.teacher or config.label_weight):
        raise UsageError("teacher: there is nothing to learn from; name a recognizer, or give label_weight a value")
    material = _material(config, height)
    torch.manual_seed(config.seed)
    network = loop.place(IResNet(**vars(config.model)), device)
    if config.start:
        weights.fill(network, weights.read(config.start, kind="iresnet"))
    people = int(material.faces.identity.max(initial=0)) + 1
    head = identity.MarginSoftmax(config.model.embedding, people, config.scale, 0.0, config.m_cos).to(device)
    modules: dict[str, nn.Module] = {"network": network, "head": head}
    hint = None
    if material.maps is not None:
        hint = modules["hint"] = loop.place(nn.Conv2d(config.model.widths[-1], config.hint_channels, 1), device)
    parameters = [parameter for module in modules.values() for parameter in module.parameters()]
    average = modules["average"] = ema.frozen_copy(network)
    optimizer = torch.optim.AdamW(parameters, config.lr, weight_decay=config.weight_decay)
    others = None if material.vectors is None else torch.from_numpy(material.vectors[0]).to(device)

    def step(content: Batch, at: int) -> Mapping[str, Tensor]:
        content = Batch(*(None if t is None else t.to(device) for t in content))  # type: ignore[arg-type]
        schedule.warm_cosine(optimizer, config.lr, at, config.warmup_steps, config.max_steps)
        network.train()
        with loop.autocast(config.precision, device):
            last = network.maps(content.x.contiguous(memory_format=torch.channels_last))[-1]
            found = network.head(last)
            predicted = hint(last) if hint is not None else None
        losses = _losses(config, head, found.float(), predicted, content, others)
        weighted = {"label": config.label_weight, "distill": config.distill_weight,
                    "contrast": config.contrast_weight, "hint": config.hint_weight}  # fmt: skip
        distributed.descend(optimizer, torch.stack([weighted[name] * loss for name, loss in losses.items()]).sum())
        ema.update(average, network, config.batch_size, config.ema_kimg, at)
        return {k: v.detach() for k, v in losses.items()}

    views = paired.held(config, height, "arcface")
    return loop.Task(
        modules,
        {"all": optimizer},
        lambda rng, at: draw(material, config, rng),
        step,
        lambda: paired.figures(lambda x, _: average(x.to(device)), views),
    )


def _material(config: Config, size: int) -> Material:
    faces = face_sets.load(config.data, config.sources, size=size, template="arcface", split="train")
    covered = config.clean_share + config.patched_share < 1
    masked_faces = (
        masked.masked_faces(faces, config.variants, config.seed, config.occluders, config.workers) if covered else None
    )
    if not config.teacher:
        return Material(faces, masked_faces, None, None)
    given = recognition.load(config.teacher)
    maps = None
    if config.hint_channels:
        vectors, maps = teacher.hints(faces, given, config.hint_channels)
    else:
        plain = teacher.embeddings(faces, given)
        vectors = np.broadcast_to(plain, (2, *plain.shape))
    if vectors.shape[2] != config.model.embedding:
        raise UsageError(f"teacher: its embeddings are {vectors.shape[2]} long; set model.embedding to that")
    return Material(faces, masked_faces, vectors, maps)


def draw(material: Material, config: Config, rng: np.random.Generator) -> Batch:
    """A batch of faces, bare and covered, with what the teacher makes of them bare."""
    n, faces = config.batch_size, material.faces
    rows = rng.integers(0, len(faces), n)
    images = faces.images[rows]
    kind = rng.random(n)
    worn = np.flatnonzero(kind >= config.clean_share + config.patched_share)
    if material.masked_faces is not None and len(worn):
        images[worn], regions = material.masked_faces.take(
            rng.integers(0, material.masked_faces.variants, len(worn)), rows[worn]
        )
        for i in np.flatnonzero(rng.random(len(worn)) < config.restyled):
            other = faces.images[rng.integers(len(faces))]
            images[worn[i]] = garment_variation.restyle(
                images[worn[i]], regions[i].astype(np.float32) / 255, other, rng
            )
    for i in np.flatnonzero((kind >= config.clean_share) & (kind < config.clean_share + config.patched_share)):
        factor = float(rng.choice(patches.FACTORS[:5]))
        images[i] = patches.cover(images[i], faces.points[rows[i]].astype(np.float64), rng, factor=factor).image
    for i in np.flatnonzero(rng.random(n) < config.degraded):
        images[i] = photometric.degrade(images[i], rng, 0.7)
    turned = (rng.random(n) < 0.5).astype(int)
    x = augment.to_float(augment.mirror(images, turned > 0))
    x = augment.affine(x, rng, shift=0.012, turn=3.0, zoom=0.03)
    x = augment.light(augment.soften(x, rng, config.coarse_share), rng)
    return Batch(
        x,
        torch.from_numpy(faces.identity[rows]),
        torch.from_numpy(material.vectors[turned, rows]) if material.vectors is not None else None,
        torch.from_numpy(material.maps[turned, rows]).float() if material.maps is not None else None,
    )


def _losses(
    config: Config, head: nn.Module, found: Tensor, predicted: Tensor | None, content: Batch, others: Tensor | None
) -> dict[str, Tensor]:
    losses = {"label": head(found, content.people)} if config.label_weight else {}
    if content.vectors is not None:
        student = nn.functional.normalize(found, dim=1)
        losses["distill"] = identity.cosine(student, content.vectors)
        if config.contrast_weight:
            losses["contrast"] = relation.contrast(student, content.vectors, others)
    if predicted is not None and content.maps is not None:
        losses["hint"] = unexplained(predicted.float(), content.maps)
    return losses


def unexplained(predicted: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared error of maps [N,C,h,w] over each channel's variance in the batch of ``wanted``; 0 is perfect."""
    error = (predicted - wanted).square().mean((0, 2, 3))
    return (error / wanted.var((0, 2, 3), correction=0).clamp(min=1e-6)).mean()
