"""Task ``unmasker``: the unmasking encoder with its generator, on faces under simulated face masks.

Losses (the papers' families; the weights are ours): L1 in and around the region, distance of recognizer features and
``1 - cos`` of embeddings on the blended face, whose eyes may be covered, an adversary that sees windows of the blended
face and the region, and the mean square of the code offsets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ... import config as field
from ... import weights
from ...data import face_sets, masked
from ...data.masked import Batch
from ...errors import UsageError
from ...losses import adversarial, crops, identity, perceptual, pixel
from ...models.discriminator import Discriminator
from ...models.unmasker import Unmasker
from .. import detailing, distributed, ema, loop, restoring, schedule
from ..adversary import R1_EVERY, discriminate
from ..shapes import Network, levels

CODE_WEIGHT = 1e-4
REFERENCE_SHARE = 0.25  # of the faces whose embedding for the styles is that of the bare face, as from another photo


@dataclass(frozen=True)
class Config(loop.RunConfig):
    """Config of the unmasker."""

    lr: field.Rate = 1e-3
    model: Network = Network()
    """Shape of the network."""
    discriminator: field.Widths = (160, 160, 128, 96, 64)
    """Channels of the discriminator at 4, 8, ... ``window`` pixels."""
    window: field.Side = 64
    """Side of the window that the discriminator sees at a step, somewhere over the lower face, where nearly all that
    is painted lies; the whole face if it is as large."""
    variants: field.Variants = 2
    """Masked versions of each face, rendered once."""
    jitter_share: field.Share = 0.5
    """Of the faces, those that are moved as a detector's points would move them."""
    turned_share: field.Share = 0.0
    """Of the faces, those that are drawn among the ones turned to a side."""
    light_share: field.Share = 0.0
    """Of the faces, those in another light."""
    accessory_share: field.Share = 0.0
    """Of the face masks, those with straps, valves or cloth down the neck."""
    start: str = ""
    """Name or path of an unmasker's weights to go on from, with or without detail and identity."""
    generator: str = ""
    """Name or path of a generator's weights to start the synthesis network from."""
    recognizer: str = ""
    """Name or path of a recognizer for the losses on features and identity; its trunk starts the encoder, and its
    embedding of the masked face joins the styles where ``model.identity`` is its length."""
    tune: Literal["full", "frozen", "detail"] = "full"
    """What learns: all but detail, all but generator and detail, or detail alone, from bare faces made coarse."""
    lr_discriminator: field.Rate = 1e-3
    """Learning rate of the discriminator, which stays."""
    feature_weight: field.Weight = 1.0
    """Of the distance of recognizer features."""
    identity_weight: field.Weight = 0.0
    """Of the distance of embeddings."""
    covered_share: field.Share = 0.0
    """Of the faces, those whose eyes are covered before the recognizer compares the restored with the true one."""
    disturbed_share: field.Share = 0.0
    """Of the restored faces, those that the recognizer sees in another light and less sharp."""
    adversarial_weight: field.Weight = 0.0
    """Of the adversary."""
    adv_start: field.Number = 0
    """The step at which the adversary joins."""
    pixel_steps: field.Number = 0
    """Steps at the start with the pixel loss alone."""
    r1_gamma: field.Weight = 1.0
    """Of the discriminator's R1."""
    ema_kimg: field.Weight = 10.0
    """Half-life of the average of the weights, in thousand faces."""

    def __post_init__(self) -> None:
        if self.window > self.model.img_resolution:
            raise ValueError(f"window is {self.window}; it is at most model.img_resolution")
        if self.model.identity and not self.recognizer:
            raise ValueError("recognizer: model.identity needs one; name a recognizer")
        if self.tune == "detail" and not (self.start and self.model.detail):
            raise ValueError("tune: detail is for weights that start names and a model with detail; give both")
        levels("discriminator", self.discriminator, self.window)


