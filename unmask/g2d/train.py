"""Task ``g2d``: G2D (Ge et al. 2024), trained greedily part after part, each stage from where the one before ended.

Stage ``encoder`` fine-tunes the encoder of a painter (our unmasker, or ICT's up-sampler) on the pixels of the unmasked
face. Stage ``reformer`` learns, behind the frozen encoder, the relations that a teacher sees among the unmasked faces,
from masked ones and without labels. Stage ``classifier`` learns people by labels behind the frozen backbone. With
``model.encoder.kind: pixels`` it is the baseline: the same reformer on the masked pixels themselves.

The stages and their supervision are the paper's; losses, weights and schedules are ours (see docs/recognizers.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .. import weights
from ..data import augment, masked
from ..errors import UsageError
from ..evaluation.restoration import quality
from ..faces import align
from ..losses import identity, pixel, relation
from ..models.unmasker import Unmasker
from ..training import distributed, loop, paired, schedule
from . import ict, reformer
from .config import Config
from .network import G2D, NATIVE, FeatureClassifier

STAGES = ("encoder", "reformer", "classifier")
BARE = ("pixels", "crop")  # kinds of encoders that know nothing
ANGLE_FACES = 48  # of a batch, those of whose angles the loss is made
ANGLE_WEIGHT = 2.0
PAINTED = 16  # faces of a step of the encoder's stage at most, before our unmasker: painting costs much
LR_ENCODER, LR_CLASSIFIER = 1e-4, 1e-2  # the reformer's is the config's


class Batch(NamedTuple):
    """Masked x and bare y [N,3,S,S], region [N,1,S,S], people [N] (-1 unknown), the teacher's vectors [N,D] or None."""

    x: Tensor
    y: Tensor
    region: Tensor
    people: Tensor
    vectors: Tensor | None


@dataclass(frozen=True)
class _Parts:
    """The modules of a run; the encoder of ``network`` is made of the painter's own layers.

    ``known`` are the teacher's vectors [M,D] of all faces, if there is one.
    """

    network: G2D
    classifier: FeatureClassifier
    painter: nn.Module | None
    known: Tensor | None = None

    def modules(self) -> dict[str, nn.Module]:
        found: dict[str, nn.Module] = {"network": self.network, "classifier": self.classifier}
        return found if self.painter is None else {**found, "painter": self.painter}


