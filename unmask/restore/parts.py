"""Which models a restorer is made of: the pack's, and what a person has instead of some of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import engines, recognition, weights
from ..engines import unmaskers
from ..errors import UnmaskError
from ..faces.detect import load_detector
from ..faces.landmarks import Landmarker
from ..faces.segment import Segmenter
from ..weights import runs
from . import identity

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

    def unmasker(self, engine: str, device: str) -> Any:
        """The unmasker, loaded; see :func:`unmask.engines.unmaskers.load`."""
        if self.run is not None:
            chosen = engines.choose(engine, device, has_onnx=False, called=str(self.run))
            from ..engines.torch_side import TorchUnmasker

            return TorchUnmasker.of(runs.unmasker(self.run), chosen)
        given = UNMASKER if self.given is None or Path(self.given).is_dir() else self.given
        return unmaskers.load(given, engine, device, self.folder_of(UNMASKER))

    def segmenter(self, given: Any, engine: str, device: str) -> Any:
        """The segmenter, or the one that was given as an object, a name or a path."""
        if given is not None and not isinstance(given, str | Path):
            return given
        return Segmenter(given or "segmenter", device, engine, self.folder_of("segmenter"))

    def detector(self, given: Any) -> Any:
        """The detector, or the one that was given as an object, a name or a path; it runs on the CPU."""
        if given is not None and not isinstance(given, str | Path):
            return given
        return load_detector(given or weights.find("detector", "onnx", self.folder_of("detector")))

    def landmarker(self, engine: str, device: str) -> Landmarker | None:
        """The landmarker; None where there is none, and faces are taken as the detector gives them."""
        folder = self.folder_of("landmarker")
        if all(row.name != "landmarker" for row in weights.rows(folder)):
            return None
        return Landmarker("landmarker", device, engine, folder)

    def loaded(self, engine: str, device: str, detector: Any, segmenter: Any) -> tuple[Any, ...]:
        """Unmasker, segmenter, detector, landmarker and recognizer, loaded side by side."""
        with ThreadPoolExecutor(engines.threads()) as pool:
            found = [
                pool.submit(self.unmasker, engine, device),
                pool.submit(self.segmenter, segmenter, engine, device),
                pool.submit(self.detector, detector),
                pool.submit(self.landmarker, engine, device),
                pool.submit(recognition.of_pack, self.folder_of("recognizer")),
            ]
            unmasker, *others, recognizer = (one.result() for one in found)
        return self._identified(unmasker, recognizer), *others, recognizer

    def ready(self, engine: str, device: str) -> Any:
        """The unmasker by itself, with the recognizer where it takes one's embedding."""
        return self._identified(self.unmasker(engine, device), recognition.of_pack(self.folder_of("recognizer")))

    def _identified(self, unmasker: Any, recognizer: recognition.Recognizer | None) -> Any:
        there = (row.sha256 for row in weights.rows(self.folder_of("recognizer")) if row.name == "recognizer")
        return identity.identified(unmasker, recognizer, next(there, ""))

    @property
    def told(self) -> str:
        """One line about what the pack stands in for; empty where that goes without saying."""
        if self.run is not None:
            return f"{self.given}: gives the unmasker; the rest is the pack's"
        missing = [name for name in NAMES if name not in self.own] if UNMASKER in self.own else []
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
    if run is not None:
        return Parts(name_or_path, run)
    if not place.is_dir():  # of its own folder, the recognizer whose embeddings it may read
        beside = {row.name for row in weights.rows(place.parent)} if place.is_file() else set()
        return Parts(name_or_path, folder=place.parent, own=frozenset(beside & {"recognizer"}))
    own = frozenset(row.name for row in weights.rows(place)) & {*NAMES}
    if not own:
        raise UnmaskError(
            f"{place}: neither a run ({runs.NAME}) nor a folder of weights ({weights.INDEX} with one of "
            f"{', '.join(NAMES)}); give one of these, or a file"
        )
    if place.resolve() == weights.default_folder().resolve():  # nothing stands in for what the pack lacks
        return Parts(name_or_path, folder=place, own=frozenset(NAMES))
    return Parts(name_or_path, folder=place, own=own)
