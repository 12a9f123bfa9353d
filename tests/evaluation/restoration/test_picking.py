"""The rows of a contact sheet: spread, worst, or of a group; never more than asked for."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unmask.evaluation.restoration.picking import Picker


def picked(picker: Picker, scores: list[float], words: list[str] | None = None) -> list[int]:
    for i, score in enumerate(scores):
        picker.offer(i, [np.full((1, 1, 3), i, np.uint8)], score, {"kind": words[i] if words else "cloth"})
    return [int(row[0][0, 0, 0]) for row in picker.rows()]


@given(st.integers(1, 12), st.lists(st.floats(0, 40), min_size=1, max_size=60, unique=True))
def test_spread_and_worst(count: int, scores: list[float]) -> None:
    kept = min(count, len(scores))
    spread = picked(Picker(count, len(scores)), scores)
    assert len(spread) == kept and spread == sorted(spread) and spread[0] == 0
    assert kept == 1 or spread[-1] == len(scores) - 1
    worst = picked(Picker(count, len(scores), "worst"), scores)
    assert worst == np.argsort(scores)[:kept].tolist()


def test_a_group_is_drawn_by_seed() -> None:
    words = ["kn95" if i % 3 == 0 else "cloth" for i in range(60)]
    one = picked(Picker(5, 60, "kind: kn95", seed=1), [0.0] * 60, words)
    assert len(one) == 5 and all(i % 3 == 0 for i in one) and one == sorted(one)
    assert one == picked(Picker(5, 60, "kind: kn95", seed=1), [0.0] * 60, words)
    assert one != picked(Picker(5, 60, "kind: kn95", seed=2), [0.0] * 60, words)
    assert picked(Picker(5, 60, "kind: none"), [0.0] * 60, words) == []


def test_faces_without_a_score_are_not_the_worst() -> None:
    assert picked(Picker(2, 4, "worst"), [3.0, float("nan"), 1.0, 2.0]) == [2, 3]
