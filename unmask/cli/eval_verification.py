"""``unmask eval-verification``: do faces verify better after unmasking?"""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import files
from ..errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from ..evaluation.baselines import FaceRestorer
    from ..evaluation.pairs.pairlist import PairList
    from ..evaluation.pairs.pictures import Pictures
    from ..evaluation.restoration.measure import Segment
    from ..evaluation.verification.benchmark import Judged
    from ..evaluation.verification.embedding import Embedded
    from ..evaluation.verification.views import Studio
    from ..recognition import Recognizer


COVERS = (
    "simulate", "occlude", "left_eye", "right_eye", "twoeyes", "nose", "mouth", "down_face", "up_face", "left_face",
    "right_face",
)  # fmt: skip


@dataclass(frozen=True)
class _Plan:
    """What the options ask for, loaded."""

    pairs: PairList
    studio: Studio
    recognizers: list[Recognizer]
    restorers: list[FaceRestorer]
    fingerprints: dict[str, str]


@click.command()
@click.option("--pairs", "pair_file", required=True, metavar="FILE", help="LFW, CFP, AgeDB-style, .bin or CSV list.")
@click.option("--images", "image_path", metavar="PATH", help="Folder or zip of the pictures.")
@click.option(
    "--masks",
    type=click.Choice(COVERS),
    default="simulate",
    show_default=True,
    help="What covers the faces: simulated face masks, FROM's pasted occluders, or one of its fixed boxes.",
)
@click.option("--masked-images", metavar="PATH", help="Folder or zip of masked pictures of the same names, instead.")
@click.option(
    "--recognizer",
    "recognizers",
    multiple=True,
    default=("embedded",),
    show_default=True,
    metavar="NAME",
    help="embedded, from, g2d, insightface:PACK, a path, or linear-map:NAME of one; may be given several times.",
)
@click.option(
    "--restorer",
    "restorers",
    multiple=True,
    default=("unmask",),
    show_default=True,
    metavar="NAME",
    help="unmask, opencv, mean, linear, or weights by name or path; may be given several times.",
)
@click.option(
    "--trained-with",
    multiple=True,
    default=("embedded",),
    show_default=True,
    metavar="NAME",
    help="Recognizers that were part of a restorer's loss: they never give the headline.",
)
@click.option("--data", metavar="DIR", envvar="UNMASK_DATA", help="Faces to fit baselines on ($UNMASK_DATA).")
@click.option("--detector", default="embedded", show_default=True, metavar="NAME", help="Face detector, name or path.")
@click.option("--aligned", type=click.Choice(["arcface", "ffhq"]), help="The pictures are crops aligned like this.")
@click.option(
    "--points",
    type=click.Choice(["detected", "clean"]),
    default="detected",
    show_default=True,
    help="Points of masked and restored faces: found again, or those of the bare face.",
)
@click.option(
    "--region",
    type=click.Choice(["auto", "true"]),
    default="auto",
    show_default=True,
    help="Region given to the restorers: what the segmenter finds, or the simulator's own.",
)
@click.option("--limit", type=click.IntRange(min=2), metavar="N", help="Only N pairs, spread over the list.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of masks and resamples.")
@click.option("--resamples", type=click.IntRange(min=0), default=2000, show_default=True, help="Of the bootstrap.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--json", "json_file", metavar="FILE", help="Write all figures as JSON.")
@click.option("--csv", "csv_file", metavar="FILE", help="Write every pair's scores as CSV.")
@click.option("--html", "html_file", metavar="FILE", help="Write a self-contained report.")
@click.option("--markdown", "markdown_file", metavar="FILE", help="Write the tables as Markdown.")
def eval_verification(**options: Any) -> None:
    """Verify pairs of faces clean, masked and restored, by every recognizer, with intervals that hold."""
    from ..evaluation.verification import benchmark, embedding

    plan = _plan(options)
    keys = plan.pairs.pictures
    names = [r.name for r in plan.restorers]
    with click.progressbar(length=len(keys), label="pictures", file=sys.stderr) as bar:
        embedded = embedding.embed(plan.studio, keys, plan.recognizers, plan.fingerprints, progress=bar.update)
    steps = len(plan.recognizers) * (3 + 2 * len(names))
    with click.progressbar(length=steps, label="figures", file=sys.stderr) as bar:
        judged = benchmark.judge(
            plan.pairs, embedded, plan.recognizers, names, options["seed"], options["resamples"], bar.update
        )
    results = {one.recognizer.name: benchmark.summary(one, embedded, names) for one in judged}
    facts = _facts(plan, options, embedded, results)
    _print(facts, results, names)
    _write(plan, options, facts, results, judged, embedded)


