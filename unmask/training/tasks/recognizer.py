"""Task ``recognizer``: an IR network that learns a teacher's view of bare faces from bare and covered ones.

Whatever covers a face, its embedding is to be the one that the teacher has of the bare face (``1 - cos``), and to be
told by that from all other training faces (:func:`unmask.losses.relation.contrast`). The mean of the teacher's vectors
is taken off them: it says nothing of anybody, and a network in doubt leans towards it. The teacher's last maps of the
bare face (hints: Romero et al. 2015, FitNets) say place by place what is to be seen there, the very last one under a
cover too. Where people are known, a margin softmax over identities can join.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ... import recognition, weights
from ...config import Depths, Margin, Pixels, Positive, Share, Stride, Weight, Width, Widths
from ...data import augment, face_sets, garment_variation, masked, photometric
from ...errors import UsageError
from ...losses import identity, relation
from ...models.iresnet import IResNet
from ...recognition import unit
from ...simulation import patches
from .. import distributed, ema, loop, paired, schedule, teacher

COARSE = 0.3  # of the faces, those that are made as coarse as small faces are


@dataclass(frozen=True)
class Network:
    """Arguments of :class:`unmask.models.iresnet.IResNet`."""

    widths: Widths = (32, 64, 128, 224)
    """Channels of the stem and of each stage."""
    depths: Depths = (2, 3, 2)
    """Residual units of each stage."""
    embedding: Width = 128
    """Length of the vector."""
    size: tuple[Pixels, Pixels] = (112, 112)
    """Height and width of faces, in pixels."""
    head: Literal["fc", "flat", "gdc"] = "gdc"
    """From the last map to the vector: one linear layer over all of it (``fc``, ``flat``), or weighted places."""
    stem_stride: Stride = 2
    """2 makes a network four times cheaper than 1."""
    dropout: Share = 0.0
    """Before the linear layer of ``fc`` and ``flat``."""
    act: Literal["lrelu", "prelu"] = "lrelu"
    """Activations; ``prelu`` is ArcFace's, ``lrelu`` trains faster on CPUs."""
    early_stride: bool = True
    """Whether a stage halves its maps in the first convolution, not in the second as ArcFace does."""

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.depths) + 1:
            raise ValueError(f"widths has {len(self.widths)} entries; it takes one more than depths")


@dataclass(frozen=True)
class Config(paired.Config):
    """Config of the recognizer."""

    model: Network = Network()
    """Shape of the network."""
    start: str = ""
    """Name or path of a recognizer's weights to go on from."""
    weight_decay: Weight = 5e-4
    """Of AdamW."""
    clean_share: Share = 1.0
    """Of every batch, the faces that stay bare; all but these and the patched ones wear simulated face masks."""
    patched_share: Share = 0.0
    """Of every batch, the faces with a picture pasted on them."""
    restyled: Share = 0.0
    """Of the face masks, those that get new colors, patterns or prints."""
    degraded: Share = 0.0
    """Of all faces, those that are blurred, noisy or compressed."""
    distill_weight: Weight = 1.0
    """Of the distance to the teacher's vector of the bare face."""
    contrast_weight: Weight = 0.0
    """Of telling a face by that vector from all other training faces."""
    hint_channels: Depths = ()
    """Of each of the teacher's last maps, finest first, the principal components that the student's map of the same
    height and width is to predict through a 1x1 convolution; empty gives no hints."""
    label_weight: Weight = 0.1
    """Of telling people by their labels."""
    scale: Positive = 30.0
    """Of the cosines of the margin softmax."""
    m_cos: Margin = 0.25
    """Its margin."""
    ema_kimg: Weight = 5.0
    """Half-life of the average of the weights that is measured and released, in thousand faces."""


class Batch(NamedTuple):
    """Faces x [N,3,S,S] in [-1,1], people [N] (-1 unknown), and the teacher's vectors [N,D] or None and maps [N,C,h,w].

    ``plain`` [N] is 1 where the maps are the picture's own, 0 where they are of the face under a cover, and -1 where
    the picture is mirrored, of which there are none.
    """

    x: Tensor
    people: Tensor
    vectors: Tensor | None
    maps: tuple[Tensor, ...]
    plain: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        vectors = None if self.vectors is None else self.vectors.to(device)
        maps = tuple(level.to(device) for level in self.maps)
        return Batch(self.x.to(device), self.people.to(device), vectors, maps, self.plain.to(device))


