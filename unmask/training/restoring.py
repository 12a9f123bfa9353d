"""What an unmasker in training makes of held-out faces: figures and sheets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .. import images, weights
from ..data import augment, face_sets, masked
from ..data.masked import Batch
from ..errors import UsageError
from ..evaluation.restoration import quality
from ..losses import crops, perceptual
from ..models.unmasker import Unmasker
from . import loop

if TYPE_CHECKING:
    from .tasks.unmasker import Config


def held(config: loop.RunConfig, size: int) -> Batch:
    """The fixed validation batch: 256 faces spread over the validation split."""
    faces = face_sets.load(config.data, config.sources, size=size, split="val")
    chosen = np.linspace(0, len(faces) - 1, min(256, len(faces))).astype(int)
    faces = faces.subset(chosen)
    masked_faces = masked.masked_faces(faces, 1, config.seed + 1, 0.0, config.workers)
    drawn, hidden = masked_faces.take(np.zeros(len(faces), int), np.arange(len(faces)))
    region = torch.from_numpy(hidden)[:, None].float() / 255
    return Batch(augment.to_float(drawn), augment.to_float(faces.images), region)


def go_on(network: Unmasker, start: str) -> None:
    """Take over the weights that a config's ``start`` names; UsageError where they belong to another shape."""
    try:
        network.start_from(weights.read(start, kind="unmasker").tensors)
    except ValueError as error:
        raise UsageError(f"start: {start}: {error}; set model to its shape") from None


def read_by(config: Config) -> dict[str, str]:
    """The sha256 of the recognizer whose embedding the styles learn to read, if they take one."""
    return {weights.RECOGNIZER: weights.read(config.recognizer, "iresnet").sha256} if config.model.identity else {}


def person(network: Unmasker, features: perceptual.FaceFeatures | None, x: Tensor) -> Tensor | None:
    """The embedding [N,D] of masked crops that the network takes, if it does."""
    if network.identity is None or features is None:
        return None
    with torch.no_grad():
        return features(x)[1]


@torch.no_grad()
def restored(
    network: Unmasker,
    features: perceptual.FaceFeatures | None,
    batch: Batch,
    precision: loop.Precision,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """The network's output and the blended face for a whole batch, [N,3,S,S] on the CPU."""
    parts = []
    network.eval()
    for i in range(0, len(batch.x), 32):
        x, region = (
            t[i : i + 32].to(device).contiguous(memory_format=torch.channels_last) for t in (batch.x, batch.region)
        )
        with loop.autocast(precision, device):
            parts.append(network(x, region, identity=person(network, features, x)).float().cpu())
    y_hat = torch.cat(parts).clamp(-1, 1)
    return y_hat, crops.composite(batch.x, y_hat, batch.region)


@torch.no_grad()
def figures(
    network: Unmasker,
    features: perceptual.FaceFeatures | None,
    held: Batch,
    precision: loop.Precision,
    device: torch.device,
) -> dict[str, float]:
    """PSNR, sharpness and, with ``features``, identity of the restored faces of a batch."""
    _, blended = restored(network, features, held, precision, device)
    energy = [quality.gradient_energy(one, held.region).nanmean() for one in (blended, held.y)]
    found = {
        "psnr_region": quality.psnr(blended, held.y, held.region).nanmean(),
        "psnr_composite": quality.psnr(blended, held.y).mean(),
        "gradient_ratio": energy[0] / energy[1],
        "coverage": held.region.mean(),
    }
    if features is not None:
        who, like, masked_as = (features(t.to(device))[1] for t in (held.y, blended, held.x))
        found["identity_restored"] = (like * who).sum(1).mean()
        found["identity_masked"] = (masked_as * who).sum(1).mean()
    return {k: float(v) for k, v in found.items()}


def sheet(
    network: Unmasker,
    features: perceptual.FaceFeatures | None,
    held: Batch,
    precision: loop.Precision,
    device: torch.device,
) -> np.ndarray:
    """Rows of masked, region, output, blended and true faces."""
    few = Batch(*(t[:: max(1, len(t) // 12)][:12] for t in held))
    y_hat, blended = restored(network, features, few, precision, device)
    shown = few.region.expand(-1, 3, -1, -1) * 2 - 1
    return images.sheet([list(images.to_uint8(t)) for t in (few.x, shown, y_hat, blended, few.y)])