def _plan(options: dict[str, Any]) -> _Plan:
    from .. import recognition
    from ..devices import pick_device
    from ..evaluation import baselines
    from ..evaluation.pairs import pairlist, pictures, readers
    from ..evaluation.verification import linear_map
    from ..evaluation.verification.views import Studio

    device = str(pick_device(options["device"]))
    source: Pictures | None = pictures.open_pictures(options["image_path"]) if options["image_path"] else None
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
    segment = _segmenter(device, fingerprints) if options["region"] == "auto" and restorers else None
    detector = None
    if aligned is None:
        from ..faces.detect import load_detector

        detector = load_detector(options["detector"])
        fingerprints["detector"] = files.sha256(Path(detector.name))
    studio = Studio(
        source, detector, restorers, options["seed"], masks, options["masks"], aligned, options["points"], segment
    )
    return _Plan(listed, studio, recognizers, restorers, fingerprints)


def _segmenter(device: str, fingerprints: dict[str, str]) -> Segment:
    from .. import weights
    from ..faces.segment import Segmenter
    from ..restore.located import MIN_GARMENT

    fingerprints["segmenter"] = files.sha256(weights.find("segmenter"))
    segmenter = Segmenter(device=device)

    def segment(crops: Tensor) -> Tensor:
        region, score = segmenter.predict(crops)
        return region * (score >= MIN_GARMENT)[:, None, None, None]  # `restore` leaves such a face as it is

    return segment


def _facts(
    plan: _Plan, options: dict[str, Any], embedded: Embedded, results: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """What was run, on what, by what: enough to repeat it."""
    from ..evaluation import tables
    from ..evaluation.verification import linear_map, report

    trained = [
        Path(name).stem if name.endswith((".onnx", ".safetensors")) else name for name in options["trained_with"]
    ]
    relations = {
        r.name: (
            "Part of the loss of a restorer: its figures flatter."
            if r.name.removeprefix(f"{linear_map.NAME}:") in trained
            else "Not part of any restorer's loss."
        )
        for r in plan.recognizers
    }
    fair = next((r.name for r in plan.recognizers if r.name.removeprefix(f"{linear_map.NAME}:") not in trained), None)
    people = len(set(plan.pairs.identity.values()))
    return {
        "headline": report.headline(fair, results, [r.name for r in plan.restorers]),
        "headline_recognizer": fair,
        "relations": relations,
        "pairs": {
            "name": plan.pairs.name,
            "sha256": plan.pairs.sha256,
            "pairs": len(plan.pairs.pairs),
            "pictures": len(plan.pairs.pictures),
            "people": people if plan.pairs.people_known else None,
            "pictures_sha256": embedded.sha256,
        },
        "recognizers": {r.name: r.fingerprint for r in plan.recognizers},
        "restorers": {r.name: r.fingerprint for r in plan.restorers},
        **plan.fingerprints,
        "options": {key: value for key, value in options.items() if not key.endswith("_file") or key == "pair_file"},
        "command": shlex.join(["unmask", *sys.argv[1:]]),
        "versions": tables.versions(),
    }


def _print(facts: dict[str, Any], results: dict[str, Any], restorers: list[str]) -> None:
    from ..evaluation import tables
    from ..evaluation.verification import report

    click.echo(facts["headline"])
    for name, result in results.items():
        click.echo(f"\n{name}: {facts['relations'][name]}")
        click.echo(tables.plain(*report.condition_table(result, bounds=False)))
        if restorers:
            click.echo("")
            click.echo(tables.plain(*report.difference_table(result)))
        lost = {view: len(keys) for view, keys in result["faces_not_found"].items() if keys}
        if lost:
            click.echo("No face found: " + ", ".join(f"{count} {view}" for view, count in lost.items()))


def _write(
    plan: _Plan,
    options: dict[str, Any],
    facts: dict[str, Any],
    results: dict[str, Any],
    judged: list[Judged],
    embedded: Embedded,
) -> None:
    from ..evaluation import tables
    from ..evaluation.verification import benchmark, page, report

    names = [r.name for r in plan.restorers]
    if options["json_file"]:
        text = json.dumps({**facts, "results": results, "between": benchmark.between(judged)}, indent=1) + "\n"
        files.write(options["json_file"], text.encode())
    if options["csv_file"]:
        files.write(options["csv_file"], report.scores_csv(judged, embedded).encode())
    if options["markdown_file"]:
        parts = [facts["headline"] + "\n"]
        for name, result in results.items():
            parts.append(
                f"### {name}\n\n{facts['relations'][name]}\n\n{tables.markdown(*report.condition_table(result))}"
            )
            parts.append(tables.markdown(*report.threshold_table(result)))
            parts.append(tables.markdown(*report.difference_table(result)))
            parts.append(tables.markdown(*report.group_table(result, names)))
        files.write(options["markdown_file"], "\n".join(parts).encode())
    if options["html_file"]:
        chosen = next((one for one in judged if one.recognizer.name == facts["headline_recognizer"]), judged[0])
        pictured = page.notable(chosen, plan.studio, names[0]) if names else {}
        whole = page.html(facts, results, judged, names, pictured)
        files.write(options["html_file"], whole.encode())
