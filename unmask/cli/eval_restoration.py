"""``unmask eval-restoration``: restorers side by side on held-out faces."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from torch import Tensor

    from ..evaluation.restoration.measure import Distance

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
    help="It measures identity: embedded, dlib, insightface:PACK or a path; take one that trained no restorer.",
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
@click.option(
    "--size",
    type=click.IntRange(min=64),
    default=128,
    show_default=True,
    metavar="N",
    help="Side of the faces, pixels.",
)
@click.option("--every", is_flag=True, help="All files of the sources, which must be in no training, not every tenth.")
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
def eval_restoration(**options: Any) -> None:
    """Mask held-out faces (every tenth file), restore them by each restorer, and print what that is worth."""
    from ..evaluation.restoration import run

    outcome = run.evaluated(options, _lpips)
    click.echo(run.text(outcome))
    run.write(outcome, options)


def _lpips(device: str) -> tuple[Distance, dict[str, Any]]:
    """LPIPS on a device, and what the JSON file says of it: a hash of all weights, as the trunk's file is not ours."""
    from ..losses import perceptual

    network = perceptual.lpips("alex")
    digest = hashlib.sha256(b"".join(value.numpy().tobytes() for value in network.state_dict().values()))
    network.to(device)

    def distance(y_hat: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return perceptual.lpips_and_map(network, y_hat.to(device), y.to(device))

    return distance, {"lpips": {"net": "alex", "version": "0.1", "fingerprint": digest.hexdigest()}}
