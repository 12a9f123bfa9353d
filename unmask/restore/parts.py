"""Which models a restorer is made of: the pack's, and what a person has instead of some of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .. import weights
from ..errors import UnmaskError
from ..weights import runs

UNMASKER = "unmasker"
NAMES = (UNMASKER, "detector", "segmenter", "landmarker", "recognizer")


@dataclass(frozen=True)
class Parts:
    """Where each model of a restorer comes from.

    Attributes:
        given: what was asked for; None for the pack.
        run: the checkpoint of a run, which holds the unmasker.
        folder: a weights folder of one's own.
        own: the rows of its table that are taken; the pack's stand in for the others.
    """

    given: str | Path | None = None
    run: Path | None = None
    folder: Path | None = None
    own: frozenset[str] = frozenset()

    def folder_of(self, name: str) -> Path | None:
        """The weights folder that holds a part, None for the pack."""
        return self.folder if name in self.own else None

    def unmasker(self) -> weights.Checkpoint:
        """The checkpoint of the unmasker, read."""
        if self.run is not None:
            return runs.unmasker(self.run)
        if self.folder is not None or self.given is None:
            return weights.read(UNMASKER, kind=UNMASKER, folder=self.folder_of(UNMASKER))
        return weights.read(self.given, kind=UNMASKER)

    @property
    def told(self) -> str:
        """One line about what the pack stands in for; empty where that goes without saying."""
        if self.run is not None:
            return f"{self.given}: gives the unmasker; the rest is the pack's"
        missing = [name for name in NAMES if name not in self.own] if self.folder is not None else []
        return f"{self.given}: has no {', '.join(missing)}; the pack's stand in" if missing else ""


def of(name_or_path: str | Path | None = None) -> Parts:
    """The parts for None (the pack), a name in its table, an unmasker's file, a weights folder, or a run.

    A run is the folder of ``unmask train`` or a checkpoint (``last.pt``) in it.

    Raises:
        UnmaskError: a folder that is neither, or one whose table names none of the models.
    """
    if name_or_path is None:
        return Parts()
    run, place = runs.checkpoint_of(name_or_path), Path(name_or_path)
    if run is not None or not place.is_dir():
        return Parts(name_or_path, run)
    own = frozenset(row.name for row in weights.rows(place)) & {*NAMES}
    if not own:
        raise UnmaskError(
            f"{place}: neither a run ({runs.NAME}) nor a folder of weights ({weights.INDEX} with one of "
            f"{', '.join(NAMES)}); give one of these, or a file"
        )
    if place.resolve() == weights.default_folder().resolve():  # nothing stands in for what the pack lacks
        return Parts(name_or_path, folder=place, own=frozenset(NAMES))
    return Parts(name_or_path, folder=place, own=own)
