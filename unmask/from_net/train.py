"""Task ``from``: FROM (Qiu et al. 2021) in the paper's two stages, or its baseline.

Stage ``clean`` trains trunk and head on bare faces. Stage ``masked`` trains everything end to end on faces of which a
share is covered: ``L = CosFace(cleaned embedding) + pattern_weight * cross-entropy(pattern logits)``, the pattern being
the one with the largest IoU with the bounding rectangle of what covers the face. With ``model.mask_kind: none`` the
second stage trains the baseline on the same faces, with the embedding loss alone.

Ours: simulated face masks beside the pasted occluders, and the distillation of the clean face's embedding from a
teacher, face by face (``distill``) and against all the others (``contrast``), which stands in for the paper's
10,572 identities where there are few.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .. import weights
from ..data import augment
from ..errors import UsageError
from ..losses import identity, relation
from ..simulation import patches
from ..training import checkpoint, distributed, loop, paired, schedule
from . import patterns
from .config import Config
from .network import FromNet

STAGES = ("clean", "masked")
DROPS = ((0.375, 0.75), (0.25, 0.625))  # of SGD, as in the paper: shares of each stage, where the rate falls tenfold
SCALE = 30.0  # of the margin softmax, as in the paper
OPEN = 3.0  # what the mask of a given trunk begins at: nothing is masked at first, so nothing that it knows is lost
POOL = 256  # occluder pictures drawn before the first step


class Batch(NamedTuple):
    """Faces x [N,3,H,W] in [-1,1], people [N] (-1 unknown), patterns [N], the teacher's vectors [N,D] or None."""

    x: Tensor
    people: Tensor
    patterns: Tensor
    vectors: Tensor | None


def build(config: Config, device: torch.device) -> loop.Task:
    """The task on the faces of ``config.sources``."""
    size = config.model.trunk.size
    if size[0] < size[1]:
        raise UsageError("model.trunk.size: faces are as high as wide or higher, such as [112, 112] or [112, 96]")
    faces = paired.load(config, size[0], "arcface", config.model.trunk.embedding)
    views = paired.held(config, size[0], "arcface")
    torch.manual_seed(config.seed)
    arch, state = _shape(asdict(config))
    network = FromNet(**arch)
    if state is not None:
        network.trunk.load_state_dict(state)
    network = loop.place(network, device)
    head = identity.MarginSoftmax(network.embedding, faces.people, SCALE, 0.0, config.m_cos).to(device)
    if config.start:
        _begin(network, head, config.start)
    parameters = [p for p in (*network.parameters(), *head.parameters()) if p.requires_grad]
    optimizers = {name: _optimizer(config, parameters) for name in STAGES}
    sampler = Sampler(faces, config)
    known = None if faces.targets is None else torch.from_numpy(faces.targets).to(device)
    latest = {"stage": 1 if config.clean_steps == 0 else 0}

    def batch(rng: np.random.Generator, step: int) -> Batch:
        return sampler.draw(rng, covered=step >= config.clean_steps)

    def step(content: Batch, at: int) -> Mapping[str, Tensor]:
        content = Batch(*(None if t is None else t.to(device) for t in content))  # type: ignore[arg-type]
        stage, within, length = schedule.stage(at, (config.clean_steps, config.max_steps))
        latest["stage"] = stage
        optimizer = optimizers[STAGES[stage]]
        lr, drops = (config.lr, config.lr_masked)[stage], DROPS[stage] if config.optimizer == "sgd" else ()
        schedule.warm_drops(optimizer, lr, within, config.warmup_steps, length, drops)
        if stage == 1 and within == 0:
            network.begin_masking()
        losses, total = _losses(network, head, content, config, stage == 1, known)
        distributed.descend(optimizer, total)
        return {k: v.detach() for k, v in losses.items()}

    return loop.Task({"network": network, "head": head}, optimizers, batch, step,
                     lambda: _validate(network, views, config, device, latest["stage"] == 1))  # fmt: skip


class Sampler:
    """Draws batches: bare faces, or a mixture of bare, masked and occluded ones."""

    def __init__(self, faces: paired.PairedFaces, config: Config) -> None:
        self.faces, self.config = faces, config
        self.size = config.model.trunk.size
        rng = np.random.default_rng([config.seed, 11])
        self.pool = [patches.picture(rng) for _ in range(POOL)]

    def draw(self, rng: np.random.Generator, covered: bool) -> Batch:
        """One batch, mirrored at random; shifts by the augmentation are a small part of a cell and move no pattern."""
        config, known = self.config, self.faces.faces
        n = config.batch_size
        rows, flip = rng.integers(0, len(known), n), rng.random(n) < 0.5
        images = known.images[rows]
        boxes = np.zeros((n, 4), np.int64)
        hidden = (rng.random(n) >= config.clean_share) & covered
        worn = hidden & (rng.random(n) < config.mask_share)
        regions = np.zeros(images.shape[:3], np.uint8)
        if worn.any():
            kinds = rng.integers(0, self.faces.masked_faces.variants, int(worn.sum()))
            images[worn], regions[worn] = self.faces.masked_faces.take(kinds, rows[worn])
        images, regions = (cut(augment.mirror(a, flip), self.size) for a in (images, regions))
        for i in np.flatnonzero(worn):
            boxes[i] = patterns.bounds(regions[i])
        for i in np.flatnonzero(hidden & ~worn):
            patch = self.pool[int(rng.integers(len(self.pool)))]
            box = patches.place(rng, patch, float(rng.choice(patches.FACTORS)), self.size)
            images[i], boxes[i] = patches.paste(images[i], patch, box)
        x = augment.affine(augment.to_float(images), rng, shift=0.012, turn=3.0, zoom=0.03)
        x = augment.light(augment.soften(x, rng), rng)
        vectors = None if self.faces.targets is None else torch.from_numpy(self.faces.targets[rows])
        labels = torch.from_numpy(patterns.labels(boxes, config.model.grid, self.size))
        return Batch(x, torch.from_numpy(known.identity[rows]), labels, vectors)


