"""``unmask simulate``: photos of bare faces in, photos with simulated face masks out."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import click

from .. import __version__, progress
from ..batch import jobs as many_jobs
from ..batch.jobs import Job
from ..errors import NoFaceError, UsageError
from . import batch, files

if TYPE_CHECKING:
    from ..faces.detect import Detector

KINDS = ("surgical", "n95", "kn95", "cloth")
COVERAGES = ("high", "medium", "low")
MARK = "masked"
STATEMENT = "The face mask in this picture was drawn by software; the photo showed a bare face."


class Color(click.ParamType):
    """``#rrggbb`` or ``r,g,b``."""

    name = "#rrggbb"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int, int]:
        """Three numbers from 0 to 255."""
        if isinstance(value, tuple):
            return value
        text = str(value)
        try:
            parts = [int(text[i : i + 2], 16) for i in (1, 3, 5)] if text.startswith("#") else [
                int(part) for part in text.split(",")
            ]  # fmt: skip
        except ValueError:
            parts = []
        if len(parts) != 3 or not all(0 <= part <= 255 for part in parts) or (text[0] == "#" and text[7:]):
            self.fail(f"{value!r} is no color; give it as #87ceeb or 135,206,235", param, ctx)
        return parts[0], parts[1], parts[2]


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="IN...")
@click.option(
    "-o",
    "--out",
    metavar="PATH",
    help="File, folder (trees are mirrored) or - for stdout; by default NAME.masked.EXT beside each input.",
)
@click.option("--kind", type=click.Choice(KINDS), help="Of the face mask; drawn by lot where not given.")
@click.option("--coverage", type=click.Choice(COVERAGES), help="How far up the nose it goes.")
@click.option("--color", type=Color(), help="Its main color, as #rrggbb or r,g,b.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="The same seed and file name give the same picture.",
)
@click.option("--save-region", is_flag=True, help="Also write NAME.region.png: the exact region covered.")
@click.option("--detector", metavar="NAME", help="insightface:PACK, or an ONNX file in SCRFD's layout.")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option("--skip-existing", is_flag=True, help="Leave out pictures whose result exists.")
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
    jobs = files.plan(inputs, out, MARK, ("region",))
    if save_region and any(job.target is None for job in jobs):
        raise UsageError("--save-region: needs the picture in a file; give -o FILE")
    files.check(jobs, lambda job: [job.beside("region")] if save_region else [])
    with files.rest_told(jobs):
        todo = batch.pending(jobs, overwrite, skip_existing)
        if not todo:
            return 0
        from ..faces.detect import load_detector

        found = load_detector(detector or "embedded")
        outcomes = batch.each(todo, lambda job: _one(job, found, fixed, seed, save_region, overwrite))
        return batch.report(outcomes, len(todo))


def _one(
    job: Job, detector: Detector, fixed: dict[str, Any], seed: int, save_region: bool, overwrite: bool
) -> str | None:
    """Put a face mask on every face of one picture; the line to print."""
    import numpy as np

    from .. import images
    from ..simulation.simulate import sample_garment, simulate

    many_jobs.refuse_existing([job.target, *([job.beside("region")] if save_region else [])], overwrite)
    photo = images.read(job.source if job.source is not None else job.read())
    faces = detector.detect(photo.pixels)
    if not faces:
        raise NoFaceError(f"{job.name}: no face found; give a photo in which the eyes can be seen")
    rng = np.random.default_rng([seed, zlib.crc32(job.source.name.encode() if job.source else b"")])
    pixels, region, kinds = photo.pixels, np.zeros(photo.pixels.shape[:2], np.float32), []
    for face in faces:
        covered = simulate(pixels, face.kps, rng, sample_garment(rng, **fixed))
        pixels, region = covered.image, np.maximum(region, covered.region)
        kinds.append(covered.garment.kind if covered.garment else "")
    note = {"statement": STATEMENT, "software": f"unmask {__version__}"}
    if job.target is None:
        files.to_stdout(images.encode(photo, pixels, note))
    else:
        images.write(photo, pixels, job.target, note)
    if save_region:
        gray = images.read((region * 255).round().astype(np.uint8))
        images.write(gray, gray.pixels, job.beside("region"))
    return f"{job.name} -> {job.target}  ({', '.join(kinds)})" if job.target and not progress.quiet() else None
