"""Task ``unmasker``: the unmasking encoder with its generator, on faces under simulated face masks.

Losses (the papers' families; the weights are ours): L1 in and around the region, distance of recognizer features and
``1 - cos`` of embeddings on the blended face, an adversary that sees windows of the blended face and the region, and
the mean square of the code offsets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ... import config as field
from ... import images, weights
from ...data import augment, face_sets, masked
from ...data.masked import Batch
from ...errors import UsageError
from ...losses import adversarial, crops, identity, perceptual, pixel
from ...models.discriminator import Discriminator
from ...models.unmasker import Unmasker
from .. import distributed, ema, loop, schedule
from ..adversary import discriminate


def levels(name: str, channels: Sequence[int], side: int) -> None:
    """Raise ValueError unless ``channels`` has an entry for 4, 8, ... ``side`` px; ``name`` is the field's."""
    wanted = int(np.log2(side)) - 1
    if len(channels) != wanted:
        raise ValueError(f"{name} has {len(channels)} entries; {side} px takes {wanted}, for 4, 8, ... {side} px")


@dataclass(frozen=True)
class EncoderShape:
    """Further arguments of :class:`unmask.models.encoder.Encoder`."""

    widths: field.Widths = (32, 64, 128, 224)
    depths: field.Depths = (2, 3, 2)
    pyramid: field.Width = 96
    narrow: field.Width0 = 16


@dataclass(frozen=True)
class Network:
    """Arguments of :class:`unmask.models.unmasker.Unmasker`."""

    img_resolution: field.Side = 128
    w_dim: field.Width = 256
    channels: field.Widths = (160, 160, 160, 128, 64, 32)
    encoder: EncoderShape = EncoderShape()
    skips: field.Sides = (16, 32, 64)
    gated: field.Sides = (64,)
    margin: field.Few = 1
    conv_clamp: field.Positive | None = None

    def __post_init__(self) -> None:
        levels("channels", self.channels, self.img_resolution)
        if not {*self.gated} <= {*self.skips}:
            raise ValueError(f"gated is {list(self.gated)}; it names some of skips, {list(self.skips)}")


@dataclass(frozen=True)
class Config(loop.RunConfig):
    """Config of the unmasker.

    ``start`` (name or path of an unmasker's weights) goes on from those. Without it, ``generator`` initializes
    the synthesis network and ``recognizer`` the encoder's trunk. ``recognizer`` also gives the losses on features and
    identity. All may be empty. ``tune`` says whether the generator learns too. The first ``pixel_steps`` steps have the
    pixel loss alone; the adversary joins at step ``adv_start``. It sees one square window a step, ``window`` px wide
    and placed at random over the lower part of the face, where nearly all that is painted lies; the whole crop if the
    window is as large. A share ``jitter_share`` of the faces is moved as a detector's points would move it, and
    features and embeddings are compared under as random a crop, so that no loss can be met at one alignment alone.
    A share ``turned_share`` is drawn among the faces that are turned to a side, a share ``light_share`` is in another
    light, and a share ``equipped_share`` of the face masks has straps, valves or cloth down the neck.
    """

    model: Network = Network()
    discriminator: field.Widths = (160, 160, 128, 96, 64)
    window: field.Side = 64
    jitter_share: field.Share = 0.5
    turned_share: field.Share = 0.0
    light_share: field.Share = 0.0
    equipped_share: field.Share = 0.0
    sources: tuple[str, ...] = ()
    variants: field.Variants = 2
    occluders: field.Share = 0.08
    workers: field.Workers = 2
    start: str = ""
    generator: str = ""
    recognizer: str = ""
    tune: Literal["full", "frozen"] = "full"
    lr: field.Rate = 1e-3
    lr_discriminator: field.Rate = 1e-3
    warmup_steps: field.Number = 100
    inside_weight: field.Weight = 1.0
    outside_weight: field.Weight = 0.2
    feature_weight: field.Weight = 1.0
    identity_weight: field.Weight = 0.0
    adversarial_weight: field.Weight = 0.0
    adv_start: field.Number = 0
    pixel_steps: field.Number = 0
    code_weight: field.Weight = 1e-4
    r1_gamma: field.Weight = 1.0
    r1_every: field.Count = 16
    ema_kimg: field.Weight = 10.0
    grow: field.Share = 0.3

    def __post_init__(self) -> None:
        if self.window > self.model.img_resolution:
            raise ValueError(f"window is {self.window}; it is at most model.img_resolution")
        levels("discriminator", self.discriminator, self.window)