def build(config: Config, device: torch.device) -> loop.Task:
    """The unmasker task on the faces of ``config.sources``."""
    if config.tune == "detail":
        return detailing.build(config, device)
    size = config.model.img_resolution
    faces = masked.enough(face_sets.load(config.data, config.sources, size=size, split="train"), config.drawn)
    masked_faces = masked.masked_faces(faces, config.variants, config.seed, masked.OCCLUDERS, config.workers)
    held = restoring.held(config, size) if config.measured else None
    torch.manual_seed(config.seed)
    network = loop.place(Unmasker(**asdict(config.model)), device)
    features = _initialize(network, config, device)
    average = ema.frozen_copy(network)
    discriminator = loop.place(Discriminator(config.window, config.discriminator, inputs=4), device)
    learns = [(n, p) for n, p in network.named_parameters() if p.requires_grad]
    scales = {"synthesis": 1.0, "identity": 3.0, "encoder": 0.3}  # the latter two have no equalized learning rate
    groups: list[dict[str, Any]] = [
        {"params": [p for n, p in learns if n.startswith(f"{part}.")], "lr_scale": scale}
        for part, scale in scales.items()
    ]
    trained = [p for group in groups for p in group["params"]]
    optimizer = torch.optim.Adam(groups, config.lr, betas=(0.9, 0.99))
    optimizer_d = torch.optim.Adam(discriminator.parameters(), config.lr_discriminator, betas=(0.0, 0.99))
    sampler = masked.Sampler(faces, masked_faces, config.turned_share)

    def penalty(real: Tensor) -> Tensor:
        real = real.detach().requires_grad_()
        return adversarial.r1(real, discriminator(real))

    def batch(rng: np.random.Generator, step: int) -> Batch:
        n, light, accessories = config.batch_size, config.light_share, config.accessory_share
        return sampler.draw(rng, n, masked.GROW, config.jitter_share, light=light, accessories=accessories)

    def step(content: Batch, at: int) -> Mapping[str, Tensor]:
        content = Batch(*(t.to(device).contiguous(memory_format=torch.channels_last) for t in content))
        schedule.warm_cosine(optimizer, config.lr, at, config.warmup_steps, config.max_steps)
        network.train()
        fighting = config.adversarial_weight > 0 and at >= config.adv_start
        discriminator.requires_grad_(False)
        with loop.autocast(config.precision, device):
            losses, blended, alpha = _losses(network, features, content, config, at)
            seen = window(config)
            if fighting:
                logits = discriminator(torch.cat([blended, 2 * alpha - 1], 1)[seen])
                losses["adversarial"] = config.adversarial_weight * adversarial.generator_logistic(logits)
        optimizer.zero_grad(set_to_none=True)
        sum(losses.values(), torch.zeros((), device=device)).backward()
        distributed.average_gradients(trained)
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        ema.update(average, network, config.batch_size, config.ema_kimg, at)
        if fighting:
            true, fake = (torch.cat([picture, 2 * alpha - 1], 1)[seen] for picture in (content.y, blended.detach()))
            found = discriminate(
                *(discriminator, penalty, optimizer_d, true, fake, config.r1_gamma),
                *(R1_EVERY, at, max(4, config.batch_size // 4), config.precision),
            )
            del found["signs"]
            losses.update(found)
        return {k: v.detach() for k, v in losses.items()}

    return loop.Task(
        {"network": network, "average": average, "discriminator": discriminator},
        {"network": optimizer, "discriminator": optimizer_d},
        batch,
        step,
        (lambda: restoring.figures(average, features, held, config.precision, device)) if held else None,
        (lambda: restoring.sheet(average, features, held, config.precision, device)) if held else None,
        restoring.read_by(config),
    )


def window(config: Config) -> tuple[slice, slice, slice, slice]:
    """The part of the crops [N,C,S,S] that the adversary sees in this step, from torch's generator."""
    size, side = config.model.img_resolution, config.window
    low = max(0, round(0.375 * size) - side // 8)  # from above the nose
    top = int(torch.randint(min(low, size - side), size - side + 1, ()))
    left = int(torch.randint((size - side) // 4, size - side - (size - side) // 4 + 1, ()))
    return slice(None), slice(None), slice(top, top + side), slice(left, left + side)


def _initialize(network: Unmasker, config: Config, device: torch.device) -> perceptual.FaceFeatures | None:
    """Copy the generator and the recognizer's trunk into the network and hold what is not to learn.

    Returns the features for the losses.
    """
    network.synthesis.requires_grad_(config.tune == "full")
    if network.detail is not None:
        network.detail.requires_grad_(False)
    if config.start:
        restoring.go_on(network, config.start)
    elif config.generator:
        checkpoint = weights.read(config.generator, kind="generator")
        limit, mean = checkpoint.arch.get("conv_clamp"), checkpoint.tensors["w_avg"]
        if limit != config.model.conv_clamp:
            raise UsageError(f"model.conv_clamp: that of {config.generator} is {limit}; set it to that")
        if mean.ndim > 1 and not bool((mean == mean[0]).all()):
            raise UsageError(f"generator: {config.generator} has mean styles that differ from layer to layer")
        own = {k.removeprefix("synthesis."): v for k, v in checkpoint.tensors.items() if k.startswith("synthesis.")}
        network.synthesis.load_state_dict(own)
        network.w_avg.copy_(mean if mean.ndim == 1 else mean[0])
    if not config.recognizer:
        return None
    features = perceptual.load(config.recognizer, config.model.img_resolution, device)
    if config.model.identity not in (0, features.network.embedding):
        raise UsageError(f"model.identity: {config.recognizer} gives {features.network.embedding}; set it to that")
    if config.start:
        return features
    own = network.encoder.trunk.state_dict()
    for name, tensor in features.network.state_dict().items():
        if name in own and own[name].shape == tensor.shape:
            own[name] = tensor
        elif name == "stem.0.weight" and own[name].shape[0] == tensor.shape[0]:
            own[name] = torch.cat([tensor, torch.zeros_like(tensor[:, :1])], 1)
    network.encoder.trunk.load_state_dict(own)
    return features


def _person(network: Unmasker, features: perceptual.FaceFeatures | None, batch: Batch) -> Tensor | None:
    """The embeddings [N,D] that the styles take, if they do: of the masked faces, and some as of a reference photo."""
    seen = restoring.person(network, features, batch.x)
    if seen is None or features is None:
        return seen
    with torch.no_grad():
        bare = features(perceptual.disturbed(batch.y, 0.5), features.jittered(len(batch.y)))[1]
    chosen = (torch.rand(len(bare), 1) < REFERENCE_SHARE).to(bare.device)
    return torch.where(chosen, bare, seen)


def _losses(
    network: Unmasker,
    features: perceptual.FaceFeatures | None,
    batch: Batch,
    config: Config,
    at: int,
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Weighted losses of the network, the blended face [N,3,S,S] and the share of it that was painted [N,1,S,S]."""
    ws, skips = network.codes(batch.x, batch.region, _person(network, features, batch))
    y_hat = network.synthesis(ws, "random", skips).float()
    alpha = crops.feathered(batch.region)
    blended = batch.x + (y_hat - batch.x) * alpha
    losses = {
        "pixel": pixel.region_error(y_hat, batch.y, alpha),
        "code": CODE_WEIGHT * (ws - network.w_avg).square().mean(),
    }
    if features is not None and at >= config.pixel_steps and (config.feature_weight or config.identity_weight):
        matrices = features.jittered(len(batch.y))
        bare = 1 - perceptual.covers(len(batch.y), batch.y.shape[3], config.covered_share).to(blended.device)
        with torch.no_grad():
            wanted, who = features(batch.y * bare, matrices)
        found, like = features(perceptual.disturbed(blended * bare, config.disturbed_share), matrices)
        losses["feature"] = config.feature_weight * perceptual.feature_distance(found, wanted)
        losses["identity"] = config.identity_weight * identity.cosine(like, who)
    return losses, blended, alpha
