"""A list of pairs with its people and folds, and the checks that every format shares."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ...errors import UnmaskError
from .pictures import Pictures

__all__ = ["Faults", "Pair", "PairList", "assemble", "compare", "finish", "picture_key", "spread_folds", "thinned"]

FOLDS = 10  # where a list does not say
SHOWN_FAULTS = 4
MOST_TEXT = 160  # characters of one fault


@dataclass(frozen=True)
class Pair:
    """Two pictures by their keys in the source of pictures, whether they show one person, and the fold."""

    a: str
    b: str
    issame: bool
    fold: int
    line: int


@dataclass(frozen=True)
class PairList:
    """Pairs with the people in them.

    ``identity`` numbers the person of every picture from 0. ``people_known`` is False where it was only
    inferred from the pairs themselves, so that two numbers may be one person: then there are no trustworthy
    cross-identity pairs.
    """

    name: str
    pairs: list[Pair]
    pictures: list[str]
    identity: dict[str, int]
    people_known: bool
    sha256: str
    embedded: dict[str, bytes] = field(default_factory=dict)  # pictures that came inside the list


class Faults:
    """Collects what is wrong, line by line."""

    def __init__(self, path: Path):
        self.path = path
        self.found: list[tuple[int, str]] = []
        self.lacking = 0

    def add(self, line: int, text: str) -> None:
        """Note one fault."""
        text = text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 3]}..."
        if (line, text) not in self.found[-2:]:
            self.found.append((line, text))

    def lack(self, line: int, text: str) -> None:
        """Note a picture that is not there."""
        self.lacking += 1
        self.add(line, text)

    def check(self, cure: str) -> None:
        """Raise UnmaskError if there are any, naming the first few."""
        if not self.found:
            return
        shown = "; ".join(f"line {line}: {text}" for line, text in sorted(self.found)[:SHOWN_FAULTS])
        more = len(self.found) - SHOWN_FAULTS
        raise UnmaskError(f"{self.path}: {shown}{f'; and {more} more' if more > 0 else ''}; {cure}")


def spread_folds(same: Iterable[bool]) -> list[int]:
    """Ten folds, in order within the pairs of each kind, so that every fold has both."""
    labels = np.array(list(same), bool)
    fold = np.zeros(len(labels), np.int64)
    for kind in (True, False):
        at = np.flatnonzero(labels == kind)
        fold[at] = np.arange(len(at)) * FOLDS // max(1, len(at))
    return [int(f) for f in fold]


def finish(
    path: Path,
    lines: Sequence[str],
    pairs: list[Pair],
    person: dict[str, str] | None,
    faults: Faults,
    fold: bool = False,
) -> PairList:
    """Check the pairs against each other, spread them over folds where the list has none, and number the people."""
    if not pairs and faults.lacking > 1 and faults.lacking >= len(faults.found):
        raise UnmaskError(
            f"{path}: none of its pictures is there ({faults.found[0][1]}, ...); give the folder or zip "
            "that holds them with --images"
        )
    compare(pairs, faults)
    counts = Counter(pair.issame for pair in pairs)
    if not faults.found and len(counts) < 2:
        faults.add(len(lines), "there are no pairs of " + ("different people" if counts[True] else "one person"))
    faults.check("correct these lines")
    if fold:
        folds = spread_folds(pair.issame for pair in pairs)
        pairs = [Pair(p.a, p.b, p.issame, int(f), p.line) for p, f in zip(pairs, folds, strict=True)]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return assemble(path.stem, pairs, person, digest)


def compare(pairs: Iterable[Pair], faults: Faults) -> None:
    """Add the faults of pairs that repeat others or pair a picture with itself."""
    seen: dict[frozenset[str], int] = {}
    for pair in pairs:
        both = frozenset((pair.a, pair.b))
        if len(both) == 1:
            faults.add(pair.line, f"pairs {pair.a} with itself")
        elif both in seen:
            faults.add(pair.line, f"repeats line {seen[both]}")
        else:
            seen[both] = pair.line


def assemble(
    name: str,
    pairs: list[Pair],
    person: dict[str, str] | None,
    sha256: str,
    embedded: dict[str, bytes] | None = None,
) -> PairList:
    """Put a list together: number the people, by name where that is known, else by who is paired with whom."""
    pictures = list(dict.fromkeys(key for pair in pairs for key in (pair.a, pair.b)))
    known = _people(pairs, pictures, person)
    groups = known or _connected(pairs, pictures)
    numbers = {word: i for i, word in enumerate(dict.fromkeys(groups[key] for key in pictures))}
    identity = {key: numbers[groups[key]] for key in pictures}
    return PairList(name, pairs, pictures, identity, known is not None, sha256, embedded or {})


def _people(pairs: Sequence[Pair], pictures: Sequence[str], person: dict[str, str] | None) -> dict[str, str] | None:
    """Who is in each picture, as given or by its folder; None where that is unknown or contradicts the pairs."""
    people = {key: person.get(key, "") if person else _without_view(key) for key in pictures}
    agree = all((people[pair.a] == people[pair.b]) == pair.issame for pair in pairs)
    return people if agree and all(people.values()) else None


def _without_view(key: str) -> str:
    """The folder of a picture, less folders that say how it was taken; empty for a picture in no folder."""
    parts = [part for part in key.split("/")[:-1] if part.lower() not in ("frontal", "profile")]
    return "/".join(parts)


def _connected(pairs: Sequence[Pair], pictures: Sequence[str]) -> dict[str, str]:
    """Pictures joined by pairs of one person, named after the first."""
    parent = {key: key for key in pictures}

    def root(key: str) -> str:
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for pair in pairs:
        if pair.issame:
            parent[root(pair.b)] = root(pair.a)
    return {key: root(key) for key in pictures}


def thinned(listed: PairList, count: int) -> PairList:
    """``count`` pairs of a list, spread evenly over it, with the people as they were numbered among those left."""
    if count >= len(listed.pairs):
        return listed
    chosen = [listed.pairs[i] for i in np.linspace(0, len(listed.pairs) - 1, count).round().astype(int)]
    pictures = list(dict.fromkeys(key for pair in chosen for key in (pair.a, pair.b)))
    numbers = {old: new for new, old in enumerate(dict.fromkeys(listed.identity[key] for key in pictures))}
    return replace(
        listed, pairs=chosen, pictures=pictures, identity={key: numbers[listed.identity[key]] for key in pictures}
    )


def picture_key(line: int, name: str | None, pictures: Pictures, faults: Faults) -> str:
    """The key of a picture given by path, or an empty string and a fault."""
    name = (name or "").strip()
    if not name or not pictures.safe(name):
        faults.add(line, f"{name!r} leaves the folder of pictures" if name else "a path is missing")
        return ""
    key = pictures.find(name)
    if key is None:
        faults.lack(line, f"no picture {name}")
    return key or ""