def build(config: Config, device: torch.device) -> loop.Task:
    """The unmasker task on the faces of ``config.sources``."""
    size = config.model.img_resolution
    faces = face_sets.load(config.data, config.sources, size=size, split="train")
    bank = masked.bank(faces, config.variants, config.seed, config.occluders, config.workers)
    held = _held(config, size)
    torch.manual_seed(config.seed)
    network = loop.place(Unmasker(**asdict(config.model)), device)
    features = _initialize(network, config, device)
    average = ema.twin(network)
    judge = loop.place(Discriminator(config.window, config.discriminator, inputs=4), device)
    network.synthesis.requires_grad_(config.tune == "full")
    groups: list[dict[str, Any]] = [
        {"params": [*network.encoder.parameters()], "lr_scale": 0.3},  # it has no equalized learning rate
        {"params": [p for p in network.synthesis.parameters() if p.requires_grad]},
    ]
    trained = [p for group in groups for p in group["params"]]
    optimizer = torch.optim.Adam(groups, config.lr, betas=(0.9, 0.99))
    optimizer_d = torch.optim.Adam(judge.parameters(), config.lr_discriminator, betas=(0.0, 0.99))
    drawer = masked.Drawer(faces, bank, config.turned_share)

    def penalty(real: Tensor) -> Tensor:
        real = real.detach().requires_grad_()
        return adversarial.r1(real, judge(real))

    def batch(rng: np.random.Generator, step: int) -> Batch:
        n, light, equipped = config.batch_size, config.light_share, config.equipped_share
        return drawer.draw(rng, n, config.grow, config.jitter_share, light=light, equipped=equipped)

    def step(content: Batch, at: int) -> Mapping[str, Tensor]:
        content = Batch(*(t.to(device).contiguous(memory_format=torch.channels_last) for t in content))
        schedule.warm_cosine(optimizer, config.lr, at, config.warmup_steps, config.max_steps)
        network.train()
        fighting = config.adversarial_weight > 0 and at >= config.adv_start
        judge.requires_grad_(False)
        with loop.autocast(config.precision, device):
            losses, blended, alpha = _losses(network, features if at >= config.pixel_steps else None, content, config)
            seen = window(config)
            if fighting:
                logits = judge(torch.cat([blended, 2 * alpha - 1], 1)[seen])
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
                judge,
                penalty,
                optimizer_d,
                true,
                fake,
                config.r1_gamma,
                config.r1_every,
                at,
                max(4, config.batch_size // 4),
                config.precision,
            )
            del found["signs"]
            losses.update(found)
        return {k: v.detach() for k, v in losses.items()}

    return loop.Task(
        {"network": network, "average": average, "judge": judge},
        {"network": optimizer, "judge": optimizer_d},
        batch,
        step,
        lambda: _validate(average, features, held, config, device),
        lambda: _sheet(average, held, config, device),
    )


