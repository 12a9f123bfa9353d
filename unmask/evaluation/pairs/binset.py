"""insightface's ``.bin`` verification sets: a pickle of encoded pictures and labels, read here as data alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ... import pickles
from ...errors import UnmaskError

__all__ = ["parse"]

_CURE = "unpack it to pictures and a CSV of path_a,path_b,issame where you trust it"
_NAMES: pickles.Names = {**pickles.PLAIN, **pickles.NUMPY}


def parse(path: Path, data: bytes) -> tuple[list[bytes], list[bool]]:
    """The encoded pictures (two a pair, in order) and the labels of a ``.bin`` set, of any protocol of pickle.

    Raises:
        UnmaskError: it is anything but ``([picture, ...], [label, ...])`` with two pictures a label; either may be a
            numpy array of plain numbers.
    """
    try:
        value = pickles.load(data, _NAMES)
    except pickles.Damaged as error:
        raise UnmaskError(f"{path}: not an insightface .bin set ({error}); {_CURE}") from None
    except UnmaskError as error:
        why = f"holds more than bytes and labels (it {error}), and no pickle is run"
        raise UnmaskError(f"{path}: {why}; {_CURE}") from None
    if not (isinstance(value, tuple | list) and len(value) == 2):
        raise UnmaskError(f"{path}: not a pair of pictures and labels; {_CURE}")
    found, labels = (_listed(part) for part in value)
    pictures = [p.values.tobytes() if isinstance(p, pickles.Array) else p for p in found]
    if not all(isinstance(p, bytes) and p for p in pictures):
        raise UnmaskError(f"{path}: its pictures are not all plain bytes; {_CURE}")
    if not labels or not all(isinstance(label, bool | int) and label in (0, 1) for label in labels):
        raise UnmaskError(f"{path}: its labels are not all true or false; {_CURE}")
    if len(pictures) != 2 * len(labels):
        raise UnmaskError(f"{path}: {len(pictures)} pictures for {len(labels)} labels, not two each; {_CURE}")
    return pictures, [bool(label) for label in labels]


def _listed(part: Any) -> list[Any]:
    """The entries of a list, a tuple or an array of one row; none of anything else."""
    if isinstance(part, pickles.Array):
        return list(part.values.reshape(-1).tolist()) if part.values.dtype.kind in "bui" else []
    return list(part) if isinstance(part, list | tuple) else []
