"""``unmask eval-verification``: do faces verify better after unmasking?"""

from __future__ import annotations

from typing import Any

import click

from .. import progress

COVERS = (
    "simulate", "occlude", "left_eye", "right_eye", "twoeyes", "nose", "mouth", "down_face", "up_face", "left_face",
    "right_face",
)  # fmt: skip


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
    help="embedded, from, g2d, dlib, insightface:PACK, a path, or linear-map:NAME of one; may be given several times.",
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
@click.option("--html", "html_file", metavar="FILE", help="Write a self-contained report; needs the extra plots.")
@click.option("--markdown", "markdown_file", metavar="FILE", help="Write the tables as Markdown.")
def eval_verification(**options: Any) -> None:
    """Verify pairs of faces clean, masked, restored and fused, by every recognizer, with intervals that hold.

    Fused is the mean of the masked and the restored picture's embeddings.
    """
    from .. import engines
    from ..evaluation.verification import run

    with engines.one_thread_each():  # several pictures will be in work at once
        plan = run.plan(options)
    with progress.bar(total=len(plan.pairs.pictures), what="pictures", unit="picture") as bar:
        embedded = run.embedded(plan, bar.update)
    with progress.bar(total=plan.steps, what="figures", unit="figure") as bar:
        outcome = run.evaluated(plan, embedded, options, bar.update)
    click.echo(run.text(outcome))
    run.write(outcome, options)
