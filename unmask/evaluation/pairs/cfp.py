"""CFP's protocol: folders of folds over two numbered lists of pictures."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from ...errors import UnmaskError
from .pairlist import Faults, Pair, PairList, assemble, compare, picture_key
from .pictures import Pictures

__all__ = ["read"]


def read(folder: Path, pictures: Pictures) -> PairList:
    """CFP's ``Split/FP`` or ``Split/FF``: a folder a fold with ``same.txt`` and ``diff.txt`` of ``i,j`` lines.

    The numbers are looked up in ``Pair_list_F.txt`` (frontal) and ``Pair_list_P.txt`` (profile) two levels
    up.
    """
    profile = folder.name.upper() == "FP"
    tables = [_table(folder, kind) for kind in ("F", "P" if profile else "F")]
    files = sorted(folder.glob("*/same.txt")) + sorted(folder.glob("*/diff.txt"))
    if not files:
        raise UnmaskError(f"{folder}: no folds with same.txt and diff.txt here; give CFP's Protocol/Split/FP folder")
    pairs: list[Pair] = []
    folds = {name: i for i, name in enumerate(sorted({file.parent.name for file in files}))}
    digest = hashlib.sha256()
    for file in files:
        faults, before = Faults(file), len(pairs)
        content = _text(file)
        digest.update(content.encode())
        for line, text in enumerate(content.splitlines(), 1):
            words = text.replace(",", " ").split()
            if words and (len(words) != 2 or any(w not in t for w, t in zip(words, tables, strict=True))):
                faults.add(line, f"{text.strip()[:60]!r} is not 'i,j' with numbers of the picture lists")
            elif words:
                keys = [picture_key(line, t[w], pictures, faults) for w, t in zip(words, tables, strict=True)]
                if all(keys):
                    pairs.append(Pair(keys[0], keys[1], file.stem == "same", folds[file.parent.name], line))
        compare(pairs[before:], faults)
        faults.check("correct the file")
    if len({pair.issame for pair in pairs}) < 2:
        raise UnmaskError(f"{folder}: has no pairs of one person or none of different people; give the whole split")
    return assemble(folder.name, pairs, None, digest.hexdigest())


def _table(folder: Path, kind: str) -> dict[str, str]:
    """CFP's list of pictures: number -> path."""
    for base in (folder, *folder.parents[:3]):
        file = base / f"Pair_list_{kind}.txt"
        if not file.is_file():
            continue
        faults, table = Faults(file), {}
        for line, text in enumerate(_text(file).splitlines(), 1):
            words = text.split()
            if len(words) == 2 and words[0].isdecimal():
                table[words[0]] = re.sub(r"^(\.\./)+", "", words[1])
            elif words:
                faults.add(line, f"{text.strip()[:60]!r} is not 'number path'")
        faults.check("correct the file")
        return table
    raise UnmaskError(f"{folder}: no Pair_list_{kind}.txt above it; keep CFP's Protocol folder as it came")


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UnmaskError(f"{file}: cannot be read as text ({error}); fetch it again") from error