def build(config: Config, device: torch.device) -> loop.Task:
    """The G2D task on the faces of ``config.sources``."""
    ends = (config.encoder_steps, config.encoder_steps + config.reformer_steps, config.max_steps)
    if config.model.encoder.kind in BARE and config.encoder_steps:
        raise UsageError("encoder_steps: a baseline on pixels has no encoder; set it to 0")
    if config.reformer_steps and not config.teacher:
        raise UsageError("teacher: the reformer's stage learns from one; name a recognizer")
    size = config.model.size
    faces = paired.load(config, size, "ffhq", config.model.embedding)
    views = paired.held(config, size, "ffhq")
    torch.manual_seed(config.seed)
    parts = _parts(config, faces.people, device)
    if faces.targets is not None:
        parts = replace(parts, known=torch.from_numpy(faces.targets).to(device))
    optimizers = _optimizers(config, parts)
    sampler = masked.Sampler(faces.faces, faces.masked_faces)
    latest = {"stage": schedule.stage(0, ends)[0]}

    def batch(rng: np.random.Generator, step: int) -> Batch:
        return _draw(sampler, faces, config, rng, bare=schedule.stage(step, ends)[0] == 0)

    def step(content: Batch, at: int) -> Mapping[str, Tensor]:
        content = Batch(*(None if t is None else t.to(device) for t in content))  # type: ignore[arg-type]
        stage, within, length = schedule.stage(at, ends)
        latest["stage"] = stage
        optimizer = optimizers[STAGES[stage]]
        lr = (LR_ENCODER, config.lr, LR_CLASSIFIER)[stage]
        schedule.warm_cosine(optimizer, lr, within, min(config.warmup_steps, length // 2), length)
        losses = _STEPS[stage](parts, content, config, device)
        distributed.descend(optimizer, sum(losses.values(), torch.zeros((), device=device)))
        return {k: v.detach() for k, v in losses.items()}

    return loop.Task(parts.modules(), optimizers, batch, step,
                     lambda: _validate(parts, views, config, device, latest["stage"]))  # fmt: skip


def _parts(config: Config, people: int, device: torch.device) -> _Parts:
    arch, state = _shape(asdict(config))
    try:
        network = G2D(**arch)
    except ValueError as error:
        raise UsageError(f"model: {error}") from None
    if state is not None:
        network.reformer.load_state_dict(state)
    elif config.recognizer and isinstance(network.reformer, reformer.Reformer):
        reformer.start(network.reformer, config.recognizer)
    network = loop.place(network, device)
    classifier = FeatureClassifier(config.model.embedding, people).to(device)
    painter: nn.Module
    if config.model.encoder.kind in BARE:
        return _Parts(network, classifier, None)
    if config.model.encoder.kind == "ict":
        painter = ict.IctUpsampler(config.model.encoder.widths, max(8, config.model.encoder.block))
        if config.start:
            painter.load_state_dict(ict.read(config.start))
    elif config.start:
        found = weights.read(config.start, kind="unmasker")
        unmasker: Unmasker = weights.build(found)
        unmasker.identity = None  # who is under the face mask is for the reformer to say
        painter = unmasker
        if found.arch["img_resolution"] != config.model.size:
            raise UsageError(f"model.size: {config.start} works at {found.arch['img_resolution']} px; set it to that")
    else:
        painter = Unmasker(**asdict(config.painter))
    painter = loop.place(painter, device)
    try:
        network.encoder.share(painter)  # type: ignore[operator]
    except ValueError as error:
        raise UsageError(f"model.encoder: {error} than the config; give those of {config.start or 'painter'}") from None
    return _Parts(network, classifier, painter)


def architecture(config: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of :class:`.network.G2D` for a whole config; reads the graph and the painter that it names."""
    return _shape(config)[0]


def _shape(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor] | None]:
    """The architecture, and the state of a given reformer."""
    model = {**config["model"], "encoder": dict(config["model"]["encoder"])}
    shape = dict(model["reformer"])
    found = paired.given(shape.pop("onnx", ""), config)
    model["reformer"] = {"graph": found[0]} if found else shape
    if model["encoder"]["kind"] in ("painted", "crop"):
        side = min(model["size"], NATIVE)
        model["encoder"]["matrix"] = align.between("ffhq", side, "arcface", 112).tolist()
    if model["encoder"]["kind"] == "painted":
        start = config["start"]
        model["encoder"]["painter"] = {**_painter(start), "identity": 0} if start else config["painter"]
    return model, found[1] if found else None


def _painter(start: str) -> Mapping[str, Any]:
    return weights.read(start, kind="unmasker").arch


def _optimizers(config: Config, parts: _Parts) -> dict[str, torch.optim.Optimizer]:
    """One for each stage; the encoder's has the painter's encoder alone (all of ICT's up-sampler)."""
    trained: dict[str, nn.Module] = {"reformer": parts.network.reformer, "classifier": parts.classifier}
    if parts.painter is not None:
        trained["encoder"] = parts.painter.encoder if isinstance(parts.painter, Unmasker) else parts.painter
    return {name: torch.optim.AdamW(module.parameters(), config.lr, weight_decay=config.weight_decay)
            for name, module in trained.items()}  # fmt: skip


def _draw(
    sampler: masked.Sampler, faces: paired.PairedFaces, config: Config, rng: np.random.Generator, bare: bool
) -> Batch:
    """A batch; with ``bare`` (the encoder's stage) every face is masked and none is augmented, so that x fits y."""
    painting = bare and config.model.encoder.kind == "unmasker"
    n = min(config.batch_size, PAINTED) if painting else config.batch_size
    rows = rng.integers(0, len(faces.faces), n)
    drawn = sampler.draw(rng, n, masked.GROW, indices=rows)
    x, region = drawn.x, drawn.region
    if not bare:
        off = torch.from_numpy(rng.random(n) < config.clean_share)
        x, region = torch.where(off[:, None, None, None], drawn.y, x), region * ~off[:, None, None, None]
        moved = augment.affine(torch.cat([x, region], 1), rng, shift=0.012, turn=3.0, zoom=0.03)
        x = augment.light(augment.soften(moved[:, :3], rng), rng)
        region = moved[:, 3:].clamp(0, 1)
    vectors = None if faces.targets is None else torch.from_numpy(faces.targets[rows])
    return Batch(x, drawn.y, region, torch.from_numpy(faces.faces.identity[rows]), vectors)


def _encoder_step(parts: _Parts, batch: Batch, config: Config, device: torch.device) -> dict[str, Tensor]:
    assert parts.painter is not None
    parts.painter.train()
    with loop.autocast(config.precision, device):
        y_hat = parts.painter(batch.x, batch.region)
    return {"pixel": pixel.region_error(y_hat.float(), batch.y, batch.region)}


def _reformer_step(parts: _Parts, batch: Batch, config: Config, device: torch.device) -> dict[str, Tensor]:
    network = parts.network.train()
    network.encoder.eval()
    with loop.autocast(config.precision, device):
        with torch.no_grad():
            descriptor = network.encoder(batch.x, batch.region)
        found = network.reformer(descriptor)
    student = functional.normalize(found.float(), dim=1)
    assert batch.vectors is not None
    few = slice(0, ANGLE_FACES)
    contrast = relation.contrast(student, batch.vectors, parts.known) if config.contrast_weight else student.sum() * 0
    return {
        "instance": identity.cosine(student, batch.vectors),
        "distance": relation.distance(student, batch.vectors),
        "angle": ANGLE_WEIGHT * relation.angle(student[few], batch.vectors[few]),
        "contrast": config.contrast_weight * contrast,
    }


def _classifier_step(parts: _Parts, batch: Batch, config: Config, device: torch.device) -> dict[str, Tensor]:
    parts.network.eval()
    with torch.no_grad(), loop.autocast(config.precision, device):
        found = parts.network(batch.x, batch.region)
    known = batch.people >= 0
    logits = parts.classifier(found[known].float())
    return {"people": functional.cross_entropy(logits, batch.people[known]) if bool(known.any()) else logits.sum() * 0}


_STEPS = (_encoder_step, _reformer_step, _classifier_step)


@torch.no_grad()
def _validate(parts: _Parts, views: paired.Held, config: Config, device: torch.device, stage: int) -> dict[str, float]:
    """The stage's own figure and those of the stages before it: PSNR of the painter, figures of the views, accuracy."""
    parts.network.eval()
    found = {"stage": float(stage)}
    x, y = augment.to_float(views.masked[:256]), augment.to_float(views.clean[:256])
    region = torch.from_numpy(views.masked_region[:256])[:, None].float() / 255
    if parts.painter is not None and config.encoder_steps:
        parts.painter.eval()
        made = [parts.painter(x[i : i + 32].to(device), region[i : i + 32].to(device)).float().cpu()
                for i in range(0, len(x), 32)]  # fmt: skip
        found["psnr_region"] = float(quality.psnr(torch.cat(made).clamp(-1, 1), y, region).nanmean())
    if stage > 0:
        found |= paired.figures(lambda a, b: parts.network(a.to(device), b.to(device)), views)
    if stage > 1:
        known = (views.people >= 0) & (views.people < parts.classifier.out_features)
        x, people = augment.to_float(views.masked[known]), torch.from_numpy(views.people[known])
        region = torch.from_numpy(views.masked_region[known])[:, None].float() / 255
        right = 0
        for i in range(0, len(x), 32):
            vectors = parts.network(x[i : i + 32].to(device), region[i : i + 32].to(device))
            right += int((parts.classifier(vectors.float()).argmax(1).cpu() == people[i : i + 32]).sum())
        found["people_right"] = right / max(1, len(x))
    return found
