"""``unmask restore``: photos of masked faces in, photos of faces out."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import progress
from ..batch import jobs as many_jobs
from ..batch.jobs import Job, Wanted
from ..errors import UsageError, printable
from . import batch, files

if TYPE_CHECKING:
    from ..batch.manifest import Manifest
    from ..batch.step import Done
    from ..restore.restorer import Restorer

MARK = "unmasked"
CLIPS = many_jobs.CLIPS


@dataclass(frozen=True)
class Options:
    """What holds for one run beside what is ``wanted`` of every picture."""

    wanted: Wanted
    out: str | None
    skip_existing: bool
    as_json: bool
    manifest: str | None
    shard: tuple[int, int] | None
    engine: str
    several: bool

    @property
    def folder(self) -> Path | None:
        """The folder that this run fills with several results, if it does."""
        return Path(self.out) if self.out is not None and self.several else None

    @property
    def records(self) -> Path | None:
        """The manifest asked for, or the one that the folder of the results gets."""
        from ..batch import manifest

        if self.manifest or self.folder is None:
            return Path(self.manifest) if self.manifest else None
        return self.folder / manifest.name_of(*(self.shard or (1, 1)))


@dataclass(frozen=True)
class Models:
    """Which models to load, and where."""

    device: str
    weights: str | None
    detector: str | None
    min_score: float

    def load(self) -> Restorer:
        """The restorer of them; says where the pack stands in for some of what was asked for."""
        from ..restore import parts
        from ..restore.restorer import Restorer

        if told := parts.of(self.weights).told:
            progress.say(told)
        return Restorer.from_pretrained(
            self.weights, device=self.device, detector=self.detector, min_score=self.min_score
        )


class Shard(click.ParamType):
    """``I/N``: part I, from 1, of N."""

    name = "i/n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Two numbers."""
        if isinstance(value, tuple):
            return value
        part, slash, parts = str(value).partition("/")
        if slash and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts):
            return int(part), int(parts)
        self.fail(f"{value!r} is not a part such as 2/8, from 1/8 to 8/8", param, ctx)


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
@click.option(
    "--weights",
    metavar="PATH",
    help="A run, a folder of weights or an unmasker's file, instead of the pack.",
)
@click.option("--detector", metavar="NAME", help="insightface:PACK, or an ONNX file in SCRFD's layout.")
@click.option(
    "--min-score",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="How sure the second look must be that a face is a real one; less restores statues and drawings too.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the generator's noise.")
@click.option(
    "--samples",
    type=click.IntRange(1, many_jobs.MAX_SAMPLES),
    default=1,
    show_default=True,
    help="Also write this many guesses (NAME.sample-01.png ...), a sheet of them and NAME.spread.png.",
)
@click.option("--compare", is_flag=True, help="Also write NAME.compare.png: before and after, side by side.")
@click.option("--save-region", is_flag=True, help="Also write NAME.region.png: what was synthesized.")
@click.option(
    "--lossless",
    is_flag=True,
    help="Write PNG where the format (JPEG, AVIF, WebP) would change pixels outside the region, too.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document a picture, a line each.")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option("--skip-existing", is_flag=True, help="Leave out pictures whose result exists.")
