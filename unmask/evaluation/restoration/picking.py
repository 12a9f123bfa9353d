"""Which faces of an evaluation stand on its contact sheet."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

__all__ = ["SPREAD", "WORST", "Picker"]

SPREAD, WORST = "spread", "worst"

Row = list[NDArray[np.uint8]]


class Picker:
    """Keeps the rows of a contact sheet while faces go by: no more of them than the sheet holds.

    Args:
        count: rows of the sheet.
        total: faces that will go by.
        choice: ``spread`` evenly over all, the ``worst`` by score first, or the members of a group as
            ``GROUP: WORD``, drawn at random.
        seed: of that draw.
    """

    def __init__(self, count: int, total: int, choice: str = SPREAD, seed: int = 0):
        self.count, self.choice = count, choice
        self._wanted = set(np.linspace(0, total - 1, min(count, total)).round().astype(int).tolist())
        self._drawn = np.random.default_rng(seed).random(total)
        self._kept: list[tuple[float, int, Row]] = []  # a heap, what goes first on top

    def offer(self, number: int, row: Row, score: float, words: dict[str, str]) -> None:
        """Take or leave the row of one face: ``number`` from 0, higher scores are better, one word a group."""
        if self.choice == SPREAD:
            rank = float(number) if number in self._wanted else None
        elif self.choice == WORST:
            rank = score if np.isfinite(score) else None
        else:
            group, _, word = self.choice.partition(": ")
            rank = float(self._drawn[number]) if words.get(group) == word else None
        if rank is None:
            return
        heapq.heappush(self._kept, (-rank, -number, row))
        if len(self._kept) > self.count:
            heapq.heappop(self._kept)

    def rows(self) -> list[Row]:
        """The rows, in the order of the faces, or the worst first."""
        kept = sorted(self._kept, key=lambda one: (-one[0] if self.choice == WORST else 0.0, -one[1]))
        return [row for _, _, row in kept]
