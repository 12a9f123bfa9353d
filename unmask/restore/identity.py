"""Who is under the face mask: a recognizer's view of the visible part, and of reference photos, for the styles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import images
from ..engines.unmaskers import Skips
from ..errors import UnmaskError
from ..faces import align
from ..faces.blend import Floats
from ..recognition import Recognizer, unit

if TYPE_CHECKING:
    from .restorer import Restorer

ALIKE = 0.3  # cosine to the reference below which a face is taken for another person, who gets none of it


class Identified:
    """An unmasker together with the recognizer whose embedding of the masked crop its styles take.

    To those who use it it is an :class:`unmask.engines.Inverter` like any other.

    Args:
        inverter: the unmasker (:func:`unmask.engines.unmaskers.load`).
        recognizer: the one it was trained with.
        reference: the embedding [D] of photos of one person, which stands in for that of each crop that is alike.
    """

    def __init__(self, inverter: Any, recognizer: Recognizer, reference: Floats | None = None) -> None:
        self.inverter, self.recognizer, self.reference = inverter, recognizer, reference
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
        return Identified(self.inverter.seeded(seed), self.recognizer, self.reference)

    def _of(self, x: Floats) -> Floats:
        seen = embed(x, self.template, self.recognizer)
        if self.reference is None:
            return seen
        return np.where((seen @ self.reference >= ALIKE)[:, None], self.reference, seen)


def referring(restorer: Restorer, photos: Sequence[Any]) -> Identified:
    """The unmasker of a restorer with the recognizer's embedding of the largest face in photos of one person.

    Args:
        restorer: finds the faces; its unmasker takes an embedding.
        photos: as :meth:`unmask.restore.Restorer.restore` takes them.

    Raises:
        NoFaceError: a photo shows no face.
        UnmaskError: a photo cannot be read, or the unmasker takes no embedding.
    """
    model = restorer.model
    if not isinstance(model, Identified):
        raise UnmaskError("reference: these weights take no embedding of a person; use the pack's, or leave it out")
    recognizer, crops = model.recognizer, []
    for given in photos:
        photo = images.read(given)
        face = restorer.find(photo.pixels, "largest", photo.name)[0]
        crops.append(align.crop_face(photo.pixels, face.kps, recognizer.template, recognizer.size)[0])
    reference = unit(recognizer.embed(images.to_float(crops)).mean(axis=0, keepdims=True))[0]
    return Identified(model.inverter, recognizer, reference)


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
