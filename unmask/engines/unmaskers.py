"""Unmaskers on arrays: crops and their regions in, whole faces out, and the codes between."""

from __future__ import annotations

import copy
import threading
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .. import weights
from ..errors import UnmaskError
from . import choice, networks, sessions
from .choice import Choice
from .networks import Floats, Source

Skips = dict[int, Floats]
NOISE, SKIP = "noise_", "skip_"  # begin the names of inputs and outputs of an unmasker's ONNX file
IDENTITY = "identity"  # the input for a recognizer's embedding


@runtime_checkable
class Inverter(Protocol):
    """A fill that goes by codes; what both engines make of an unmasker's checkpoint.

    Where the network's styles take a recognizer's embedding of the person, ``identity`` [N,D] of unit length has to be
    given; ``unmask.restore.identity`` does so.
    """

    def __call__(self, x: Floats, region: Floats, identity: Floats | None = None) -> Floats:
        """x [N,3,S,S] in [-1,1], region [N,1,S,S] in [0,1] -> y_hat [N,3,S,S], about [-1,1]."""
        ...

    def codes(self, x: Floats, region: Floats, identity: Floats | None = None) -> tuple[Floats, Skips]:
        """x [N,3,S,S], region [N,1,S,S] -> W+ codes [N,num_ws,w_dim] and skip features {r: [N,C,r,r]}."""
        ...

    def synthesis(self, ws: Floats, skips: Skips) -> Floats:
        """Codes and skip features -> y_hat [N,3,S,S]."""
        ...

    def seeded(self, seed: int) -> Inverter:
        """The same with its generator's noise drawn anew (:func:`unmask.engines.networks.noise`); 0 is the stored."""
        ...


class OnnxUnmasker:
    """An unmasker through ONNX Runtime.

    ``identity`` is the length of the embedding that it takes, 0 if it takes none, and ``recognizer`` the sha256 of the
    recognizer whose embeddings it learned to read.
    """

    def __init__(self, found: Source, chosen: Choice) -> None:
        """Open the session; UnmaskError where the file is missing, altered or no unmasker."""
        self.network = networks.OnnxNetwork(found, chosen)
        self.size, self.template, self.choice = self.network.size, self.network.template, chosen
        self.sha256, self.path = found.sha256, found.path
        if (
            self.network.inputs[:2] != ["faces", "region"]
            or self.network.inputs[2:] not in ([], [IDENTITY])
            or not self.size
        ):
            raise UnmaskError(f"{self.path}: not an unmasker; give a file that 'unmask export' wrote")
        self.identity = self.network.session.get_inputs()[-1].shape[1] if IDENTITY in self.network.inputs else 0
        self.recognizer = str(self.network.session.get_modelmeta().custom_metadata_map.get(weights.RECOGNIZER, ""))
        given = self.network.session.get_overridable_initializers()
        self._drawn = {one.name: one for one in given if one.name.startswith(NOISE)}
        self._noise: dict[str, NDArray[Any]] = {}
        self._halves = _Halves(self.network.path, chosen.device)

    def __call__(self, x: Floats, region: Floats, identity: Floats | None = None) -> Floats:
        """See :class:`Inverter`."""
        inputs = {**_named(x, region, identity), **self._noise}
        found: Floats = networks.run(self.network.session, self.path, ["restored"], inputs)[0]
        return found

    def codes(self, x: Floats, region: Floats, identity: Floats | None = None) -> tuple[Floats, Skips]:
        """See :class:`Inverter`."""
        session, names = self._halves.first, self._halves.names
        ws, *skips = networks.run(session, self.path, names, _named(x, region, identity))
        return ws, {int(name.removeprefix(SKIP)): one for name, one in zip(names[1:], skips, strict=True)}

    def synthesis(self, ws: Floats, skips: Skips) -> Floats:
        """See :class:`Inverter`."""
        inputs = {"ws": ws, **{f"{SKIP}{r}": one for r, one in skips.items()}, **self._noise}
        found: Floats = networks.run(self._halves.second, self.path, ["restored"], inputs)[0]
        return found

    def seeded(self, seed: int) -> OnnxUnmasker:
        """See :class:`Inverter`."""
        other = copy.copy(self)
        other._noise = {}
        if seed:
            drawn = networks.noise(seed, [tuple(one.shape) for one in self._drawn.values()])
            kinds = [np.float16 if "float16" in one.type else np.float32 for one in self._drawn.values()]
            other._noise = {n: d.astype(k) for n, d, k in zip(self._drawn, drawn, kinds, strict=True)}
        return other


def _named(x: Floats, region: Floats, identity: Floats | None) -> dict[str, NDArray[Any]]:
    """The inputs of an unmasker's ONNX file."""
    return {"faces": x, "region": region} | ({} if identity is None else {IDENTITY: identity})


class _Halves:
    """The graph cut at the codes, for those that change them: two sessions, opened when they are first wanted."""

    def __init__(self, path: Path, device: str) -> None:
        self.path, self.device, self._lock = path, device, threading.Lock()
        self._sessions: tuple[Any, Any] | None = None
        self.names: list[str] = []

    @property
    def first(self) -> Any:
        """Faces and region to codes, whose names are in ``names``."""
        return self._opened()[0]

    @property
    def second(self) -> Any:
        """Codes to the restored face."""
        return self._opened()[1]

    def _opened(self) -> tuple[Any, Any]:
        with self._lock:
            if self._sessions is None:
                self._sessions = self._cut()
            return self._sessions

    def _cut(self) -> tuple[Any, Any]:
        import onnx
        from onnx.utils import Extractor

        model = onnx.load(str(self.path))
        self.names = [one.name for one in model.graph.output if one.name != "restored"]
        noise = {one.name for one in model.graph.input if one.name.startswith(NOISE)}
        cut = Extractor(model)
        parts = (
            cut.extract_model([one.name for one in model.graph.input if one.name not in noise], self.names),
            cut.extract_model(self.names, ["restored"]),
        )
        parts[1].graph.input.extend(one for one in model.graph.input if one.name in noise)
        first, second = (sessions.open_session(part.SerializeToString(), self.device) for part in parts)
        return first, second


def load(name_or_path: str | Path, engine: str = "auto", device: str = "auto", folder: str | Path | None = None) -> Any:
    """An unmasker by its name in the table or by path.

    It is an :class:`Inverter` with ``size``, ``template``, ``sha256``, ``choice``, ``path``, ``identity`` and
    ``recognizer`` (:class:`OnnxUnmasker`).

    Raises:
        UnmaskError: the weights are missing, altered, of another kind, or need an engine that is not there.
        UsageError: there is no such engine or device.
    """
    found = networks.source(name_or_path, "unmasker", folder)
    chosen = choice.choose(engine, device, found.onnx is not None, str(found.path))
    if chosen.engine == "onnx":
        return OnnxUnmasker(found, chosen)
    from .torch_side import TorchUnmasker

    return TorchUnmasker.of(weights.read(found.path, kind="unmasker"), chosen)
