"""FROM as a recognizer, with what it says about the occlusion of a face."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from .. import weights
from ..errors import UnmaskError
from ..recognition.arcface import TorchRecognizer
from .network import FromNet, FromOutput

__all__ = ["FromRecognizer", "load"]


class FromRecognizer(TorchRecognizer):
    """A frozen :class:`unmask.from_net.network.FromNet`: template ``arcface``, or ``from`` where it is narrower."""

    def __init__(self, network: FromNet, name: str, fingerprint: str) -> None:
        height, width = network.size
        super().__init__(network, name, fingerprint, "arcface" if height == width else "from")
        self.grid = network.grid
        self._net = network

    @torch.no_grad()
    def explain(self, faces: Tensor) -> FromOutput:
        """Embeddings, masks and pattern logits of aligned faces; UnmaskError for a baseline, which has no mask."""
        if self._net.mask_kind == "none":
            raise UnmaskError(f"{self.name}: a baseline without a mask decoder; give a FROM recognizer")
        return self._net.explain(faces)


def load(name_or_path: str | Path, device: str | torch.device = "cpu") -> FromRecognizer:
    """Load a checkpoint of kind ``from_net`` by name or path; raises UnmaskError where it does not fit."""
    checkpoint = weights.read(name_or_path, kind="from_net")
    return FromRecognizer(weights.build(checkpoint).to(device), Path(checkpoint.path).stem, checkpoint.sha256)
