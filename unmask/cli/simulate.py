"""``unmask simulate``: photos of bare faces in, photos with simulated face masks out."""

from __future__ import annotations

import click

from ..batch import plan, report
from ..errors import UsageError
from . import options

KINDS = ("surgical", "n95", "kn95", "cloth")
COVERAGES = ("high", "medium", "low")
MARK = "masked"


@click.command()
@options.inputs
@options.out(MARK)
@click.option("--kind", type=click.Choice(KINDS), help="Of the face mask; drawn by lot where not given.")
@click.option("--coverage", type=click.Choice(COVERAGES), help="How far up the nose it goes.")
@click.option("--color", type=options.Color(), help="Its main color, as #rrggbb or r,g,b.")
@options.seed("The same seed and file name give the same picture.")
@click.option("--save-region", is_flag=True, help="Also write NAME.region.png: the exact region covered.")
@options.detector
@options.overwrite
@options.skip_existing
def simulate(
    inputs: tuple[str, ...], out: str | None, kind: str | None, coverage: str | None,
    color: tuple[int, int, int] | None, seed: int, save_region: bool, detector: str | None,
    overwrite: bool, skip_existing: bool,
) -> int:  # fmt: skip
    """Put simulated face masks on every face of photos: files, folders, patterns, or - for stdin."""
    if overwrite and skip_existing:
        raise UsageError("--overwrite and --skip-existing: give one of them")
    fixed = {"kind": kind, "coverage": coverage, "color": color}
    fixed = {key: value for key, value in fixed.items() if value is not None}
    jobs = plan.plan(inputs, out, MARK, ("region",))
    if save_region and any(job.target is None for job in jobs):
        raise UsageError("--save-region: needs the picture in a file; give -o FILE")
    plan.check(jobs, lambda job: [job.beside("region")] if save_region else [])
    with plan.rest_told(jobs):
        todo = report.pending(jobs, overwrite, skip_existing)
        if not todo:
            return 0
        from ..batch.simulate import mask_faces
        from ..faces.detect import load_detector

        found = load_detector(detector or "embedded")
        outcomes = report.each(todo, lambda job: mask_faces(job, found, fixed, seed, save_region, overwrite))
        return report.report(outcomes, len(todo))
