"""``unmask eval-restoration``: restorers side by side on held-out faces."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import files, progress
from ..errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from ..evaluation.restoration.measure import Distance, Results, Segment

RESTORERS = "mask,opencv,mean,linear,unmask"


@click.command()
@click.option("--data", "root", metavar="DIR", envvar="UNMASK_DATA", help="Folder of face data ($UNMASK_DATA).")
@click.option("--sources", metavar="NAME,...", help="Sources below it; by default the four of faces128.")
@click.option(
    "--restorers",
    default=RESTORERS,
    show_default=True,
    metavar="NAME,...",
    help="Baselines, 'unmask' (the embedded one), or weights by name or path.",
)
@click.option(
    "--recognizer",
    default="embedded",
    show_default=True,
    metavar="NAME",
    help="Recognizer that measures identity: embedded, insightface:PACK, or a path; take one that trained no restorer.",
)
@click.option(
    "--region",
    type=click.Choice(["true", "auto"]),
    default="true",
    show_default=True,
    help="Region given to the restorers: the exact one, or what the segmenter finds.",
)
@click.option("--misaligned", is_flag=True, help="Crops moved as far as a detector's points on masked faces are off.")
@click.option("--lpips", is_flag=True, help="LPIPS as well (AlexNet; lower is better); needs the extra lpips.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only N faces, spread over the split.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the face masks.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--labels", metavar="FILE", help="JSON of groups noted by eye, see the docs.")
@click.option("--json", "json_file", metavar="FILE", help="Write all figures as JSON.")
@click.option("--markdown", "markdown_file", metavar="FILE", help="Write the tables as Markdown.")
@click.option("--sheet", metavar="FILE", help="Write a contact sheet: masked, region, each restorer, true.")
@click.option(
    "--sheet-count", type=click.IntRange(min=1), default=12, show_default=True, metavar="N", help="Faces on the sheet."
)
@click.option(
    "--sheet-of",
    default="spread",
    show_default=True,
    metavar="WHICH",
    help="spread, worst (by the last restorer's region PSNR), or a group as in the tables: 'coverage: high'.",
)
def eval_restoration(
    root: str | None, sources: str | None, restorers: str, recognizer: str, region: str, misaligned: bool, lpips: bool,
    limit: int | None, seed: int, device: str, labels: str | None, json_file: str | None, markdown_file: str | None,
    sheet: str | None, sheet_count: int, sheet_of: str,
) -> None:  # fmt: skip
    """Mask held-out faces (every tenth file), restore them by each restorer, and print what that is worth."""
    from .. import recognition
    from ..devices import pick_device
    from ..evaluation import baselines, linear
    from ..evaluation.restoration import measure, summary
    from ..evaluation.restoration.picking import SPREAD, WORST, Picker

    if root is None:
        raise UsageError("eval-restoration needs faces; give their folder with --data or UNMASK_DATA")
    if sheet_of not in (SPREAD, WORST) and ": " not in sheet_of:
        raise UsageError(f"--sheet-of {sheet_of}: give spread, worst, or a group such as 'kind: cloth'")
    where = str(pick_device(device))
    distance, measured = _lpips(where) if lpips else (None, {})
    evaluator = recognition.load(recognizer)
    chosen = baselines.load([n for n in restorers.split(",") if n], root, where)
    faces = measure.held_out(root, sources.split(",") if sources else linear.SOURCES, limit)
    faces = measure.misaligned(faces, seed) if misaligned else faces
    segment = _segmenter(where) if region == "auto" else None
    with progress.bar(total=len(faces), what="faces", unit="face") as bar:
        picker = Picker(sheet_count, len(faces), sheet_of, seed)
        results = measure.evaluate(faces, chosen, evaluator, seed, segment, bar.update, picker, labels, distance)
    found = summary.summary(results)
    facts = {
        "recognizer": {"name": evaluator.name, "fingerprint": evaluator.fingerprint},
        "restorers": {r.name: {"fingerprint": r.fingerprint} for r in chosen},
        "seed": seed,
        "region": region,
        "misaligned": misaligned,
        **measured,
    }
    _print(found, evaluator.name)
    _write(found, facts, results, json_file, markdown_file, sheet)


def _segmenter(device: str) -> Segment:
    import torch

    from ..faces.segment import Segmenter

    segmenter = Segmenter(device=device)
    return lambda crops: torch.from_numpy(segmenter.predict(crops.numpy())[0])


def _lpips(device: str) -> tuple[Distance, dict[str, Any]]:
    """LPIPS on a device, and what the JSON file says of it: a hash of all weights, as the trunk's file is not ours."""
    from ..losses import perceptual

    network = perceptual.lpips("alex")
    digest = hashlib.sha256(b"".join(value.numpy().tobytes() for value in network.state_dict().values()))
    network.to(device)

    def distance(y_hat: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return perceptual.lpips_and_map(network, y_hat.to(device), y.to(device))

    return distance, {"lpips": {"net": "alex", "version": "0.1", "fingerprint": digest.hexdigest()}}


def _print(found: dict[str, Any], evaluator: str) -> None:
    from ..evaluation import tables
    from ..evaluation.restoration import summary

    click.echo(_caption(found["all"], evaluator))
    click.echo(tables.plain(*summary.rows(found["all"])))
    for line in summary.worst_groups(found):
        click.echo(f"Worst group, {line}")


def _caption(group: dict[str, Any], evaluator: str) -> str:
    text = f"{group['faces']} faces, {100 * group['coverage']:.1f} % covered, identity by {evaluator}"
    iou = group.get("region_iou")
    return text if iou is None else f"{text}, region found with IoU {iou:.3f}"


def _write(
    found: dict[str, Any],
    facts: dict[str, Any],
    results: Results,
    json_file: str | None,
    markdown_file: str | None,
    sheet: str | None,
) -> None:
    from .. import images
    from ..evaluation import tables
    from ..evaluation.restoration import summary

    evaluator = facts["recognizer"]["name"]
    if json_file:
        whole = {**facts, "versions": tables.versions(), "seconds_per_face": results.seconds}
        whole |= {"worst_groups": summary.worst_groups(found), "groups": found}
        files.write(json_file, (json.dumps(whole, indent=1) + "\n").encode())
    if markdown_file:
        parts = ["".join(f"Worst group, {line}\n\n" for line in summary.worst_groups(found))]
        parts += [
            f"**{name}**: {_caption(group, evaluator)}\n\n{tables.markdown(*summary.rows(group))}"
            for name, group in found.items()
        ]
        files.write(markdown_file, "\n".join(parts).encode())
    if sheet and not results.sheet:
        known = sorted({f"'{group}: {word}'" for group, words in results.groups.items() for word in words})
        raise UsageError(f"--sheet-of: no face is of this group; there are {', '.join(known)}")
    if sheet:
        labels = ["masked", "region", *results.figures, "true"]
        picture = images.sheet(results.sheet, labels)
        photo = images.read(picture)
        images.write(photo, picture, Path(sheet))
