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
from . import binset, cfp
from .pairlist import Faults, Pair, PairList, assemble, finish, picture_key, spread_folds
from .pictures import Pictures

MAX_DIGITS = 9  # of a picture number, a fold or a count
__all__ = ["Pair", "PairList", "read"]


def read(path: str | Path, pictures: Pictures | None) -> PairList:
    """Read a list of pairs whose pictures are in ``pictures`` (not needed for a .bin set, which brings its own).

    The format is told by the file: ``.bin``, ``.csv``, a folder (CFP's ``Protocol/Split/FP``), LFW's header
    line of one or two numbers or LFW's lines without one (``name i j``, ``name_a i name_b j``), Kaggle's ``pairs.csv``
    of these, the lines ``picture 0|fold`` of CALFW and CPLFW of which two make a pair, or else lines
    ``path_a path_b 0|1``. Commas, tabs or semicolons part the cells.

    Raises:
        UnmaskError: some lines are faulty; it names every one.
    """
    path = Path(path)
    if path.is_dir():
        return cfp.read(path, _needed(path, pictures))
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
    if re.match(r"\s*name\s*[,;\t]\s*imagenum1\b", first, re.IGNORECASE):
        return _read_kaggle(path, lines, _needed(path, pictures))
    if path.suffix.lower() in (".csv", ".tsv") or re.match(r"\s*path_a\s*[,;\t]\s*path_b\b", first, re.IGNORECASE):
        return _read_csv(path, text, _needed(path, pictures))
    if re.fullmatch(r"\s*\S+\.(?:jpe?g|png|bmp|webp)\s+\d+\s*", first, re.IGNORECASE):
        return _read_lines_of_two(path, lines, _needed(path, pictures))
    if re.fullmatch(r"\s*\d+(\s+\d+)?\s*", first):
        return _read_lfw(path, lines, _needed(path, pictures))
    if re.fullmatch(r"\s*\S+\s+\d+\s+(\S+\s+)?\d+\s*", first):
        return _read_names(path, lines, _needed(path, pictures))
    return _read_list(path, lines, _needed(path, pictures))


def _needed(path: Path, pictures: Pictures | None) -> Pictures:
    if pictures is None:
        raise UnmaskError(f"{path}: its pictures are not in the list; give their folder or zip with --images")
    return pictures


def _read_lfw(path: Path, lines: Sequence[str], pictures: Pictures) -> PairList:
    """``FOLDS<TAB>N`` (or ``N``), then in each fold N lines ``name i j`` and N lines ``name_a i name_b j``."""
    faults = Faults(path)
    numbered = [(i, line.split()) for i, line in enumerate(lines, 1) if line.strip()]
    if any(len(text) > MAX_DIGITS for text in numbered[0][1]):
        raise UnmaskError(f"{path}: line {numbered[0][0]}: announces more pairs than any list has; correct it")
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
    return finish(path, lines, pairs, person, faults, fold=folds == 1)  # View 1 has no folds of its own


def _read_kaggle(path: Path, lines: Sequence[str], pictures: Pictures) -> PairList:
    """LFW's pairs as Kaggle has them: ``name,imagenum1,imagenum2,`` over three cells of one person or four of two."""
    faults = Faults(path)
    pairs: list[Pair] = []
    person: dict[str, str] = {}
    started = False
    for line, text in enumerate(lines, 1):
        words = [word.strip() for word in re.split(r"[,;\t]", text) if word.strip()]
        if words and not started:
            started = True  # the header
        elif len(words) in (3, 4):
            _lfw_pair(line, words, 0, pictures, faults, pairs, person)
        elif words:
            faults.add(line, f"{text.strip()[:60]!r} has {len(words)} cells, not three or four")
    return finish(path, lines, pairs, person, faults, fold=True)


