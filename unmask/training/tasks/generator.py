"""Task ``generator``: StyleGAN2 as an adversarial network, as an autoencoder, or as both together.

With ``adversarial_weight`` alone this is StyleGAN2-ADA: non-saturating logistic loss, lazy R1 and path length,
adaptive augmentation, moving average. Where compute does not reach that far, ``autoencoder`` trains the synthesis
network to decode the style that an encoder makes of (partly hidden) faces, and the mapping network to draw such
styles: a small adversary on code vectors, as in adversarial autoencoders (Makhzani et al. 2015).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ... import config as field
from ... import images, weights
from ...data import augment, face_sets, masked
from ...data.masked import Sampler
from ...losses import adversarial, perceptual, pixel
from ...models.discriminator import Discriminator
from ...models.encoder import Encoder
from ...models.generator import Generator
from .. import ada, distributed, ema, latent, loop, schedule
from ..adversary import R1_EVERY, discriminate
from ..shapes import EncoderShape, levels

HIDDEN_SHARE = 0.7  # of the faces that the autoencoder sees, those under a face mask
LATENT_STEPS = 4  # of the mapping network for each of the others; they cost little
PATH_EVERY, PATH_WEIGHT = 4, 2.0  # steps
SPREAD_WEIGHT = 0.05  # keeps the styles of one face near their mean (the delta regularizer of e4e, Tov et al. 2021)
FEATURE_WEIGHT = 0.5  # of the autoencoder's error in recognizer features
MAPPING_RATE = 600.0  # times the learning rate: the mapping network's, where it learns from style vectors alone
ADA_KIMG = 500.0  # thousand faces in which the augmentation may rise from none to all


@dataclass(frozen=True)
class Network:
    """Arguments of :class:`unmask.models.generator.Generator`."""

    z_dim: field.Width = 256
    """Length of the noise vector that a face is drawn from."""
    w_dim: field.Width = 256
    """Length of a style vector."""
    img_resolution: field.Side = 128
    """Height and width of faces, in pixels."""
    channels: field.Widths = (160, 160, 160, 128, 64, 32)
    """Channels at 4, 8, ... pixels."""
    mapping_layers: field.Layers = 4
    """Layers of the mapping network."""

    def __post_init__(self) -> None:
        levels("channels", self.channels, self.img_resolution)


@dataclass(frozen=True)
class Config(loop.RunConfig):
    """Config of the generator; the autoencoder and the adversary on pictures may work together."""

    model: Network = Network()
    """Shape of the network."""
    encoder: EncoderShape = EncoderShape()
    """Shape of the encoder of the autoencoder."""
    discriminator: field.Widths = (160, 160, 128, 96, 64, 32)
    """Channels of the discriminator at 4, 8, ... pixels."""
    start: str = ""
    """Name or path of an unmasker's weights to start the synthesis network and the encoder from."""
    recognizer: str = ""
    """Name or path of a recognizer, in whose features the autoencoder's error counts as well."""
    autoencoder: bool = False
    """Whether an encoder's styles of faces are decoded, and the mapping network learns to draw such styles, from these
    alone."""
    adversarial_weight: field.Weight = 1.0
    """Of the adversary on pictures."""
    r1_gamma: field.Weight = 1.0
    """Of the discriminator's R1."""
    ada_target: field.Sign = 0.6
    """What the discriminator's mean sign is held at by augmenting its pictures; 0 augments nothing."""
    ema_kimg: field.Weight = 10.0
    """Half-life of the average of the weights, in thousand faces."""

    def __post_init__(self) -> None:
        levels("discriminator", self.discriminator, self.model.img_resolution)