def cut(pictures: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The middle columns of square pictures [N,S,S,...]: of an ``arcface`` crop of 112 a ``from`` crop of 112 x 96."""
    margin = (pictures.shape[2] - size[1]) // 2
    return pictures[:, :, margin : margin + size[1]]


def architecture(config: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of :class:`unmask.from_net.network.FromNet` for a whole config; reads the graph that it names."""
    return _shape(config)[0]


def _shape(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor] | None]:
    """The architecture, and the state of a given trunk."""
    shape = dict(config["model"]["trunk"])
    onnx = shape.pop("onnx", "")
    found = paired.given(onnx, config)
    if found is None:
        return {**config["model"], "trunk": shape}, None
    graph, state = found
    if [graph["embedding"], *graph["size"]] != [shape["embedding"], *shape["size"]]:
        path = paired.file_of(onnx, config)
        raise UsageError(f"model.trunk: {path} has embedding {graph['embedding']} and size {graph['size']}; set these")
    return {**config["model"], "trunk": {"graph": graph}, "mask_bias": OPEN}, state


def _optimizer(config: Config, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    if config.optimizer == "sgd":
        return torch.optim.SGD(parameters, config.lr, momentum=0.9, weight_decay=config.weight_decay)
    return torch.optim.AdamW(parameters, config.lr, weight_decay=config.weight_decay)


def _begin(network: FromNet, head: nn.Module, start: str) -> None:
    """Trunk, head and statistics from a run of this task or from a recognizer; decoder and predictor start anew.

    A run's classifier goes on as well; a recognizer brings none.
    """
    path, own = Path(start), network.state_dict()
    if path.is_dir() or path.suffix == Path(checkpoint.NAME).suffix:
        content = checkpoint.read(path / checkpoint.NAME if path.is_dir() else path)
        if content["task"] != "from":
            raise UsageError(f"start: {path} is a checkpoint of task {content['task']!r}; give one of 'from'")
        stored: dict[str, Any] = content["modules"]["network"]
        label: dict[str, Any] | None = content["modules"]["head"]
    else:
        stored = {f"trunk.{k}": v for k, v in weights.read(start, kind="iresnet").tensors.items()}
        label = None
    taken = {k: v for k, v in stored.items() if k.startswith(("trunk.", "clean_statistics.")) and k in own}
    try:
        network.load_state_dict({**own, **taken})
        if label is not None:
            head.load_state_dict(label)
    except RuntimeError:
        raise UsageError(f"start: the trunk or the people of {path} are others than the config's") from None
    if hasattr(network, "clean_statistics") and not any(k.startswith("clean_statistics.") for k in stored):
        network.clean_statistics.copy_from(network.trunk.head)


def _losses(
    network: FromNet, head: nn.Module, batch: Batch, config: Config, masking: bool, known: Tensor | None
) -> tuple[dict[str, Tensor], Tensor]:
    """Unweighted losses by name, and their weighted sum; ``known`` are the teacher's vectors of all faces."""
    network.train()
    with loop.autocast(config.precision, batch.x.device):
        last, mask = network.features(batch.x.contiguous(memory_format=torch.channels_last))
        logits = None
        if masking and mask is not None:
            found, logits = network.cleaned(last, mask), network.predictor(mask)
            with torch.no_grad():
                network.plain(last)  # moves the statistics of plain features, the shared or their own
        else:
            found = network.plain(last)
    found = found.float()
    losses = {"label": head(found, batch.people)}
    total = config.label_weight * losses["label"]
    if batch.vectors is not None:
        losses["distill"] = identity.cosine(functional.normalize(found), batch.vectors)
        total = total + config.distill_weight * losses["distill"]
        if config.contrast_weight:
            losses["contrast"] = relation.contrast(functional.normalize(found), batch.vectors, known)
            total = total + config.contrast_weight * losses["contrast"]
    if logits is not None:
        losses["pattern"] = functional.cross_entropy(logits.float(), batch.patterns)
        total = total + config.pattern_weight * losses["pattern"]
    return losses, total


@torch.no_grad()
def _validate(
    network: FromNet, views: paired.Held, config: Config, device: torch.device, masking: bool
) -> dict[str, float]:
    """Figures of the three views; in the masked stage also how often the pattern is right."""
    network.eval()
    size = config.model.trunk.size
    left = (views.clean.shape[2] - size[1]) // 2

    def one(x: Tensor, region: Tensor) -> Tensor:
        last, mask = network.features(x[..., left : left + size[1]].to(device))
        return network.plain(last) if mask is None or not masking else network.cleaned(last, mask)

    found = {"stage": float(masking), **paired.figures(one, views)}
    if masking and network.mask_kind != "none":
        right, inside = [], []
        for images, regions in ((views.masked, views.masked_region), (views.occluded, views.occluded_region)):
            boxes = [patterns.bounds(region) for region in cut(regions, size)]
            truth = patterns.labels(np.array(boxes), config.model.grid, size)
            for start in range(0, len(images), paired.BATCH):
                x = augment.to_float(cut(images[start : start + paired.BATCH], size)).to(device)
                said = network.explain(x)
                predicted = said.occlusion_logits.argmax(1).cpu().numpy()
                right.extend(predicted == truth[start : start + len(predicted)])
                inside.append(float(said.mask.mean()))
        found |= {"pattern_right": float(np.mean(right)), "mask_mean": float(np.mean(inside))}
    return found