def window(config: Config) -> tuple[slice, slice, slice, slice]:
    """The part of the crops [N,C,S,S] that the adversary sees in this step, from torch's generator."""
    size, side = config.model.img_resolution, config.window
    low = max(0, round(0.375 * size) - side // 8)  # from above the nose
    top = int(torch.randint(min(low, size - side), size - side + 1, ()))
    left = int(torch.randint((size - side) // 4, size - side - (size - side) // 4 + 1, ()))
    return slice(None), slice(None), slice(top, top + side), slice(left, left + side)


def _held(config: Config, size: int) -> Batch:
    """The fixed validation batch: 256 faces spread over the validation split."""
    faces = face_sets.load(config.data, config.sources, size=size, split="val")
    chosen = np.linspace(0, len(faces) - 1, min(256, len(faces))).astype(int)
    faces = faces.subset(chosen)
    bank = masked.bank(faces, 1, config.seed + 1, 0.0, config.workers)
    drawn, hidden = bank.rows(np.zeros(len(faces), int), np.arange(len(faces)))
    region = torch.from_numpy(hidden)[:, None].float() / 255
    return Batch(augment.to_float(drawn), augment.to_float(faces.images), region)


def _initialize(network: Unmasker, config: Config, device: torch.device) -> perceptual.FaceFeatures | None:
    """Copy the generator and the recognizer's trunk into the network; return the features for the losses."""
    if config.start:
        weights.fill(network, weights.read(config.start, kind="unmasker"))
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


def _losses(
    network: Unmasker, features: perceptual.FaceFeatures | None, batch: Batch, config: Config
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Weighted losses of the network, the blended face [N,3,S,S] and the share of it that was painted [N,1,S,S]."""
    ws, skips = network.codes(batch.x, batch.region)
    y_hat = network.synthesis(ws, "random", skips).float()
    alpha = crops.feathered(batch.region)
    blended = batch.x + (y_hat - batch.x) * alpha
    parts = (config.inside_weight, config.outside_weight)
    losses = {
        "pixel": pixel.region_error(y_hat, batch.y, alpha, *parts),
        "code": config.code_weight * (ws - network.w_avg).square().mean(),
    }
    if features is not None and (config.feature_weight or config.identity_weight):
        matrices = features.jittered(len(batch.y))
        with torch.no_grad():
            wanted, who = features(batch.y, matrices)
        found, like = features(blended, matrices)
        losses["feature"] = config.feature_weight * perceptual.feature_distance(found, wanted)
        losses["identity"] = config.identity_weight * identity.cosine(like, who)
    return losses, blended, alpha


@torch.no_grad()
def restored(network: Unmasker, batch: Batch, config: Config, device: torch.device) -> tuple[Tensor, Tensor]:
    """The network's output and the blended face for a whole batch, [N,3,S,S] on the CPU."""
    parts = []
    network.eval()
    for i in range(0, len(batch.x), 32):
        x, region = (
            t[i : i + 32].to(device).contiguous(memory_format=torch.channels_last) for t in (batch.x, batch.region)
        )
        with loop.autocast(config.precision, device):
            parts.append(network(x, region).float().cpu())
    y_hat = torch.cat(parts).clamp(-1, 1)
    return y_hat, crops.composite(batch.x, y_hat, batch.region)


@torch.no_grad()
def _validate(
    network: Unmasker, features: perceptual.FaceFeatures | None, held: Batch, config: Config, device: torch.device
) -> dict[str, float]:
    _, blended = restored(network, held, config, device)
    solid = (held.region > 0.5).float()
    energy = pixel.gradient_energy(blended, solid).mean() / pixel.gradient_energy(held.y, solid).mean()
    found = {
        "psnr_region": pixel.psnr(blended, held.y, held.region).mean(),
        "psnr_composite": pixel.psnr(blended, held.y).mean(),
        "gradient_ratio": energy,
        "coverage": held.region.mean(),
    }
    if features is not None:
        who, like, masked_as = (features(t.to(device))[1] for t in (held.y, blended, held.x))
        found["identity_restored"] = (like * who).sum(1).mean()
        found["identity_masked"] = (masked_as * who).sum(1).mean()
    return {k: float(v) for k, v in found.items()}


def _sheet(network: Unmasker, held: Batch, config: Config, device: torch.device) -> np.ndarray:
    """Rows of masked, region, output, blended and true faces."""
    few = Batch(*(t[:: max(1, len(t) // 12)][:12] for t in held))
    y_hat, blended = restored(network, few, config, device)
    shown = few.region.expand(-1, 3, -1, -1) * 2 - 1
    return images.sheet([list(images.to_uint8(t)) for t in (few.x, shown, y_hat, blended, few.y)])
