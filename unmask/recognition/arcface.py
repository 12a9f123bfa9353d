"""Recognizers of our own kind (an IR residual network) in torch: differentiable, so they can teach."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from .. import weights


class Embedder(Protocol):
    """A network that embeds: ``size`` (height, width), and ``embed`` of faces [N,3,H,W] as [N,D] of unit length."""

    size: tuple[int, int]

    def embed(self, x: Tensor) -> Tensor:
        """See the class."""
        ...


class TorchRecognizer:
    """A frozen network behind the Recognizer interface; gradients flow to the faces."""

    differentiable = True

    def __init__(self, network: Embedder, name: str, fingerprint: str, template: str = "arcface") -> None:
        cast(nn.Module, network).eval().requires_grad_(False)
        self.network, self.name, self.fingerprint, self.template = network, name, fingerprint, template
        self.size = network.size

    def embed(self, faces: Any) -> Any:
        """Embed ``faces`` [N,3,H,W] RGB in [-1,1] as [N,D] of unit length, an array or a tensor as ``faces`` are."""
        if not isinstance(faces, np.ndarray):
            return self.network.embed(faces)
        device = next(cast(nn.Module, self.network).parameters()).device
        with torch.no_grad():
            return self.network.embed(torch.from_numpy(faces).to(device)).cpu().numpy()


def load(name_or_path: str | Path, device: str | torch.device = "cpu") -> TorchRecognizer:
    """Load a checkpoint of kind ``iresnet`` by name or path; raises UnmaskError where it does not fit."""
    checkpoint = weights.read(name_or_path, kind="iresnet")
    return TorchRecognizer(weights.build(checkpoint).to(device), Path(checkpoint.path).stem, checkpoint.sha256)