@dataclass(frozen=True)
class Material:
    """Training faces [N], their masked versions (None: all stay bare), and what the teacher makes of them bare.

    ``vectors`` float32 [N,D], of unit length less their own ``mean`` [D], and each of ``maps`` float16 [N,C,h,w].
    """

    faces: face_sets.FaceSet
    masked_faces: masked.MaskedFaces | None
    vectors: np.ndarray | None
    mean: np.ndarray | None
    maps: Sequence[np.ndarray]


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
    hints = loop.place(_hints(network, material.maps), device)
    if len(hints):
        modules["hint"] = hints
    parameters = [parameter for module in modules.values() for parameter in module.parameters()]
    average = modules["average"] = ema.frozen_copy(network)
    optimizer = torch.optim.AdamW(parameters, config.lr, weight_decay=config.weight_decay)
    others = None if material.vectors is None else torch.from_numpy(material.vectors).to(device)

    def step(content: Batch, at: int) -> Mapping[str, Tensor]:
        content = content.to(device)
        schedule.warm_cosine(optimizer, config.lr, at, config.warmup_steps, config.max_steps)
        network.train()
        with loop.autocast(config.precision, device):
            levels = network.maps(content.x.contiguous(memory_format=torch.channels_last))
            found = network.head(levels[-1])
            predicted = [hint(level) for hint, level in zip(hints, levels[-len(hints) :], strict=True)] if hints else []
        losses = _losses(config, head, found.float(), predicted, content, others)
        weighted = {"label": config.label_weight, "distill": config.distill_weight,
                    "contrast": config.contrast_weight, "hint": 1.0}  # fmt: skip
        distributed.descend(optimizer, torch.stack([weighted[name] * loss for name, loss in losses.items()]).sum())
        ema.update(average, network, config.batch_size, config.ema_kimg, at)
        return {k: v.detach() for k, v in losses.items()}

    views = paired.held(config, height, "arcface")
    if views.targets is not None:
        views = replace(views, targets=unit(views.targets - material.mean))
    return loop.Task(
        modules,
        {"all": optimizer},
        lambda rng, at: draw(material, config, rng),
        step,
        lambda: paired.figures(lambda x, _: average(x.to(device)), views),
    )


def _material(config: Config, size: int) -> Material:
    whole = face_sets.load(config.data, config.sources, size=size, template="arcface", split="train")
    faces = masked.enough(whole, config.drawn)
    covered = config.clean_share + config.patched_share < 1
    masked_faces = (
        masked.masked_faces(faces, config.variants, config.seed, config.occluders, config.workers) if covered else None
    )
    if not config.teacher:
        return Material(faces, masked_faces, None, None, ())
    given = recognition.load(config.teacher)
    vectors, maps = (
        teacher.hints(faces, given, config.hint_channels)
        if config.hint_channels
        else (teacher.embeddings(faces, given), ())
    )
    if vectors.shape[1] != config.model.embedding:
        raise UsageError(f"teacher: its embeddings are {vectors.shape[1]} long; set model.embedding to that")
    mean = vectors.mean(0)
    return Material(faces, masked_faces, unit(vectors - mean), mean, maps)


def _hints(network: IResNet, maps: Sequence[np.ndarray]) -> nn.ModuleList:
    """One 1x1 convolution, which starts at zero, from each of the student's last maps to the teacher's of that size."""
    grids = [tuple(side * 2**i for side in network.grid) for i in reversed(range(len(network.stages)))]
    there = list(zip(network.widths[1:], grids, strict=True))[len(grids) - len(maps) :]
    if [grid for _, grid in there] != [level.shape[2:] for level in maps]:
        theirs = ", ".join(f"{level.shape[2]} x {level.shape[3]}" for level in maps)
        raise UsageError(
            f"hint_channels: the teacher's maps have {theirs} places and the network's "
            f"{', '.join(f'{h} x {w}' for _, (h, w) in there)}; change depths or stem_stride of the model"
        )
    hints = nn.ModuleList(nn.Conv2d(width, level.shape[1], 1) for (width, _), level in zip(there, maps, strict=True))
    for parameter in hints.parameters():
        nn.init.zeros_(parameter)
    return hints


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
    turned = rng.random(n) < 0.5
    x = augment.to_float(augment.mirror(images, turned))
    x = augment.affine(x, rng, shift=0.012, turn=3.0, zoom=0.03)
    x = augment.light(augment.soften(x, rng, COARSE), rng)
    return Batch(
        x,
        torch.from_numpy(faces.identity[rows]),
        torch.from_numpy(material.vectors[rows]) if material.vectors is not None else None,
        tuple(torch.from_numpy(level[rows]).float() for level in material.maps),
        torch.from_numpy(np.where(turned, -1, kind < config.clean_share)),
    )


def _losses(
    config: Config, head: nn.Module, found: Tensor, predicted: Sequence[Tensor], content: Batch, others: Tensor | None
) -> dict[str, Tensor]:
    losses = {"label": head(found, content.people)} if config.label_weight else {}
    if content.vectors is not None:
        student = nn.functional.normalize(found, dim=1)
        losses["distill"] = identity.cosine(student, content.vectors)
        if config.contrast_weight:
            losses["contrast"] = relation.contrast(student, content.vectors, others)
    if predicted:
        last = len(predicted) - 1
        shares = []
        for i, (level, wanted) in enumerate(zip(predicted, content.maps, strict=True)):
            rows = content.plain >= (0 if i == last else 1)
            # without such rows it is still zero by all weights, so that every process has gradients for the same ones
            shares.append(unexplained(level[rows].float(), wanted[rows]) if rows.any() else level.float().sum() * 0)
        losses["hint"] = torch.stack(shares).sum()
    return losses


def unexplained(predicted: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared error of maps [N,C,h,w], over the variance of ``wanted``.

    That is around the mean of its channels in the batch: 0 is perfect, 1 what that mean would give.
    """
    around = wanted.var((0, 2, 3), correction=0).sum().clamp(min=1e-6)
    return (predicted - wanted).square().mean((0, 2, 3)).sum() / around
