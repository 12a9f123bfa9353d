"""``eval-verification`` as a library: what the options ask for, loaded, run, and told in words, tables and files."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ... import files, recognition, weights
from ...errors import UsageError
from ...faces.detect import load_detector
from ...faces.landmarks import Landmarker
from ...faces.segment import Segmenter
from ...recognition import Recognizer
from .. import baselines, charts, tables
from ..baselines import FaceRestorer
from ..pairs import pairlist, pictures, readers
from ..pairs.pairlist import PairList
from . import benchmark, embedding, linear_map, page, report
from .benchmark import Evaluation
from .embedding import Embedded
from .views import ViewRenderer

Options = Mapping[str, Any]  # of the command line, by name


@dataclass(frozen=True)
class Plan:
    """What the options ask for, loaded. ``fingerprints`` name the detector and the segmenter."""

    pairs: PairList
    renderer: ViewRenderer
    recognizers: list[Recognizer]
    restorers: list[FaceRestorer]
    fingerprints: dict[str, str]

    @property
    def names(self) -> list[str]:
        """The restorers' names."""
        return [restorer.name for restorer in self.restorers]

    @property
    def steps(self) -> int:
        """How many conditions :func:`evaluated` goes through."""
        return len(self.recognizers) * (3 + 3 * len(self.restorers))


@dataclass(frozen=True)
class Outcome:
    """All figures of a run: ``results`` by recognizer, ``facts`` are enough to repeat it."""

    plan: Plan
    embedded: Embedded
    evaluations: list[Evaluation]
    results: dict[str, dict[str, Any]]
    facts: dict[str, Any]


def plan(options: Options) -> Plan:
    """Open the pictures and load all networks that the options name; UsageError where they do not go together."""
    if options["html_file"]:
        charts.need()  # not after an hour
    device = options["device"]
    source: pictures.Pictures | None = None
    if options["image_path"]:
        source = pictures.open_pictures(options["image_path"])
    listed = readers.read(options["pair_file"], source)
    if listed.embedded:
        source = pictures.InMemory(listed.name, listed.embedded)
    assert source is not None
    if options["limit"]:
        listed = pairlist.thinned(listed, options["limit"])
    aligned = options["aligned"] or ("arcface" if listed.embedded else None)
    masks = pictures.open_pictures(options["masked_images"]) if options["masked_images"] else None
    if masks is not None and options["region"] == "true":
        raise UsageError("--region true: the true region of --masked-images is not known; use --region auto")
    names = [name for name in options["restorers"] if name != "mask"]  # the masked condition is always there
    restorers = baselines.load(names, options["data"], device)
    recognizers = [
        linear_map.load(name, options["data"]) if name.partition(":")[0] == linear_map.NAME else recognition.load(name)
        for name in dict.fromkeys(options["recognizers"])
    ]
    if len({r.name for r in recognizers}) < len(recognizers):
        raise UsageError("--recognizer: two of them have one name; give each file another name")
    fingerprints: dict[str, str] = {}
    segmenter = None
    if options["region"] == "auto" and restorers:
        segmenter = Segmenter(device=device)
        fingerprints["segmenter"] = files.sha256(weights.find("segmenter"))
    detector = landmarker = None
    if aligned is None:
        detector = load_detector(options["detector"])
        fingerprints["detector"] = files.sha256(Path(detector.name))
        if restorers and any(row.name == "landmarker" for row in weights.rows()):
            landmarker = Landmarker(device=device)
            fingerprints["landmarker"] = files.sha256(weights.find("landmarker"))
    renderer = ViewRenderer(
        source, detector, restorers, options["seed"], masks, options["masks"], aligned, options["points"], segmenter,
        landmarker,
    )  # fmt: skip
    return Plan(listed, renderer, recognizers, restorers, fingerprints)


def embedded(plan: Plan, progress: Callable[[int], None] | None = None) -> Embedded:
    """Every picture of the list in every view, embedded by every recognizer; what was made before is kept."""
    return embedding.embed(plan.renderer, plan.pairs.pictures, plan.recognizers, plan.fingerprints, progress=progress)