def _read_lines_of_two(path: Path, lines: Sequence[str], pictures: Pictures) -> PairList:
    """CALFW's and CPLFW's lists: two lines ``picture number`` make a pair, of one person unless the number is 0."""
    faults = Faults(path)
    pairs: list[Pair] = []
    person: dict[str, str] = {}
    held: tuple[int, str, bool] | None = None
    for line, text in enumerate(lines, 1):
        words = text.split()
        if not words:
            continue
        if len(words) != 2 or not words[1].isdecimal():
            faults.add(line, f"{text.strip()[:60]!r} is not 'picture number'")
            continue
        issame = words[1].strip("0") != ""
        key = picture_key(line, words[0], pictures, faults)
        person[key] = re.sub(r"_\d+$", "", Path(words[0]).stem)  # as in LFW, whose people these are
        if held is None:
            held = (line, key, issame)
            continue
        if issame != held[2]:
            faults.add(line, f"has another kind of number than line {held[0]}, with which it makes a pair")
        elif key and held[1]:
            pairs.append(Pair(held[1], key, issame, 0, held[0]))
        held = None
    if held is not None:
        faults.add(held[0], "has no second line to make a pair with")
    return finish(path, lines, pairs, person, faults, fold=True)


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
    if not number.isdecimal() or len(number) > MAX_DIGITS:
        faults.add(line, f"{number[:20]!r} is no picture number")
        return ""
    if not pictures.safe(name):
        faults.add(line, f"{name!r} leaves the folder of pictures")
        return ""
    stem = f"{name}_{int(number):04d}"
    key = pictures.find(f"{name}/{stem}") or pictures.find(stem)
    if key is None:
        known = pictures.has_folder(name)
        faults.lack(line, f"no picture {number} of {name}" if known else f"unknown person {name}")
    return key or ""


def _read_csv(path: Path, text: str, pictures: Pictures) -> PairList:
    """Columns ``path_a,path_b,issame`` and, if there, ``fold``, ``id_a`` and ``id_b``."""
    faults = Faults(path)
    head = text.lstrip().split("\n", 1)[0]
    comma = max(",\t;", key=head.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True, delimiter=comma)
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
        faults.add(line, f"issame is {str(row['issame'])[:20]!r}, not 0 or 1")
    if None in row or fold is None or not fold.strip().isdecimal() or len(fold) > MAX_DIGITS:
        faults.add(line, "has too many cells" if None in row else f"fold is {str(fold)[:20]!r}, not a number")
        return
    found = [picture_key(line, row[c], pictures, faults) for c in ("path_a", "path_b")]
    if issame is not None and all(found):
        pairs.append(Pair(found[0], found[1], issame, int(fold), line))
        if row.get("id_a") and row.get("id_b"):
            person.update({found[0]: row["id_a"], found[1]: row["id_b"]})


def _read_list(path: Path, lines: Sequence[str], pictures: Pictures) -> PairList:
    """Lines ``path_a path_b 0|1``; ten folds in order."""
    faults = Faults(path)
    pairs = []
    for line, text in enumerate(lines, 1):
        words = text.split("\t") if text.count("\t") == 2 else re.split(r"[\s,;]+", text.strip())
        if not any(words):
            continue
        issame = _truth(words[2]) if len(words) == 3 else None
        if issame is None:
            faults.add(line, f"{text.strip()[:60]!r} is not 'path_a path_b 0|1'")
            continue
        found = [picture_key(line, word, pictures, faults) for word in words[:2]]
        if all(found):
            pairs.append(Pair(found[0], found[1], issame, 0, line))
    return finish(path, lines, pairs, None, faults, fold=True)


def _read_bin(path: Path, data: bytes) -> PairList:
    pictures, same = binset.parse(path, data)
    keys = [hashlib.sha256(content).hexdigest()[:24] for content in pictures]
    embedded = dict(zip(keys, pictures, strict=True))
    fold = spread_folds(same)
    pairs = [Pair(keys[2 * i], keys[2 * i + 1], s, int(fold[i]), i + 1) for i, s in enumerate(same)]
    return assemble(path.stem, pairs, None, hashlib.sha256(data).hexdigest(), embedded)


def _truth(text: str | None) -> bool | None:
    return {"1": True, "true": True, "0": False, "-1": False, "false": False}.get((text or "").strip().lower())
