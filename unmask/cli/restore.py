"""``unmask restore``: photos of masked faces in, photos of faces out."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UsageError
from . import batch, files

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..restore import Restorer
    from ..result import Restored

MARK = "unmasked"
EXTRAS = {"compare": "compare", "region": "save_region"}  # word in the file name -> option


@dataclass(frozen=True)
class Options:
    """What holds for every picture of one run."""

    face: str | int
    region: str | None
    seed: int
    compare: bool
    save_region: bool
    overwrite: bool
    skip_existing: bool
    as_json: bool


class FaceChoice(click.ParamType):
    """``all``, ``largest``, ``center``, or the number of a face."""

    name = "all|largest|center|n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | int:
        """The word, or the number as int."""
        if value in ("all", "largest", "center") or isinstance(value, int):
            return value
        if str(value).isdecimal():
            return int(value)
        self.fail(f"{value!r} is none of all, largest, center or a number from 0", param, ctx)


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="IN...")
@click.option(
    "-o",
    "--out",
    metavar="PATH",
    help="File, folder (trees are mirrored) or - for stdout; by default NAME.unmasked.EXT beside each input.",
)
@click.option(
    "--face",
    type=FaceChoice(),
    default="all",
    show_default=True,
    help="Which faces: all, largest, center, or a number (0 is the largest).",
)
@click.option(
    "--region",
    metavar="FILE|auto",
    default="auto",
    show_default=True,
    help="A picture of the photo's size, white where the face mask is.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--weights", metavar="PATH", help="A weights folder or an unmasker checkpoint, instead of the pack.")
@click.option("--detector", metavar="NAME", help="insightface:PACK, or an ONNX file in SCRFD's layout.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the generator's noise.")
@click.option("--compare", is_flag=True, help="Also write NAME.compare.png: before and after, side by side.")
@click.option("--save-region", is_flag=True, help="Also write NAME.region.png: what was synthesised.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document a picture, a line each.")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option("--skip-existing", is_flag=True, help="Leave out pictures whose result exists.")
@click.option("--dry-run", is_flag=True, help="Only say what would be read and written.")
def restore(
    inputs: tuple[str, ...], out: str | None, device: str, weights: str | None, detector: str | None,
    dry_run: bool, **flags: Any,
) -> int:  # fmt: skip
    """Restore the masked faces in photos: files, folders, patterns, or - for stdin.

    The restored region is a plausible guess, written as such into the file. It is no evidence of identity.
    """
    options = Options(**flags)
    if options.overwrite and options.skip_existing:
        raise UsageError("--overwrite and --skip-existing: give one of them")
    jobs = files.plan(inputs, out, MARK, EXTRAS)
    if options.region != "auto" and len(jobs) > 1:
        raise UsageError(f"--region {options.region}: is for one picture, not for {len(jobs)}")
    if any(job.target is None for job in jobs) and (options.as_json or options.compare or options.save_region):
        raise UsageError("--json, --compare, --save-region: need the picture in a file; give -o FILE")
    if dry_run:
        for job in jobs:
            click.echo(f"{job.name} -> {job.target or 'stdout'}{_fate(job, options)}")
        return 0
    return _run(jobs, options, device, weights, detector)


def _fate(job: files.Job, options: Options) -> str:
    if job.source is not None and not job.source.is_file():
        return "  (missing)"
    if job.target is None or not job.target.exists():
        return ""
    return (
        "  (exists: replaced)"
        if options.overwrite
        else "  (exists: skipped)"
        if options.skip_existing
        else "  (exists)"
    )


def _run(jobs: list[files.Job], options: Options, device: str, weights: str | None, detector: str | None) -> int:
    """Load the models once and restore every job."""
    todo = batch.pending(jobs, options.overwrite, options.skip_existing)
    if not todo:
        return 0
    from ..restore import Restorer

    restorer = Restorer.from_pretrained(weights, device=device, detector=detector)

    def failed(job: files.Job, message: str) -> None:
        if options.as_json:
            click.echo(json.dumps({"input": job.name, "error": message}))

    return batch.run(todo, lambda job: _one(job, restorer, options), failed)


def _one(job: files.Job, restorer: Restorer, options: Options) -> str | None:
    """Restore one picture; the line to print."""
    start = time.perf_counter()
    extras = [job.beside(word) for word, option in EXTRAS.items() if getattr(options, option)]
    files.refuse_existing([job.target, *extras], options.overwrite)
    image = files.source_bytes(job) if job.source is None or job.target is None else job.source
    if job.target is not None:
        files.make_room(job.target)
    done = restorer.restore(
        image,
        face=options.face,
        region=_region(options.region),
        seed=options.seed,
        out=job.target,
        overwrite=options.overwrite,
    )
    if options.compare:
        _png(_side_by_side(done), job.beside("compare"), done.note)
    if options.save_region:
        _png((done.region * 255).round().astype("uint8"), job.beside("region"), None)
    if job.target is None:
        files.to_stdout(done.image)
        return None
    if options.as_json:
        facts = {"input": job.name, "output": str(job.target), "faces": [face.facts() for face in done.faces]}
        seconds = round(time.perf_counter() - start, 3)
        return json.dumps({**facts, "note": done.note, "seconds": seconds})
    return f"{job.name} -> {job.target}  ({done.summary()})"


def _region(name: str | None) -> NDArray[np.float32] | None:
    """The region a person painted, float32 [H,W] in [0,1]; None to find it."""
    if name in (None, "auto"):
        return None
    from .. import images

    return images.read(name).pixels.astype("float32").mean(axis=2) / 255


def _side_by_side(done: Restored) -> NDArray[np.uint8]:
    from .. import images

    return images.sheet([[done.before, done.pixels]], labels=["before", "after: a guess"])


def _png(pixels: NDArray[np.uint8], path: Path, note: dict[str, Any] | None) -> None:
    from .. import images

    photo = images.read(pixels)
    images.write(photo, photo.pixels, path, note)
