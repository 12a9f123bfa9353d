"""``unmask prepare``: a folder of photos in, a source of aligned faces for training out."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from .. import progress
from ..batch import plan
from ..batch import report as reports
from ..errors import UsageError


@click.command()
@click.argument("folder", metavar="FOLDER")
@click.option("-o", "--out", required=True, metavar="OUT", help="A new folder, or a .zip (index.csv goes beside it).")
@click.option("--size", type=click.IntRange(32, 1024), default=128, show_default=True, help="Side of the crops.")
@click.option(
    "--faces",
    type=click.Choice(["one", "largest", "all"]),
    default="one",
    show_default=True,
    help="Of a photo with several faces: drop it, take the largest, or take all.",
)
@click.option(
    "--min-scale",
    type=click.FloatRange(min=0),
    default=0.75,
    show_default=True,
    help="Pixels of the photo for each pixel of the crop, at least.",
)
@click.option(
    "--min-sharpness", type=click.FloatRange(min=0), default=0.08, show_default=True, help="0 keeps blurred faces."
)
@click.option("--keep-masked", is_flag=True, help="Keep faces that wear a face mask.")
@click.option("--people", is_flag=True, help="The folder of a photo names the person in it.")
@click.option("--detector", metavar="NAME", help="insightface:PACK, or an ONNX file in SCRFD's layout.")
def prepare(folder: str, out: str, detector: str | None, keep_masked: bool, **filters: Any) -> int:
    """Find, align and filter the faces of a folder of photos, for `unmask train`."""
    plan.refuse_address(folder)
    if not Path(folder).is_dir():
        raise UsageError(f"{folder}: is no folder; give one with photos")
    place, source = Path(out), Path(folder).resolve()
    if source in (place.resolve(), *place.resolve().parents):
        raise UsageError(f"{out}: lies in the folder of photos; give another -o")
    jobs = plan.plan([folder], f"{place}/", "aligned")
    from tqdm import tqdm

    from ..batch import prepare as work
    from ..faces.detect import load_detector
    from ..faces.segment import Segmenter

    def bar(found: Iterable[work.Candidate]) -> Iterator[work.Candidate]:
        return iter(
            tqdm(found, total=len(jobs), unit="photo", file=sys.stderr, disable=True if progress.quiet() else None)
        )

    wanted = work.Filters(masked=keep_masked, **filters)
    segmenter = None if keep_masked else Segmenter()
    report = work.prepare(jobs, place, load_detector(detector or "embedded"), segmenter, wanted, progress=bar)
    if progress.quiet():
        return reports.PARTLY if "unreadable" in report.counts() else 0
    click.echo(f"{len(jobs)} photos -> {report.kept} faces in {place}")
    for reason, count in report.counts().items():
        click.echo(f"  dropped, {reason}: {count}")
    if rest := jobs.rest():
        click.echo(f"  {rest}")
    return reports.PARTLY if "unreadable" in report.counts() else 0
