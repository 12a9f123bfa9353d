"""The step that every engine runs on a picture: read, restore, write, and say what was done."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import images
from ..errors import NoFaceError, NoMaskError, UnmaskError
from ..restore.results import WHITE
from . import jobs as many_jobs
from . import pipeline
from .jobs import Job, RefusedError, Wanted
from .manifest import REFUSED, RESTORED, STARTED, Manifest

if TYPE_CHECKING:
    from ..restore.located import Located
    from ..restore.restorer import Restorer
    from ..restore.results import Restored, RestoredFace

OUTCOMES: dict[str, type[UnmaskError]] = {"no face": NoFaceError, "no mask": NoMaskError}
TITLE = (
    "These are guesses of a generative model, the one that fits the visible part best first. None of them is what the "
    "face mask hid, nor are they all that it could have hidden. Spread: standard deviation of the guesses, "
    f"white from {WHITE:g} levels of 255."
)
AHEAD = 2  # pictures in hand beyond those being worked on, for each thread
GPU_BATCH = 16


@dataclass
class Work:
    """A picture on its way through the step."""

    job: Job
    record: dict[str, Any]
    located: Located | None = None
    error: Exception | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    before: bool = False


@dataclass(frozen=True)
class Done:
    """What came of a picture.

    Attributes:
        record: the line of the manifest (see :class:`unmask.batch.manifest.Manifest`).
        summary: for people.
        note: the provenance as written into the file.
        data: the result where it goes to stdout.
        error: why there is none.
        before: it was done by an earlier run.
        warning: one line where the result will not please (see :attr:`unmask.restore.results.Restored.warning`).
    """

    job: Job
    record: dict[str, Any]
    summary: str = ""
    note: Mapping[str, Any] | None = None
    data: bytes | None = None
    error: Exception | None = None
    before: bool = False
    warning: str | None = None


class Step:
    """Open, fill and close pictures; each call may come from another thread.

    Args:
        restorer: does the work.
        wanted: how.
        manifest: what earlier runs did.
        keep: called with each new record of the manifest, before and after a file is written.
    """

    def __init__(
        self,
        restorer: Restorer,
        wanted: Wanted,
        manifest: Manifest | None = None,
        keep: Callable[[Path, Mapping[str, Any]], None] | None = None,
    ) -> None:
        self.restorer, self.wanted, self.manifest, self.keep = restorer, wanted, manifest, keep

    def open(self, job: Job) -> Work:
        """Read a picture and find its faces; what goes wrong is kept for :meth:`close`."""
        start = time.perf_counter()
        work = Work(job, {"input": job.name, "models": self.restorer.parts})
        try:
            work.record["options"] = self.wanted.facts()
            data = job.read()
            work.record["sha256"] = hashlib.sha256(data).hexdigest()
            if not self._done_before(work):
                work.located = self._locate(work, data)
        except Exception as error:  # one odd file must not cost the others
            work.error = error
        work.seconds["open"] = time.perf_counter() - start
        return work

    def _done_before(self, work: Work) -> bool:
        target = work.job.target
        if self.manifest is None or target is None or self.wanted.overwrite:
            return False
        record = self.manifest.done([target, *self.wanted.extras(work.job)], work.record)
        if record is None:
            return False
        work.record, work.before = record, True
        if record["outcome"] != "restored":
            work.error = OUTCOMES[record["outcome"]](record.get("error", record["outcome"]))
        return True

    def _locate(self, work: Work, data: bytes) -> Located:
        job = work.job
        ours = self.manifest and job.target and self.manifest.replaceable(job.target, work.record)
        overwrite = self.wanted.overwrite or bool(ours)
        many_jobs.refuse_existing([job.target, *self.wanted.extras(job)], overwrite)
        image: Any = data
        if job.target is not None:
            many_jobs.make_room(job.target)
            image = io.BytesIO(data)
            image.name = job.name
        region = region_of(self.wanted.region)
        return self.restorer.locate(image, self.wanted.face, region, job.target, overwrite)

    def fill(self, works: Sequence[Work]) -> None:
        """Fill in what the face masks hide, in all of the pictures together."""
        start = time.perf_counter()
        ready = [work for work in works if work.located is not None]
        how = self.wanted.seed, self.wanted.samples
        try:
            self.restorer.fill([work.located for work in ready if work.located is not None], *how)
        except Exception as error:
            if len(works) > 1:
                raise  # the pipeline asks again, one by one
            works[0].error = error
        for work in ready:
            work.seconds["fill"] = (time.perf_counter() - start) / len(ready)

    def close(self, work: Work) -> Done:
        """Write the result and its record."""
        start, job, record = time.perf_counter(), work.job, work.record
        if work.before:
            return Done(job, record, error=work.error, before=True)
        restored: Restored | None = None
        try:
            if work.error is not None:
                raise work.error
            assert work.located is not None
            if self.keep and job.target is not None and work.located.error is None:
                self.keep(job.target, {**record, "outcome": STARTED})
            restored = self.restorer.paste(work.located)
            self._write_extras(job, work.located.photo, restored)
        except Exception as error:
            work.error = error
            record["error"] = str(error) if isinstance(error, UnmaskError) else f"{type(error).__name__}: {error}"
        record["outcome"] = outcome_of(work.error)
        if work.located is not None:
            record["faces"] = [face.facts() for face in work.located.faces]
        work.seconds["close"] = time.perf_counter() - start
        record["seconds"] = {stage: round(seconds, 3) for stage, seconds in work.seconds.items()}
        if self.keep and job.target is not None:
            self.keep(job.target, record)
        if restored is None or work.error is not None:
            return Done(job, record, error=work.error)
        data = restored.image if job.target is None else None
        return Done(job, record, restored.summary(), restored.note, data, warning=restored.warning)

    def _write_extras(self, job: Job, photo: images.Photo, restored: Restored) -> None:
        def keep(pixels: NDArray[np.uint8], word: str) -> None:
            made = images.in_colors_of(photo, pixels)
            images.write(made, made.pixels, job.beside(word), restored.note)

        if self.wanted.compare:
            labels = ["before", "after: a guess"]
            keep(images.sheet([[restored.before, restored.pixels]], labels=labels), "compare")
        if self.wanted.save_region:
            write_png((restored.region * 255).round().astype(np.uint8), job.beside("region"))
        if self.wanted.samples > 1:
            for k in range(self.wanted.samples):
                keep(restored.sample(k), many_jobs.sample_word(k))
            write_png(restored.spread_levels, job.beside(many_jobs.SPREAD))
            keep(sheet_of_samples(restored.faces), many_jobs.SHEET)


def sheet_of_samples(faces: Sequence[RestoredFace]) -> NDArray[np.uint8]:
    """One row a restored face: as it was, its samples, and their spread; uint8 [H,W,3]."""
    rows = [
        [face.aligned, *face.samples, (face.spread / WHITE).clip(0, 1)]
        for face in faces
        if face.aligned is not None and face.samples is not None and face.spread is not None
    ]
    labels = ["photo", *(f"guess {k + 1}" for k in range(len(rows[0]) - 2)), "spread"]
    return images.sheet(rows, labels, title=TITLE)


def run(jobs: Iterable[Job], step: Step, workers: int) -> Iterator[Done]:
    """Do all jobs, ``workers`` at a time (a GPU fills them in batches); each as it is through, in order."""
    gpu = step.restorer.device != "cpu"
    batch, fills = (GPU_BATCH, 1) if gpu else (1, workers)
    ahead = (1 + AHEAD) * workers + (batch if gpu else 0)
    through = pipeline.run(
        jobs, step.open, step.fill, step.close, workers=workers, ahead=ahead, batch=batch, fills=fills
    )
    for job, done in through:
        yield done if isinstance(done, Done) else Done(job, {"input": job.name}, error=done)


def outcome_of(error: Exception | None) -> str:
    """The word for it in a manifest."""
    if error is None or isinstance(error, RefusedError):
        return RESTORED if error is None else REFUSED
    return next((word for word, kind in OUTCOMES.items() if isinstance(error, kind)), "error")


def region_of(name: str | None) -> NDArray[np.float32] | None:
    """The region a person painted, float32 [H,W] in [0,1]; None to find it."""
    return None if name is None else images.read(name).pixels.astype(np.float32).mean(axis=2) / 255


def write_png(pixels: NDArray[np.uint8], path: Path) -> None:
    """Write a map of our own making, uint8 [H,W]."""
    photo = images.read(pixels)
    images.write(photo, photo.pixels, path)
