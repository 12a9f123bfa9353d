"""The verification report in words and numbers: headline, tables for the terminal and Markdown, CSV of scores."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import tables
from .assess import LIST_FARS
from .benchmark import GROUPINGS, Evaluation, properties
from .embedding import Embedded
from .impostors import FARS

__all__ = [
    "condition_table",
    "difference_table",
    "group_table",
    "headline",
    "recognizer_table",
    "scores_csv",
    "threshold_table",
    "verdict",
]

FIGURES = ("accuracy", "auc", "eer", "tar@0.01", "tar@0.001", "tar@0.0001", "false_reject", "false_accept", "d_prime")
HEADINGS = {
    "accuracy": "accuracy %",
    "auc": "AUC",
    "eer": "EER %",
    "tar@0.01": "TAR@1e-2",
    "tar@0.001": "TAR@1e-3",
    "tar@0.0001": "TAR@1e-4",
    "false_reject": "FRR fixed %",
    "false_accept": "FAR fixed %",
    "d_prime": "d'",
}
DECIDING = ("tar@0.001", "tar@0.01", "accuracy")  # the first that a list is long enough for
_PERCENT = {"accuracy": 2, "eer": 2, "false_reject": 1, "false_accept": 3}

Rows = list[list[str]]


def _show(name: str, found: dict[str, float | None] | None, bounds: bool, signed: bool = False) -> str:
    """A figure with its interval, percentages as such."""
    if not found or found["value"] is None:
        return "-"
    factor, digits = (100.0, _PERCENT[name]) if name in _PERCENT else (1.0, 3 if name != "auc" else 4)
    sign = "+" if signed else ""
    text = f"{factor * found['value']:{sign}.{digits}f}"
    if bounds and found["low"] is not None and found["high"] is not None:
        text += f" [{factor * found['low']:{sign}.{digits}f}, {factor * found['high']:{sign}.{digits}f}]"
    return text


def headline(name: str | None, results: dict[str, dict[str, Any]], restorers: Sequence[str]) -> str:
    """One sentence: what restoring was worth under the recognizer that trained no restorer."""
    if name is None:
        return "No headline: every recognizer here was part of a restorer's loss."
    text, difference = f"Headline: {name}.", results[name]["restored_minus_masked"]
    for restorer in restorers:
        for figure in ("tar@0.001", "tar@0.01", "accuracy"):
            found = difference[restorer]["against_clean"].get(figure)
            if found and found["value"] is not None:
                p = f", p {found['p_value']:.3g}" if found["p_value"] is not None else ""
                text += f" {restorer}/clean minus masked/clean, {HEADINGS[figure]}:"
                text += f" {_show(figure, found, True, True)}{p}."
                break
    return text


def condition_table(result: dict[str, Any], bounds: bool = True) -> tuple[list[str], Rows]:
    """Every condition of one recognizer, with 95 % intervals."""
    present = [n for n in FIGURES if any(n in c["figures"] for c in result["conditions"].values())]
    body = [
        [name, *(_show(n, one["figures"].get(n), bounds) for n in present), str(len(one["pairs_not_scored"]))]
        for name, one in result["conditions"].items()
    ]
    return ["condition", *(HEADINGS[n] for n in present), "not scored"], body


def verdict(result: dict[str, Any], restorer: str) -> str:
    """What a user of this recognizer should do: "restore", "fuse" or "leave the mask on".

    Restored or fused pictures are advised only where they beat the masked ones beyond the paired interval, and of the
    two the better one.
    """
    gains = {}
    for word, kind in (("restore", "restored_minus_masked"), ("fuse", "fused_minus_masked")):
        found = result[kind][restorer]["against_clean"]
        figure = next((found[name] for name in DECIDING if name in found and found[name]["value"] is not None), None)
        if figure and figure["low"] is not None and figure["low"] > 0:
            gains[word] = figure["value"]
    return max(gains, key=lambda word: gains[word]) if gains else "leave the mask on"


def recognizer_table(
    results: dict[str, dict[str, Any]], restorer: str, dependence: dict[str, dict[str, float]]
) -> tuple[list[str], Rows]:
    """A row a recognizer: TAR at FAR 1e-3 clean, masked, restored and fused, what each gains, and the verdict.

    ``dependence`` is of each recognizer on those that taught (:func:`.benchmark.dependence`).
    """
    rows, name = [], next((n for n in DECIDING if all(_has(one, n) for one in results.values())), "auc")
    for recognizer, result in results.items():
        of = {view: result["conditions"][f"{view}/clean"]["figures"].get(name) for view in
              ("clean", "masked", restorer, f"{restorer} fused")}  # fmt: skip
        gains = [
            result[kind][restorer]["against_clean"].get(name)
            for kind in ("restored_minus_masked", "fused_minus_masked")
        ]
        own = dependence.get(recognizer, {})
        taught = max(own.values()) if own else None
        cells = [_show(name, of["clean"], False), _show(name, of["masked"], False)]
        for view, gain in zip((restorer, f"{restorer} fused"), gains, strict=True):
            cells += [_show(name, of[view], False), _show(name, gain, True, True)]
        rows.append([recognizer, *cells, tables.cell(taught, 2), verdict(result, restorer)])
    heads = ["clean", "masked", "restored", "gain [95 %]", "fused", "gain [95 %]", "like the teacher", "verdict"]
    return [f"recognizer ({HEADINGS[name]})", *heads], rows


def _has(result: dict[str, Any], name: str) -> bool:
    return any(name in one["figures"] for one in result["conditions"].values())


def threshold_table(result: dict[str, Any]) -> tuple[list[str], Rows]:
    """TAR of every condition with the threshold from all cross-identity pairs, and from the list's own impostors."""
    conditions = result["conditions"].values()
    every = [far for far in FARS if any(f"tar@{far:g}" in c["figures"] for c in conditions)]
    own = [far for far in LIST_FARS if any(f"{far:g}" in c["list_tar_at_far"] for c in conditions)]
    body = []
    for name, one in result["conditions"].items():
        cells = [_show("tar", one["figures"].get(f"tar@{far:g}"), False) for far in every]
        cells += [tables.cell(one["list_tar_at_far"].get(f"{far:g}"), 3) for far in own]
        body.append([name, *cells, str(one["impostor_pairs"])])
    heads = [*(f"TAR@{_power(far)}" for far in every), *(f"list TAR@{_power(far)}" for far in own)]
    return ["condition", *heads, "impostor pairs"], body


