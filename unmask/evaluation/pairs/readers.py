"""Lists of pairs: LFW, CFP, AgeDB-style lists, insightface's .bin sets, plain CSV.

Every fault names its line, and all faults of a file are reported together.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Sequence
from pathlib import Path

from ...errors import UnmaskError
from . import binset
from .pairlist import Faults, Pair, PairList, assemble, compare, finish, spread_folds
from .pictures import Pictures

__all__ = ["Pair", "PairList", "read"]


def read(path: str | Path, pictures: Pictures | None) -> PairList:
    """Read a list of pairs whose pictures are in ``pictures`` (not needed for a .bin set, which brings its
    own).

    The format is told by the file: ``.bin``, ``.csv``, a folder (CFP's ``Protocol/Split/FP``), LFW's header
    line of one or two numbers or LFW's lines without one (``name i j``, ``name_a i name_b j``), or else lines
    ``path_a path_b 0|1``. Raises UnmaskError naming every faulty line.
    """
    path = Path(path)
    if path.is_dir():
        return _read_cfp(path, _needed(path, pictures))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnmaskError(f"{path}: cannot be read ({error.strerror}); give a list of pairs") from error
    if path.suffix.lower() == ".bin":
        return _read_bin(path, data)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnmaskError(f"{path}: not text ({error.reason}); give pairs.txt, a CSV, a list or a .bin set") from error
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), "")
    if path.suffix.lower() == ".csv" or first.replace(" ", "").lower().startswith("path_a,path_b"):
        return _read_csv(path, text, _needed(path, pictures))
    if re.fullmatch(r"\s*\d{1,9}(\s+\d{1,9})?\s*", first):
        return _read_lfw(path, lines, _needed(path, pictures))
    if re.fullmatch(r"\s*\S+\s+\d+\s+(\S+\s+)?\d+\s*", first):
        return _read_names(path, lines, _needed(path, pictures))
    return _read_list(path, lines, _needed(path, pictures))


def _is_number(text: str) -> bool:
    """Whether a cell is a number of a size that means something (Python reads no more than 4,300 digits)."""
    return text.isdecimal() and len(text) <= 9


def _needed(path: Path, pictures: Pictures | None) -> Pictures:
    if pictures is None:
        raise UnmaskError(f"{path}: its pictures are not in the list; give their folder or zip with --images")
    return pictures


def _read_lfw(path: Path, lines: Sequence[str], pictures: Pictures) -> PairList:
    """``FOLDS<TAB>N`` (or ``N``), then in each fold N lines ``name i j`` and N lines ``name_a i name_b
    j``.
    """
    faults = Faults(path)
    numbered = [(i, line.split()) for i, line in enumerate(lines, 1) if line.strip()]
    head = [int(text) for text in numbered[0][1]]
    folds, each = (1, head[0]) if len(head) == 1 else (head[0], head[1])
    body = numbered[1:]
    if folds < 1 or each < 1 or len(body) != 2 * folds * each:
        faults.add(1, f"announces {folds} x 2 x {each} pairs, but {len(body)} lines follow")
    pairs: list[Pair] = []
    person: dict[str, str] = {}
    for row, (line, words) in enumerate(body):
        issame = row % (2 * each) < each if each > 0 else True
        fold = row // (2 * each) if each > 0 else 0
        if len(words) != (3 if issame else 4):
            kind, form = ("same", "name i j") if issame else ("different", "name_a i name_b j")
            faults.add(line, f"{' '.join(words)!r} is not of the form {form!r} that a pair of the {kind} kind has")
            continue
        _lfw_pair(line, words, fold, pictures, faults, pairs, person)
    return finish(path, lines, pairs, person, faults)


def _read_names(path: Path, lines: Sequence[str], pictures: Pictures) -> PairList:
    """LFW's lines in any order and without the header, as MFR2 has them; ten folds in order within each kind."""
    faults = Faults(path)
    pairs: list[Pair] = []
    person: dict[str, str] = {}
    for line, text in enumerate(lines, 1):
        words = text.split()
        if len(words) in (3, 4):
            _lfw_pair(line, words, 0, pictures, faults, pairs, person)
        elif words:
            faults.add(line, f"{text.strip()[:60]!r} is neither 'name i j' nor 'name_a i name_b j'")
    return finish(path, lines, pairs, person, faults, fold=True)


def _lfw_pair(
    line: int,
    words: Sequence[str],
    fold: int,
    pictures: Pictures,
    faults: Faults,
    pairs: list[Pair],
    person: dict[str, str],
) -> None:
    """Add the pair of ``name i j`` or ``name_a i name_b j``, or its faults."""
    issame = len(words) == 3
    names = (words[0], words[0]) if issame else (words[0], words[2])
    numbers = (words[1], words[2]) if issame else (words[1], words[3])
    if not issame and names[0] == names[1]:
        faults.add(line, f"{names[0]} stands on both sides of a pair of different people")
        return
    found = [_lfw_picture(line, n, i, pictures, faults) for n, i in zip(names, numbers, strict=True)]
    if all(found):
        pairs.append(Pair(found[0], found[1], issame, fold, line))
        person.update(zip(found, names, strict=True))


def _lfw_picture(line: int, name: str, number: str, pictures: Pictures, faults: Faults) -> str:
    if not _is_number(number):
        faults.add(line, f"{number!r} is no picture number")
        return ""
    if not pictures.safe(name):
        faults.add(line, f"{name!r} leaves the folder of pictures")
        return ""
    stem = f"{name}_{int(number):04d}"
    key = pictures.find(f"{name}/{stem}") or pictures.find(stem)
    if key is None:
        known = pictures.has_folder(name)
        faults.add(line, f"no picture {number} of {name}" if known else f"unknown person {name}")
    return key or ""


def _read_csv(path: Path, text: str, pictures: Pictures) -> PairList:
    """Columns ``path_a,path_b,issame`` and, if there, ``fold``, ``id_a`` and ``id_b``."""
    faults = Faults(path)
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    try:
        columns = set(reader.fieldnames or ())
    except csv.Error as error:
        raise UnmaskError(f"{path}: line 1: is no CSV ({error}); write it again") from error
    if not {"path_a", "path_b", "issame"} <= columns:
        faults.add(
            1, f"has the columns {', '.join(sorted(columns)) or 'none'}, not path_a,path_b,issame[,fold][,id_a,id_b]"
        )
        faults.check("add a header line")
    given_fold = "fold" in columns
    pairs: list[Pair] = []
    person: dict[str, str] = {}
    try:
        for row in reader:
            _csv_row(row, reader.line_num, given_fold, pictures, faults, pairs, person)
    except csv.Error as error:
        faults.add(reader.line_num, f"is no CSV ({error})")
    return finish(path, text.splitlines(), pairs, person or None, faults, fold=not given_fold)


def _csv_row(
    row: dict[str, str],
    line: int,
    given_fold: bool,
    pictures: Pictures,
    faults: Faults,
    pairs: list[Pair],
    person: dict[str, str],
) -> None:
    """Add the pair of one row, or its faults."""
    issame = _truth(row["issame"])
    fold = row["fold"] if given_fold else "0"
    if issame is None:
        faults.add(line, f"issame is {row['issame']!r}, not 0 or 1")
    if None in row or fold is None or not _is_number(fold.strip()):
        faults.add(line, "has too many cells" if None in row else f"fold is {fold!r}, not a number")
        return
    found = [_picture(line, row[c], pictures, faults) for c in ("path_a", "path_b")]
    if issame is not None and all(found):
        pairs.append(Pair(found[0], found[1], issame, int(fold), line))
        if row.get("id_a") and row.get("id_b"):
            person.update({found[0]: row["id_a"], found[1]: row["id_b"]})


def _read_list(path: Path, lines: Sequence[str], pictures: Pictures) -> PairList:
    """Lines ``path_a path_b 0|1``; ten folds in order."""
    faults = Faults(path)
    pairs = []
    for line, text in enumerate(lines, 1):
        words = text.replace(",", " ").split()
        if not words:
            continue
        issame = _truth(words[2]) if len(words) == 3 else None
        if issame is None:
            faults.add(line, f"{text.strip()[:60]!r} is not 'path_a path_b 0|1'")
            continue
        found = [_picture(line, word, pictures, faults) for word in words[:2]]
        if all(found):
            pairs.append(Pair(found[0], found[1], issame, 0, line))
    return finish(path, lines, pairs, None, faults, fold=True)


def _read_cfp(folder: Path, pictures: Pictures) -> PairList:
    """CFP's ``Split/FP`` or ``Split/FF``: a folder a fold with ``same.txt`` and ``diff.txt`` of ``i,j``
    lines.

    The numbers are looked up in ``Pair_list_F.txt`` (frontal) and ``Pair_list_P.txt`` (profile) two levels
    up.
    """
    profile = folder.name.upper() == "FP"
    tables = [_cfp_table(folder, kind) for kind in ("F", "P" if profile else "F")]
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
                keys = [_picture(line, t[w], pictures, faults) for w, t in zip(words, tables, strict=True)]
                if all(keys):
                    pairs.append(Pair(keys[0], keys[1], file.stem == "same", folds[file.parent.name], line))
        compare(pairs[before:], faults)
        faults.check("correct the file")
    if len({pair.issame for pair in pairs}) < 2:
        raise UnmaskError(f"{folder}: has no pairs of one person or none of different people; give the whole split")
    return assemble(folder.name, pairs, None, digest.hexdigest())


def _cfp_table(folder: Path, kind: str) -> dict[str, str]:
    """CFP's list of pictures: number -> path."""
    for base in (folder, *folder.parents[:3]):
        file = base / f"Pair_list_{kind}.txt"
        if not file.is_file():
            continue
        faults, table = Faults(file), {}
        for line, text in enumerate(_text(file).splitlines(), 1):
            words = text.split()
            if len(words) == 2 and _is_number(words[0]):
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


def _read_bin(path: Path, data: bytes) -> PairList:
    pictures, same = binset.parse(path, data)
    keys = [hashlib.sha256(content).hexdigest()[:24] for content in pictures]
    embedded = dict(zip(keys, pictures, strict=True))
    fold = spread_folds(same)
    pairs = [Pair(keys[2 * i], keys[2 * i + 1], s, int(fold[i]), i + 1) for i, s in enumerate(same)]
    return assemble(path.stem, pairs, None, hashlib.sha256(data).hexdigest(), embedded)


def _truth(text: str | None) -> bool | None:
    return {"1": True, "true": True, "0": False, "-1": False, "false": False}.get((text or "").strip().lower())


def _picture(line: int, name: str | None, pictures: Pictures, faults: Faults) -> str:
    """The key of a picture given by path, or an empty string and a fault."""
    name = (name or "").strip()
    if not name or not pictures.safe(name):
        faults.add(line, f"{name!r} leaves the folder of pictures" if name else "a path is missing")
        return ""
    key = pictures.find(name)
    if key is None:
        faults.add(line, f"no picture {name}")
    return key or ""
