"""Networks through torch, on arrays: what a GPU, or weights without an ONNX file, are run by."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .. import weights
from ..models.landmarker import Likely
from ..models.layers import freeze
from ..models.segmenter import Probabilities
from ..models.small import fuse
from ..models.unmasker import noise_buffers
from . import networks
from .choice import Choice
from .networks import Floats
from .unmaskers import Skips

ON_CPU = Choice("torch", "cpu", "it was given")
# kind -> the network with the outputs of its ONNX file
LAYOUTS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "segmenter": lambda network: Probabilities(fuse(network)),
    "landmarker": lambda network: Likely(fuse(network)),
}


class TorchNetwork:
    """A network of one of the small kinds through torch."""

    def __init__(self, path: Path, kind: str, chosen: Choice) -> None:
        """Read a checkpoint; UnmaskError where it does not fit."""
        found = weights.read(path, kind=kind)
        network = weights.build(found)
        self.choice, self.sha256 = chosen, found.sha256
        self.size = int(getattr(network, "size", None) or found.meta.get("size") or 128)
        self.template = str(found.meta.get("template") or "ffhq")
        self.network = LAYOUTS[kind](network).to(chosen.device)

    @torch.inference_mode()
    def __call__(self, *inputs: Floats) -> Sequence[Floats]:
        """See :class:`unmask.engines.networks.Network`."""
        return [one.cpu().numpy() for one in self.network(*(_tensor(x, self.choice.device) for x in inputs))]


class TorchUnmasker:
    """An unmasker through torch; see :class:`unmask.engines.unmaskers.Inverter`."""

    def __init__(
        self,
        network: Any,
        chosen: Choice = ON_CPU,
        sha256: str = "",
        path: Path = Path("unmasker"),
        recognizer: str = "",
    ) -> None:
        """Wrap a network, which is put into evaluation mode."""
        self.network: Any = freeze(network.eval().requires_grad_(False).to(chosen.device))
        self.size, self.template, self.choice = network.size, network.template, chosen
        self.identity = 0 if network.identity is None else network.identity.in_features
        self.sha256, self.path, self.recognizer = sha256, path, recognizer

    @classmethod
    def of(cls, found: weights.Checkpoint, chosen: Choice) -> TorchUnmasker:
        """That of a checkpoint; UnmaskError where it does not fit."""
        return cls(weights.build(found), chosen, found.sha256, found.path, str(found.meta.get(weights.RECOGNIZER, "")))

    @torch.inference_mode()
    def __call__(self, x: Floats, region: Floats, identity: Floats | None = None) -> Floats:
        """See the class."""
        ws, skips = self._codes(x, region, identity)
        return _array(self.network.decode(ws, "const", skips))

    @torch.inference_mode()
    def codes(self, x: Floats, region: Floats, identity: Floats | None = None) -> tuple[Floats, Skips]:
        """See the class."""
        ws, skips = self._codes(x, region, identity)
        return _array(ws), {r: _array(one) for r, one in skips.items()}

    @torch.inference_mode()
    def synthesis(self, ws: Floats, skips: Skips) -> Floats:
        """See the class."""
        held = {r: _tensor(one, self.choice.device) for r, one in skips.items()}
        return _array(self.network.decode(_tensor(ws, self.choice.device), "const", held))

    def seeded(self, seed: int) -> TorchUnmasker:
        """See the class."""
        if seed == 0:
            return self
        other = copy.copy(self)
        shared: dict[int, Any] = {id(parameter): parameter for parameter in self.network.parameters()}
        other.network = copy.deepcopy(
            self.network, memo=shared
        )  # a copy, so that threads do not see each other's noise
        held = noise_buffers(other.network)
        drawn = networks.noise(seed, [tuple(buffer.shape) for _, buffer in held])
        for (_, buffer), one in zip(held, drawn, strict=True):
            buffer.copy_(torch.from_numpy(one))
        return other

    def _codes(self, *arrays: Floats | None) -> Any:
        return self.network.codes(*(None if one is None else _tensor(one, self.choice.device) for one in arrays))


def _tensor(array: Floats, device: str) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)


def _array(tensor: Tensor) -> Floats:
    found: Floats = tensor.float().cpu().numpy()
    return found
