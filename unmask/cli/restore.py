"""``unmask restore``: photos of masked faces in, photos of faces out."""

from __future__ import annotations

from typing import Any

import click

from ..batch import plan
from ..batch.jobs import MAX_SAMPLES, Wanted
from ..batch.run import Models, Options, are_clips, foreseen, planned, run
from . import options

FACES = "Which faces: all, largest, center, or a number (0 is the largest)."
REGION = "A picture of the photo's size, white where the face mask is."
REFERENCE = "A photo of the person, bare-faced if possible; may be given several times. It steers the guess."
SURE = "How sure the second look must be that a face is a real one; less restores statues and drawings too."
SAMPLES = "Also write this many guesses (NAME.sample-01.png ...), a sheet of them and NAME.spread.png."
LOSSLESS = "Write PNG where the format (JPEG, AVIF, WebP) would change pixels outside the region, too."
MANIFEST = "JSON lines of what was done, so that a later run goes on; by default manifest.jsonl in the folder of -o."
ENGINE = "Work in threads of this process, or in the processes of a Ray cluster (the extra `ray`)."
WATCH = "Watch the folders IN, and restore new photos as they arrive, until Ctrl-C."


@click.command()
@options.inputs
@options.out("unmasked")
@click.option("--face", type=options.FaceChoice(), default="all", show_default=True, help=FACES)
@click.option("--region", metavar="FILE|auto", default="auto", show_default=True, help=REGION)
@options.device
@options.weights
@options.detector
@click.option("--reference", metavar="FILE", multiple=True, help=REFERENCE)
@click.option("--min-score", type=click.FloatRange(0, 1), default=0.5, show_default=True, help=SURE)
@options.seed("Of the generator's noise.")
@click.option("--samples", type=click.IntRange(1, MAX_SAMPLES), default=1, show_default=True, help=SAMPLES)
@click.option("--compare", is_flag=True, help="Also write NAME.compare.png: before and after, side by side.")
@click.option("--save-region", is_flag=True, help="Also write NAME.region.png: what was synthesized.")
@click.option("--lossless", is_flag=True, help=LOSSLESS)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document a picture, a line each.")
@options.overwrite
@options.skip_existing
@click.option("--watch", is_flag=True, help=WATCH)
@click.option("--manifest", metavar="FILE", help=MANIFEST)
@click.option("--shard", type=options.Shard(), help="Only part I of N of the pictures, such as 2/8, for each machine.")
@click.option("--engine", type=click.Choice(["threads", "ray"]), default="threads", show_default=True, help=ENGINE)
@click.option("--dry-run", is_flag=True, help="Only say what would be read and written.")
def restore(
    inputs: tuple[str, ...], out: str | None, device: str, weights: str | None, detector: str | None, min_score: float,
    region: str, dry_run: bool, skip_existing: bool, as_json: bool, manifest: str | None, watch: bool,
    shard: tuple[int, int] | None, engine: str, lossless: bool, reference: tuple[str, ...], **wanted: Any,
) -> int:  # fmt: skip
    """Restore the masked faces in photos (files, folders, patterns, or - for stdin) or in clips (files).

    The restored region is a plausible guess, written as such into the file (beside it for BMP and PPM). It is no
    evidence of identity. Pixels outside it stay as they are, but for what JPEG, AVIF and lossy WebP change in any
    picture that they encode; see --lossless.
    """
    how = Wanted(region=None if region == "auto" else region, **wanted)
    asked = Options(how, out, skip_existing, as_json, manifest, shard, engine, lossless)
    models = Models(device, weights, detector, min_score, reference)
    if watch:
        from ..batch import watch as watching

        return watching.watch(inputs, asked.of_several(), models)
    found, jobs = planned(inputs, asked, reference)
    with plan.rest_told(found):
        if dry_run:
            for job in jobs:
                click.echo(foreseen(job, asked))
            return 0
        if are_clips(jobs):
            from ..video import run as clips

            return clips.run(jobs, asked, models)
        return run(jobs, asked.of_several() if len(found) > 1 else asked, models)