def _power(far: float) -> str:
    return f"1e{round(np.log10(far))}"


def difference_table(result: dict[str, Any]) -> tuple[list[str], Rows]:
    """Restored minus masked, with intervals and p-values."""
    rows = []
    for restorer, both in result["restored_minus_masked"].items():
        fused = result["fused_minus_masked"][restorer]["against_clean"]
        for found, label in (
            (both["against_clean"], f"{restorer}/clean - masked/clean"),
            (fused, f"{restorer} fused/clean - masked/clean"),
            (both["against_own_kind"], f"{restorer}/{restorer} - masked/masked"),
        ):
            for name in ("accuracy", "tar@0.001", "tar@0.0001", "false_reject"):
                if name in found and found[name]["value"] is not None:
                    p = found[name]["p_value"]
                    rows.append([label, HEADINGS[name], _show(name, found[name], True, True), tables.cell(p, 4)])
            test = found["mcnemar"]
            counts = f"{test['only_first_right']} : {test['only_second_right']} pairs"
            rows.append([label, "McNemar", counts, tables.cell(test["p_value"], 4)])
    return ["difference", "figure", "value [95 %]", "p"], rows


def group_table(result: dict[str, Any], restorers: Sequence[str]) -> tuple[list[str], Rows]:
    """TAR at FAR 1e-3 by what the probe wears and how it is seen."""
    rows = []
    for grouping, groups in result["groups"].items():
        for row in groups:
            cells = [f"{grouping}: {row['group']}", str(row["pairs"]), _show("tar", row["masked"], False)]
            for name in restorers:
                cells += [_show("tar", row[name], False), _show("tar", row[name]["gain"], True, True)]
            rows.append(cells)
    heads = [head for name in restorers for head in (name, f"{name} gain [95 %]")]
    return ["probe", "genuine pairs", "masked", *heads], rows


def scores_csv(evaluations: Sequence[Evaluation], embedded: Embedded) -> str:
    """Every pair's score under every condition and recognizer, and what both faces wear and how they are seen.

    The cell of a score is empty where a face was not found.
    """
    pairs = evaluations[0].assessor.pairs
    words = properties(embedded)
    columns = [(one.recognizer.name, name) for one in evaluations for name in one.assessments]
    about = [f"{grouping} {side}" for side in "ab" for grouping in GROUPINGS]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["path_a", "path_b", "issame", "fold", "line", *(f"{r}: {c}" for r, c in columns), *about])
    table = np.stack([one.assessments[name].scores for one in evaluations for name in one.assessments], axis=1)
    place = {key: i for i, key in enumerate(embedded.keys)}
    for pair, row in zip(pairs.pairs, table, strict=True):
        cells = ["" if np.isnan(value) else f"{value:.6f}" for value in row]
        seen = [words[grouping][place[key]] for key in (pair.a, pair.b) for grouping in GROUPINGS]
        writer.writerow([pair.a, pair.b, int(pair.issame), pair.fold, pair.line, *cells, *seen])
    return stream.getvalue()