@click.option(
    "--manifest",
    metavar="FILE",
    help="JSON lines of what was done, so that a later run goes on; by default manifest.jsonl in the folder of -o.",
)
@click.option("--shard", type=Shard(), help="Only part I of N of the pictures, such as 2/8, one for each machine.")
@click.option(
    "--engine",
    type=click.Choice(["threads", "ray"]),
    default="threads",
    show_default=True,
    help="Work in threads of this process, or in the processes of a Ray cluster (the extra `ray`).",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be read and written.")
def restore(
    inputs: tuple[str, ...], out: str | None, device: str, weights: str | None, detector: str | None, min_score: float,
    region: str, dry_run: bool, skip_existing: bool, as_json: bool, manifest: str | None,
    shard: tuple[int, int] | None, engine: str, lossless: bool, **wanted: Any,
) -> int:  # fmt: skip
    """Restore the masked faces in photos (files, folders, patterns, or - for stdin) or in clips (files).

    The restored region is a plausible guess, written as such into the file (beside it for BMP and PPM). It is no
    evidence of identity. Pixels outside it stay as they are, but for what JPEG, AVIF and lossy WebP change in any
    picture that they encode; see --lossless.
    """
    how = Wanted(region=None if region == "auto" else region, **wanted)
    if how.overwrite and skip_existing:
        raise UsageError("--overwrite and --skip-existing: give one of them")
    planned = files.plan(inputs, out, MARK, many_jobs.words(), CLIPS)
    jobs: list[Job] = [many_jobs.lossless(job) for job in planned] if lossless else planned
    clips = [job for job in jobs if job.source is not None and job.source.suffix.lower() in CLIPS]
    options = Options(how, out, skip_existing, as_json, manifest, shard, engine, len(jobs) > 1)
    _check(jobs, len(clips), options)
    if shard:
        jobs = many_jobs.shard(jobs, *shard)
    models = Models(device, weights, detector, min_score)
    with files.rest_told(planned):
        if not dry_run:
            return _run_clips(jobs, options, models) if clips else _run(jobs, options, models)
        for job in jobs:
            click.echo(printable(f"{job.name} -> {job.target or 'stdout'}{_fate(job, options)}"))
        return 0


def _check(jobs: list[Job], clips: int, options: Options) -> None:
    """UsageError for what cannot be done with these jobs."""
    how = options.wanted
    beside = options.as_json or how.compare or how.save_region or how.samples > 1
    if clips and (clips < len(jobs) or beside or how.region or options.manifest or options.out == files.STREAM):
        raise UsageError("clips go alone, and only with --face, --seed, -o FILE and the options of the models")
    if how.region and len(jobs) > 1:
        raise UsageError(f"--region {how.region}: is for one picture, not for {len(jobs)}")
    if beside and any(job.target is None for job in jobs):
        raise UsageError("--json, --compare, --save-region, --samples: need the picture in a file; give -o FILE")
    files.check(jobs, how.extras, [Path(path) for path in (how.region, options.records) if path])
    if options.engine == "ray" and (clips or any(job.source is None or job.target is None for job in jobs)):
        raise UsageError("--engine ray: is for pictures in files, results in files")


def _fate(job: Job, options: Options) -> str:
    if job.source is not None and not os.path.isfile(job.source):
        return "  (missing)"
    if job.target is None or not os.path.exists(job.target):
        return ""
    return (
        "  (exists: replaced)"
        if options.wanted.overwrite
        else "  (exists: skipped)"
        if options.skip_existing
        else "  (exists)"
    )


def _run(jobs: list[Job], options: Options, models: Models) -> int:
    """Load the models once and restore every job."""
    todo = batch.pending(jobs, options.wanted.overwrite, options.skip_existing)
    if not todo:
        return 0
    from ..batch import manifest

    with manifest.alone(options.records, options.folder, shared=options.shard is not None):
        kept = manifest.Manifest(options.manifest) if options.manifest else None
        if kept is None and options.folder is not None:
            kept = manifest.of_shard(options.folder, *(options.shard or (1, 1)))
        return _do(todo, options, models, kept)


def _do(todo: list[Job], options: Options, models: Models, manifest: Manifest | None) -> int:
    from ..batch import step

    told = _failed if options.as_json else None
    if options.engine == "ray":
        from ..batch import ray_engine

        through = ray_engine.run(todo, models.load, options.wanted, manifest)
        return batch.report((_outcome(done, options) for done in through), len(todo), told)
    from .. import engines

    workers = engines.threads()  # several pictures get one thread each, which wastes less than sharing them
    with engines.one_thread_each() if len(todo) > 1 else contextlib.nullcontext():
        work = step.Step(models.load(), options.wanted, manifest, manifest.add if manifest else None)
        outcomes = (_outcome(done, options) for done in step.run(todo, work, workers))
        return batch.report(outcomes, len(todo), told)


def _run_clips(jobs: list[Job], options: Options, models: Models) -> int:
    """Restore clips, one after another, with the progress of each."""
    todo = batch.pending(jobs, options.wanted.overwrite, options.skip_existing)
    if not todo:
        return 0
    from tqdm import tqdm

    from .. import engines
    from ..video import clip, restore

    def do(restorer: Restorer, job: Job) -> str | None:
        assert job.source is not None and job.target is not None
        many_jobs.refuse_existing([job.target], options.wanted.overwrite)
        with tqdm(
            total=clip.length(job.source), unit="frame", file=sys.stderr, disable=True if progress.quiet() else None
        ) as bar:
            how = options.wanted
            shown = restore.restore_clip(
                restorer, job.source, job.target, face=how.face, seed=how.seed, progress=lambda n: bar.update(n - bar.n)
            )
        before = f", {shown.before} by an earlier run" if shown.before else ""
        lost = "".join(f"; {words}" for words in clip.losses(job.source))
        if progress.quiet():
            return None
        return f"{job.name} -> {job.target}  ({shown.restored} of {shown.frames} frames restored{before}{lost})"

    with engines.one_thread_each():  # before the models are loaded, which take as many as they find
        restorer = models.load()
        return batch.report(batch.each(todo, lambda job: do(restorer, job)), len(todo))


def _outcome(done: Done, options: Options) -> batch.Outcome:
    """Print what goes to stdout now, and say what is to be printed of the rest."""
    line = None
    if done.warning:
        click.echo(f"{done.job.name}: {done.warning}", err=True)
    if done.data is not None:
        files.to_stdout(done.data)
    elif done.error is None and options.as_json:
        facts = {key: done.record[key] for key in ("input", "output", "faces") if key in done.record}
        facts["output"] = str(done.job.target)
        seconds = round(sum(done.record["seconds"].values()), 3)
        line = json.dumps({**facts, "note": done.note, "seconds": seconds})
    elif done.error is None and not done.before and not progress.quiet():
        line = f"{done.job.name} -> {done.job.target}  ({done.summary})"
    return batch.Outcome(done.job, line, done.error, done.before)


def _failed(outcome: batch.Outcome) -> str:
    return json.dumps({"input": outcome.job.name, "error": outcome.message})