def evaluated(plan: Plan, found: Embedded, options: Options, progress: Callable[[int], None] | None = None) -> Outcome:
    """The figures of every condition under every recognizer."""
    ones = benchmark.evaluate(
        plan.pairs, found, plan.recognizers, plan.names, options["seed"], options["resamples"], progress
    )
    results = {one.recognizer.name: benchmark.summary(one, found, plan.names) for one in ones}
    taught = [Path(name).stem if name.endswith((".onnx", ".safetensors")) else name for name in options["trained_with"]]
    teachers = [r.name for r in plan.recognizers if r.name.removeprefix(f"{linear_map.NAME}:") in taught]
    fair = next((r.name for r in plan.recognizers if r.name not in teachers), None)
    identity = ones[0].assessor.identity if ones else None
    dependence = {
        r.name: benchmark.dependence(found, identity, r.name, [t for t in teachers if t != r.name], options["seed"])
        for r in plan.recognizers
        if identity is not None
    }
    facts = {
        "headline": report.headline(fair, results, plan.names),
        "headline_recognizer": fair,
        "relations": {
            r.name: "Part of the loss of a restorer: its figures flatter."
            if r.name in teachers
            else "Not part of any restorer's loss."
            for r in plan.recognizers
        },
        "dependence": dependence,
        "verdicts": {
            name: {recognizer: report.verdict(result, name) for recognizer, result in results.items()}
            for name in plan.names
        },
        "pairs": _pairs(plan, found),
        "recognizers": {r.name: r.fingerprint for r in plan.recognizers},
        "restorers": {r.name: r.fingerprint for r in plan.restorers},
        **plan.fingerprints,
        "options": {key: value for key, value in options.items() if not key.endswith("_file") or key == "pair_file"},
        "command": shlex.join(["unmask", *sys.argv[1:]]),
        "versions": tables.versions(),
    }
    return Outcome(plan, found, ones, results, facts)


def _pairs(plan: Plan, found: Embedded) -> dict[str, Any]:
    return {
        "name": plan.pairs.name,
        "sha256": plan.pairs.sha256,
        "pairs": len(plan.pairs.pairs),
        "pictures": len(plan.pairs.pictures),
        "people": len(set(plan.pairs.identity.values())) if plan.pairs.people_known else None,
        "pictures_sha256": found.sha256,
    }


def text(outcome: Outcome) -> str:
    """The report for a terminal: the recognizers side by side, then every condition of each."""
    lines = [outcome.facts["headline"]]
    for name in outcome.plan.names:
        lines += [
            f"\n{name}:",
            tables.plain(*report.recognizer_table(outcome.results, name, outcome.facts["dependence"])),
        ]
    for name, result in outcome.results.items():
        lines.append(f"\n{name}: {outcome.facts['relations'][name]}")
        lines.append(tables.plain(*report.condition_table(result, bounds=False)))
        if outcome.plan.restorers:
            lines += ["", tables.plain(*report.difference_table(result))]
        lost = {view: len(keys) for view, keys in result["faces_not_found"].items() if keys}
        if lost:
            lines.append("No face found: " + ", ".join(f"{count} {view}" for view, count in lost.items()))
    return "\n".join(lines)


def _markdown(outcome: Outcome) -> str:
    parts, names = [outcome.facts["headline"] + "\n"], outcome.plan.names
    for name in names:
        table = tables.markdown(*report.recognizer_table(outcome.results, name, outcome.facts["dependence"]))
        parts.append(f"## {name}\n\n{table}")
    for name, result in outcome.results.items():
        relation = outcome.facts["relations"][name]
        parts.append(f"### {name}\n\n{relation}\n\n{tables.markdown(*report.condition_table(result))}")
        parts.append(tables.markdown(*report.threshold_table(result)))
        parts.append(tables.markdown(*report.difference_table(result)))
        parts.append(tables.markdown(*report.group_table(result, names)))
    return "\n".join(parts)


def write(outcome: Outcome, options: Options) -> None:
    """Write the files that the options name: JSON, CSV of scores, Markdown, HTML."""
    facts, results, ones = outcome.facts, outcome.results, outcome.evaluations
    if options["json_file"]:
        whole = json.dumps({**facts, "results": results, "between": benchmark.between(ones)}, indent=1) + "\n"
        files.write(options["json_file"], whole.encode())
    if options["csv_file"]:
        files.write(options["csv_file"], report.scores_csv(ones, outcome.embedded).encode())
    if options["markdown_file"]:
        files.write(options["markdown_file"], _markdown(outcome).encode())
    if options["html_file"]:
        names = outcome.plan.names
        chosen = next((one for one in ones if one.recognizer.name == facts["headline_recognizer"]), ones[0])
        pictured = page.notable(chosen, outcome.plan.renderer, names[0]) if names else {}
        files.write(options["html_file"], page.html(facts, results, ones, names, pictured).encode())
