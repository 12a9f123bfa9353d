"""The REST endpoint: photos in, faces or restored photos out, at once or through the queue."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from pathlib import PurePath
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, File, Form, Response, UploadFile
from fastapi import Path as InPath
from pydantic import WithJsonSchema

from .. import __version__, formats
from ..restore import STATEMENT, Restorer
from . import clips, work
from .jobs import GoneError, Job, Jobs, Steps, problem
from .schemas import MAX_SAMPLES, Faces, Health, JobState, Limits, Problem, Restoration, RestoredClip, Sample
from .uploads import UploadRoute, taken

BINARY = {"type": "string", "format": "binary"}
Image = Annotated[
    UploadFile, WithJsonSchema(BINARY), File(description="a photo, in any format that `unmask restore` reads")
]
Region = Annotated[
    UploadFile | None,
    WithJsonSchema(BINARY),  # left out or a file, never the word "null"
    File(description="a picture of the photo's proportions, white where the face mask is; found if not given"),
]
Choice = Annotated[
    str,
    Form(pattern="^(|all|largest|center|[0-9]{1,4})$", description="all or empty, largest, center, or a number"),
]
Seed = Annotated[int, Form(ge=0, le=2**31 - 1, description="the same seed gives the same picture")]
Samples = Annotated[int, Form(ge=1, le=MAX_SAMPLES, description="how many guesses")]
Id = Annotated[str, InPath(pattern="^[A-Za-z0-9_-]{1,64}$")]
Number = Annotated[int, InPath(ge=0, le=1000, description="of the sample, from 0")]

Clip = Annotated[
    UploadFile, WithJsonSchema(BINARY), File(description="a short clip; its name says what kind: .mp4, .webm, ...")
]
Result = work.Found | work.Samples | clips.Clip

REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "not a form as described"},
    403: {"model": Problem, "description": "from another site, or under an unknown name"},
    413: {"model": Problem, "description": "too many bytes"},
    422: {"model": Problem, "description": "the photo or a field cannot be used; the line says why"},
    503: {"model": Problem, "description": "the queue is full"},
}
MISSING: dict[int | str, dict[str, Any]] = {
    403: REFUSED[403],
    404: {"model": Problem, "description": "no such job or sample, or not any more"},
    422: {"model": Problem, "description": "not an id or number"},
}
FILES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {mime: {"schema": BINARY} for mime in formats.MIMES.values()},
        "description": "a file with its provenance note",
    }
}
CLIPS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {mime: {"schema": BINARY} for mime in formats.CLIP_MIMES.values()},
        "description": "a clip with its provenance note",
    }
}
VIEWS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {"schema": BINARY}}, "description": "a small view"}
}


def router(restorer: Restorer, jobs: Jobs, limits: Limits) -> APIRouter:
    """All paths below ``/api``."""
    api = APIRouter(prefix="/api")
    api.include_router(_at_once(restorer, jobs, limits))
    api.include_router(_in_line(restorer, jobs, limits))
    api.include_router(_pictures(jobs))
    api.include_router(_clips(restorer, jobs, limits))
    return api


def _at_once(restorer: Restorer, jobs: Jobs, limits: Limits) -> APIRouter:
    """One request, one answer; it waits in the same line as all others."""
    api = APIRouter(route_class=UploadRoute)

    async def wait_for(name: str, what: Callable[[], work.Found | work.Samples]) -> Any:
        job = jobs.submit(what, name)
        try:
            return await asyncio.wrap_future(job.future)
        finally:
            jobs.discard(job.id)

    @api.get("/health", responses={403: REFUSED[403]})
    async def health() -> Health:
        """Whether the service is up, what paints, and what it accepts."""
        return Health(version=__version__, weights=restorer.made_by, limits=limits, unfinished=jobs.unfinished,
                      statement=STATEMENT)  # fmt: skip

    @api.post("/faces", responses=REFUSED)
    async def faces(image: Image) -> Faces:
        """The faces of a photo, with boxes, points, and the region of each face mask."""
        data = await taken(image)
        return _faces(await wait_for(_named(image), lambda: work.find(restorer, data, limits.max_pixels)))

    @api.post("/restore", responses=REFUSED | FILES, response_class=Response)
    async def restore(image: Image, region: Region = None, face: Choice = "all", seed: Seed = 0) -> Response:
        """Restore a photo and answer with the file: same format, size and metadata, with a provenance note inside.

        The restored region is a guess and no evidence of identity.
        """
        name, what = _named(image), await _restoring(restorer, limits, image, region, face, seed, 1)
        done: work.Samples = await wait_for(name, what)
        return _file(done.samples[0].file, name)

    return api


def _in_line(restorer: Restorer, jobs: Jobs, limits: Limits) -> APIRouter:
    """A job is put in line and asked for later, as the page does it."""
    api = APIRouter(prefix="/jobs", route_class=UploadRoute)

    @api.post("", status_code=202, responses=REFUSED)
    async def submit(
        response: Response, image: Image, task: Annotated[Literal["faces", "restore"], Form()] = "restore",
        region: Region = None, face: Choice = "all", seed: Seed = 0, samples: Samples = 1,
    ) -> JobState:  # fmt: skip
        """Put a photo in line; ask for the state of the job, then fetch its samples."""
        what: Callable[[], work.Found | work.Samples]
        if task == "restore":
            what = await _restoring(restorer, limits, image, region, face, seed, samples)
        else:
            what = functools.partial(work.find, restorer, await taken(image), limits.max_pixels)
        job = jobs.submit(what, _named(image))
        response.headers["Location"] = f"/api/jobs/{job.id}"
        return _state(job, jobs)

    @api.get("/{id}", responses=MISSING)
    async def state(id: Id) -> JobState:
        """Where a job stands, and what came out."""
        return _state(jobs.get(id), jobs)

    @api.delete("/{id}", status_code=204, responses=MISSING)
    async def forget(id: Id) -> None:
        """Drop a job and all that came out of it."""
        jobs.forget(id)

    return api


def _pictures(jobs: Jobs) -> APIRouter:
    """What a finished job made."""
    api = APIRouter(prefix="/jobs/{id}")

    @api.get("/before", responses=MISSING | VIEWS, response_class=Response)
    async def before(id: Id) -> Response:
        """A small view of the photo as it was read."""
        result = _result(jobs.get(id))
        if isinstance(result, clips.Clip):
            raise GoneError("this job was a clip")
        picture = result.before
        return Response(picture.data, media_type=picture.mime)

    @api.get("/spread", responses=MISSING | VIEWS, response_class=Response)
    async def spread(id: Id) -> Response:
        """Where the guesses differ: white, by far; black, not at all."""
        result = _result(jobs.get(id))
        if not isinstance(result, work.Samples) or result.spread is None:
            raise GoneError("this job made no several guesses")
        return Response(result.spread.data, media_type=result.spread.mime)

    @api.get("/samples/{number}", responses=MISSING | FILES, response_class=Response)
    async def sample(id: Id, number: Number) -> Response:
        """The file of one guess."""
        job = jobs.get(id)
        return _file(_sample(job, number).file, job.name, number)

    @api.get("/samples/{number}/view", responses=MISSING | VIEWS, response_class=Response)
    async def view(id: Id, number: Number) -> Response:
        """A small view of one guess."""
        picture = _sample(jobs.get(id), number).view
        return Response(picture.data, media_type=picture.mime)

    return api


def _clips(restorer: Restorer, jobs: Jobs, limits: Limits) -> APIRouter:
    """Clips, in the same line."""
    api = APIRouter(route_class=UploadRoute)

    @api.post("/clips", status_code=202, responses=REFUSED)
    async def submit(response: Response, clip: Clip, face: Choice = "all", seed: Seed = 0) -> JobState:
        """Put a short clip in line; ask for the state of the job, then fetch its file."""
        suffix, steps, data = clips.suffix_of(clip.filename or ""), Steps(), await taken(clip)
        what = functools.partial(clips.restore_clip, restorer, data, suffix, limits, steps, _chosen(face), seed)
        job = jobs.submit(what, _named(clip), steps)
        response.headers["Location"] = f"/api/jobs/{job.id}"
        return _state(job, jobs)

    @api.get("/jobs/{id}/clip", responses=MISSING | CLIPS, response_class=Response)
    async def file(id: Id) -> Response:
        """The file of a restored clip, with a provenance note."""
        job = jobs.get(id)
        if not isinstance(result := _result(job), clips.Clip):
            raise GoneError("this job was no clip")
        return _file(result.file, job.name)

    return api


async def _restoring(
    restorer: Restorer, limits: Limits, image: UploadFile, region: UploadFile | None, face: str, seed: int, samples: int
) -> Callable[[], work.Samples]:
    """The restoration that a form asks for, to be done by the worker."""
    data, hidden = await taken(image), None if region is None else await taken(region)
    return functools.partial(work.restore, restorer, data, limits.max_pixels, hidden, _chosen(face), seed, samples)


def _chosen(face: str) -> str | int:
    return int(face) if face.isdecimal() else face or "all"


def _named(image: UploadFile) -> str:
    """The name of an upload without its suffix, fit for a file name."""
    stem = PurePath((image.filename or "").replace("\\", "/")).stem
    return "".join(c for c in stem if c.isprintable())[:100] or "photo"


def _filename(name: str, suffix: str, number: int = 0) -> str:
    return f"{name}.unmasked{f'-{number + 1}' if number else ''}.{suffix}"


def _file(picture: work.Picture, name: str, number: int = 0) -> Response:
    called = quote(_filename(name, picture.suffix, number), safe="")
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{called}"}
    return Response(picture.data, media_type=picture.mime, headers=headers)


def _faces(found: work.Found) -> Faces:
    return Faces.model_validate({"size": found.size, "view": found.view, "faces": found.faces})


def _state(job: Job, jobs: Jobs) -> JobState:
    state = job.state
    answer = JobState(id=job.id, name=job.name, state=state, ahead=0 if job.future.done() else jobs.ahead(job))
    if state == "failed":
        answer.error = "cancelled" if job.future.cancelled() else problem(job.future.exception())
    elif state == "done" and isinstance(result := job.future.result(), work.Found):
        answer.found = _faces(result)
    elif state == "done" and isinstance(result, clips.Clip):
        answer.clip = RestoredClip(
            statement=STATEMENT, summary=result.summary, mime=result.file.mime,
            filename=_filename(job.name, result.file.suffix),
        )  # fmt: skip
    elif state == "working" and job.steps is not None:
        answer.frames, answer.frames_in_all = job.steps.done, job.steps.total
    elif state == "done":
        answer.restored = _restoration(job.future.result(), job.name)
    return answer


def _restoration(made: work.Samples, name: str) -> Restoration:
    samples = [
        Sample(number=i, mime=one.file.mime, filename=_filename(name, one.file.suffix, i))
        for i, one in enumerate(made.samples)
    ]
    return Restoration.model_validate(
        {"statement": STATEMENT, "summary": made.summary, "faces": made.faces, "note": made.note,
         "samples": samples, "spread": made.spread is not None}
    )  # fmt: skip


def _result(job: Job) -> Result:
    if job.state != "done":
        raise GoneError(f"this job is {job.state}; there is nothing to fetch")
    found: Result = job.future.result()
    return found


def _sample(job: Job, number: int) -> work.Sample:
    result = _result(job)
    if not isinstance(result, work.Samples) or number >= len(result.samples):
        raise GoneError(f"this job has no sample {number}")
    return result.samples[number]
