"""Who is under the face mask: a recognizer's view of the visible part, for the styles."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engines.unmaskers import Skips
from ..errors import UnmaskError
from ..faces import align
from ..faces.blend import Floats
from ..recognition import Recognizer


class Identified:
    """An unmasker together with the recognizer whose embedding of the masked crop its styles take.

    To those who use it it is an :class:`unmask.engines.Inverter` like any other.

    Args:
        inverter: the unmasker (:func:`unmask.engines.unmaskers.load`).
        recognizer: the one it was trained with.
    """

    def __init__(self, inverter: Any, recognizer: Recognizer) -> None:
        self.inverter, self.recognizer = inverter, recognizer
        self.choice, self.size, self.template = inverter.choice, inverter.size, inverter.template
        self.sha256, self.path = inverter.sha256, inverter.path

    def __call__(self, x: Floats, region: Floats, identity: Floats | None = None) -> Floats:
        """See :class:`unmask.engines.Inverter`; ``identity`` is found where it is not given."""
        return np.asarray(self.inverter(x, region, self._of(x) if identity is None else identity))

    def codes(self, x: Floats, region: Floats, identity: Floats | None = None) -> tuple[Floats, Skips]:
        """See :class:`unmask.engines.Inverter`."""
        found: tuple[Floats, Skips] = self.inverter.codes(x, region, self._of(x) if identity is None else identity)
        return found

    def synthesis(self, ws: Floats, skips: Skips) -> Floats:
        """See :class:`unmask.engines.Inverter`."""
        return np.asarray(self.inverter.synthesis(ws, skips))

    def seeded(self, seed: int) -> Identified:
        """See :class:`unmask.engines.Inverter`."""
        return Identified(self.inverter.seeded(seed), self.recognizer)

    def _of(self, x: Floats) -> Floats:
        return embed(x, self.template, self.recognizer)


def embed(x: Floats, template: str, recognizer: Recognizer) -> Floats:
    """A recognizer's embeddings [N,D] of crops [N,3,S,S] aligned to ``template``."""
    to = align.between(template, x.shape[-1], recognizer.template, recognizer.size)
    return recognizer.embed(align.warp_batch(np.ascontiguousarray(x), to, recognizer.size))


def identified(inverter: Any, recognizer: Recognizer | None, sha256: str) -> Any:
    """The unmasker with its recognizer where it takes an embedding, else as it is.

    Args:
        inverter: the unmasker.
        recognizer, sha256: the one at hand, and the hash of its weights.

    Raises:
        UnmaskError: it takes an embedding, and its recognizer is not at hand.
    """
    if not inverter.identity:
        return inverter
    if recognizer is None or inverter.recognizer not in ("", sha256):
        raise UnmaskError(
            f"{inverter.path}: its styles take the embedding of the recognizer that it was trained with, and "
            f"{'there is none' if recognizer is None else 'this is another one'}; put that one beside it as recognizer"
        )
    return Identified(inverter, recognizer)