class Trainer:
    """The networks and optimizers of the task, and one training step."""

    def __init__(self, config: Config, device: torch.device) -> None:
        self.config, self.device = config, device
        size = config.model.img_resolution
        self.network = loop.place(Generator(**asdict(config.model)), device)
        encoder = Encoder(self.network.num_ws, config.model.w_dim, size, **asdict(config.encoder))
        self.encoder = loop.place(encoder, device)
        if config.start:
            _start(self.network, self.encoder, weights.read(config.start, kind="unmasker"))
        self.average, self.average_encoder = ema.frozen_copy(self.network), ema.frozen_copy(self.encoder)
        self.features = perceptual.load(config.recognizer, size, device) if config.recognizer else None
        self.discriminator = loop.place(Discriminator(size, config.discriminator), device)
        self.latent = latent.LatentDiscriminator(config.model.w_dim).to(device)
        rate = MAPPING_RATE if config.autoencoder else 1.0
        mapping = {"params": [*self.network.mapping.parameters()], "lr_scale": rate}
        both: list[dict[str, Any]] = [
            {"params": [*self.network.synthesis.parameters()]},
            {"params": [*self.encoder.parameters()], "lr_scale": 0.3},  # it has no equalized learning rate
        ]
        if not config.autoencoder:
            both.append(mapping)
        self.optimizer = torch.optim.Adam(both, config.lr, betas=(0.0, 0.99))
        self.optimizer_m = torch.optim.Adam([mapping], config.lr, betas=(0.0, 0.99))  # for the latent arm
        self.optimizer_d = torch.optim.Adam(self.discriminator.parameters(), config.lr, betas=(0.0, 0.99))
        self.optimizer_l = torch.optim.Adam(self.latent.parameters(), 2e-4, betas=(0.0, 0.99))
        self.state = {"p": 0.0, "path_mean": 0.0}

    def step(self, batch: Mapping[str, Tensor], at: int) -> dict[str, Tensor]:
        """One step of all arms that are switched on."""
        config = self.config
        batch = {k: v.to(self.device).contiguous(memory_format=torch.channels_last) for k, v in batch.items()}
        for optimizer in (self.optimizer, self.optimizer_m):
            schedule.warm_cosine(optimizer, config.lr, at, config.warmup_steps, config.max_steps, least=0.2)
        self.network.train()
        self.encoder.train()
        self.optimizer.zero_grad(set_to_none=True)
        losses: dict[str, Tensor] = {}
        if config.autoencoder:
            losses.update(self._reconstruct(batch))
        if config.adversarial_weight:
            losses.update(self._adversarial(batch["y"], at))
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        distributed.average_gradients(parameters)
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.nan_to_num_(0.0, 1e5, -1e5)
        if config.autoencoder:
            nn.utils.clip_grad_norm_(parameters, 1.0)
        self.optimizer.step()
        ema.update(self.average, self.network, config.batch_size, config.ema_kimg, at)
        ema.update(self.average_encoder, self.encoder, config.batch_size, config.ema_kimg, at)
        return {k: v.detach() for k, v in losses.items()}

    def _reconstruct(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        config, region = self.config, batch["region"]
        with loop.autocast(config.precision, self.device):
            ws, _ = self.encoder(batch["x"], region)
            mean = ws.mean(1)
            # a single style vector is what the mapping network makes, and nothing else makes it hold a face
            y_hat = self.network.synthesis(mean[:, None].expand_as(ws), "random").float()
            losses = {
                "pixel": pixel.region_error(y_hat, batch["y"], region, 0.5, 1.0),
                "spread": SPREAD_WEIGHT * (ws - mean[:, None]).square().mean(),
            }
            if self.features is not None:
                with torch.no_grad():
                    wanted, _ = self.features(batch["y"])
                found, _ = self.features(y_hat)
                losses["feature"] = FEATURE_WEIGHT * perceptual.feature_distance(found, wanted)
        sum(losses.values(), torch.zeros((), device=self.device)).backward()
        losses.update(self._latent(mean.detach()))
        return losses

    def _track(self, w: Tensor) -> None:
        """Move the network's mean style towards the mean of the styles [N,w_dim] of all processes."""
        self.network.track(distributed.mean(w.detach().float().mean(0, keepdim=True)))

    def _latent(self, real: Tensor) -> dict[str, Tensor]:
        """Train the mapping network to draw code vectors, against the latent adversary; ``real`` are new codes."""
        self.latent.remember(distributed.together(real))  # of all processes, so that the checkpoint has them
        losses: dict[str, Tensor] = {}
        for _ in range(LATENT_STEPS):
            losses = self._latent_step()
        return losses

    def _latent_step(self) -> dict[str, Tensor]:
        memory = self.latent.memory
        count = min(latent.DRAWN, len(memory))
        w = self.network.mapping(torch.randn(count, self.config.model.z_dim, device=self.device))
        self._track(w)
        self.latent.requires_grad_(False)
        loss = adversarial.generator_logistic(self.latent(w)) + latent.moments(w, memory)
        distributed.descend(self.optimizer_m, loss)
        self.latent.requires_grad_(True)
        known = memory[torch.randperm(len(memory), device=self.device)[:count]]
        total = latent.discriminator_loss(self.latent, known, w.detach())
        distributed.descend(self.optimizer_l, total)
        return {"latent": loss.detach(), "latent_discriminator": total.detach()}

    def _adversarial(self, real: Tensor, at: int) -> dict[str, Tensor]:
        """The StyleGAN2 arm: generator loss (with lazy path length), then the discriminator (with lazy R1)."""
        config, n = self.config, len(real)
        p = self.state["p"]
        self.discriminator.requires_grad_(False)
        z = torch.randn(n, config.model.z_dim, device=self.device)
        with loop.autocast(config.precision, self.device):
            w = self.network.mapping(z)
            if config.autoencoder:
                w = w.detach()
            self._track(w)
            fake = self.network.synthesis(w.float()[:, None].expand(-1, self.network.num_ws, -1), "random").float()
            logits = self.discriminator(ada.augment(fake, p))
        found = {"adversarial": config.adversarial_weight * adversarial.generator_logistic(logits)}
        found["adversarial"].backward()
        if at % PATH_EVERY == 0:
            found["path"] = self._path(max(2, n // 2))
        good, bad = ada.augment(real, p), ada.augment(fake.detach(), p)
        found.update(
            discriminate(
                self.discriminator,
                self._r1,
                self.optimizer_d,
                good,
                bad,
                config.r1_gamma,
                R1_EVERY,
                at,
                max(4, n // 2),
                config.precision,
            )
        )
        signs = float(distributed.mean(found.pop("signs")))
        if config.ada_target:
            images = n * distributed.count()
            self.state["p"] = ada.adjust(p, signs, images, config.ada_target, ADA_KIMG)
        found["ada_p"] = torch.tensor(self.state["p"])
        return found

    def _r1(self, real: Tensor) -> Tensor:
        real = real.detach().requires_grad_()
        return adversarial.r1(real, self.discriminator(real))

    def _path(self, n: int) -> Tensor:
        config = self.config
        z = torch.randn(n, config.model.z_dim, device=self.device)
        ws = self.network.mapping(z)[:, None].expand(-1, self.network.num_ws, -1)
        image = self.network.synthesis(ws, "random")
        mean = torch.tensor(self.state["path_mean"], device=self.device)
        penalty, updated = adversarial.path_length(image, ws, mean)
        (PATH_WEIGHT * PATH_EVERY * penalty).backward()
        self.state["path_mean"] = float(distributed.mean(updated))
        return penalty.detach()


def _start(network: Generator, encoder: Encoder, checkpoint: weights.Checkpoint) -> None:
    """Copy an unmasker's synthesis network, its mean style, and what of its encoder fits."""
    parts = {k: v for k, v in checkpoint.tensors.items() if k.startswith("synthesis.")}
    network.synthesis.load_state_dict({k.removeprefix("synthesis."): v for k, v in parts.items()})
    network.w_avg.copy_(checkpoint.tensors["w_avg"])
    own = encoder.state_dict()
    given = {name: checkpoint.tensors[f"encoder.{name}"] for name in own}
    own.update({name: v for name, v in given.items() if v.shape == own[name].shape})
    encoder.load_state_dict(own)


def build(config: Config, device: torch.device) -> loop.Task:
    """The generator task on the faces of ``config.sources``."""
    size = config.model.img_resolution
    faces = face_sets.load(config.data, config.sources, size=size, split="train")
    sampler = None
    if config.autoencoder:
        faces = masked.enough(faces, config.drawn)
        sampler = Sampler(faces, masked.masked_faces(faces, 1, config.seed, masked.OCCLUDERS, config.workers))
    held = face_sets.load(config.data, config.sources, size=size, split="val")
    held = held.subset(np.linspace(0, len(held) - 1, min(12, len(held))).astype(int))
    torch.manual_seed(config.seed)
    trainer = Trainer(config, device)

    def batch(rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        if sampler is None:
            rows = rng.integers(0, len(faces), config.batch_size)
            flip = rng.random(len(rows)) < 0.5
            return {"y": augment.to_float(augment.mirror(faces.images[rows], flip))}
        drawn = sampler.draw(rng, config.batch_size, masked.GROW)
        seen = torch.from_numpy(rng.random(config.batch_size) >= HIDDEN_SHARE)
        region = drawn.region.clone()
        region[seen] = 0
        return {"x": torch.where(seen[:, None, None, None], drawn.y, drawn.x), "y": drawn.y, "region": region}

    @torch.no_grad()
    def sheet() -> np.ndarray:
        drawn = np.random.default_rng(0).standard_normal((24, config.model.z_dim))
        z = torch.from_numpy(drawn).float().to(device)
        made = trainer.average(z, truncation_psi=0.7, noise="const").float().cpu()
        rows = [list(images.to_uint8(made[:12].clamp(-1, 1))), list(images.to_uint8(made[12:].clamp(-1, 1)))]
        if config.autoencoder:
            y = augment.to_float(held.images).to(device)
            codes, _ = trainer.average_encoder.eval()(y, torch.zeros_like(y[:, :1]))
            again = trainer.average.synthesis(codes).float().cpu()
            rows += [list(images.to_uint8(again.clamp(-1, 1))), list(held.images)]
        return images.sheet(rows)

    names = ("network", "average", "discriminator", "encoder", "average_encoder", "latent")
    modules = {name: getattr(trainer, name) for name in names}
    optimizers = {"network": trainer.optimizer, "mapping": trainer.optimizer_m, "discriminator": trainer.optimizer_d,
                  "latent": trainer.optimizer_l}  # fmt: skip
    return loop.Task(modules, optimizers, batch, trainer.step, None, sheet, trainer.state)
