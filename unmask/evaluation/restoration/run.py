"""``eval-restoration`` as a library: what the options ask for, measured, and told in words, tables and files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from ... import files, images, progress, recognition
from ...devices import pick_device
from ...errors import UsageError
from ...faces.segment import Segmenter
from .. import baselines, linear, tables
from . import measure, summary
from .measure import Distance, Results, Segment
from .picking import SPREAD, WORST, Picker

Options = Mapping[str, Any]  # of the command line, by name
Lpips = Callable[[str], tuple[Distance, dict[str, Any]]]  # device -> the distance, and what is said of it


@dataclass(frozen=True)
class Outcome:
    """All figures of a run: ``found`` by group, ``facts`` are enough to repeat it."""

    results: Results
    found: dict[str, Any]
    facts: dict[str, Any]

    @property
    def evaluator(self) -> str:
        """The name of the recognizer that measured identity."""
        return str(self.facts["recognizer"]["name"])


def evaluated(options: Options, lpips: Lpips) -> Outcome:
    """Mask the held-out faces that the options name, restore and measure them; UsageError for what cannot be."""
    root, sheet_of, seed = options["root"], options["sheet_of"], options["seed"]
    if root is None:
        raise UsageError("eval-restoration needs faces; give their folder with --data or UNMASK_DATA")
    if sheet_of not in (SPREAD, WORST) and ": " not in sheet_of:
        raise UsageError(f"--sheet-of {sheet_of}: give spread, worst, or a group such as 'kind: cloth'")
    where = str(pick_device(options["device"]))
    distance, measured = lpips(where) if options["lpips"] else (None, {})
    evaluator = recognition.load(options["recognizer"])
    chosen = baselines.load([n for n in options["restorers"].split(",") if n], root, where)
    sources = options["sources"].split(",") if options["sources"] else linear.SOURCES
    split: Literal["all", "val"] = "all" if options["every"] else "val"
    faces = measure.held_out(root, sources, options["limit"], size=options["size"], split=split)
    faces = measure.misaligned(faces, seed) if options["misaligned"] else faces
    segment = _segmenter(where) if options["region"] == "auto" else None
    with progress.bar(total=len(faces), what="faces", unit="face") as bar:
        picker = Picker(options["sheet_count"], len(faces), sheet_of, seed)
        results = measure.evaluate(
            faces, chosen, evaluator, seed, segment, bar.update, picker, options["labels"], distance
        )
    facts = {
        "recognizer": {"name": evaluator.name, "fingerprint": evaluator.fingerprint},
        "restorers": {r.name: {"fingerprint": r.fingerprint} for r in chosen},
        "seed": seed,
        "size": options["size"],
        "region": options["region"],
        "misaligned": options["misaligned"],
        **measured,
    }
    return Outcome(results, summary.summary(results), facts)


def _segmenter(device: str) -> Segment:
    segmenter = Segmenter(device=device)
    return lambda crops: torch.from_numpy(segmenter.predict(crops.numpy())[0])


def text(outcome: Outcome) -> str:
    """The report for a terminal: the table of all faces, then the group that each restorer serves worst."""
    lines = [_caption(outcome.found["all"], outcome.evaluator), tables.plain(*summary.rows(outcome.found["all"]))]
    lines += [f"Worst group, {line}" for line in summary.worst_groups(outcome.found)]
    return "\n".join(lines)


def _caption(group: dict[str, Any], evaluator: str) -> str:
    text = f"{group['faces']} faces, {100 * group['coverage']:.1f} % covered, identity by {evaluator}"
    iou = group.get("region_iou")
    return text if iou is None else f"{text}, region found with IoU {iou:.3f}"


def write(outcome: Outcome, options: Options) -> None:
    """Write the files that the options name: JSON, Markdown, the contact sheet."""
    results, found = outcome.results, outcome.found
    if options["json_file"]:
        whole = {**outcome.facts, "versions": tables.versions(), "seconds_per_face": results.seconds}
        whole |= {"worst_groups": summary.worst_groups(found), "groups": found}
        files.write(options["json_file"], (json.dumps(whole, indent=1) + "\n").encode())
    if options["markdown_file"]:
        parts = ["".join(f"Worst group, {line}\n\n" for line in summary.worst_groups(found))]
        parts += [
            f"**{name}**: {_caption(group, outcome.evaluator)}\n\n{tables.markdown(*summary.rows(group))}"
            for name, group in found.items()
        ]
        files.write(options["markdown_file"], "\n".join(parts).encode())
    if options["sheet"] and not results.sheet:
        known = sorted({f"'{group}: {word}'" for group, words in results.groups.items() for word in words})
        raise UsageError(f"--sheet-of: no face is of this group; there are {', '.join(known)}")
    if options["sheet"]:
        picture = images.sheet(results.sheet, ["masked", "region", *results.figures, "true"])
        images.write(images.read(picture), picture, Path(options["sheet"]))
