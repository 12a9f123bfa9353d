"""What goes over the wire as JSON; the OpenAPI description is made from these classes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

MAX_SAMPLES = 8
Box = tuple[float, float, float, float]
Point = tuple[float, float]


class Problem(BaseModel):
    """Why a request was refused, in one line that names the cure."""

    detail: str


class Limits(BaseModel):
    """What is accepted."""

    max_bytes: int = Field(default=64 * 1024**2, description="of one request, files and all")
    max_pixels: int = Field(default=50_000_000, description="of one photo")
    max_samples: int = Field(default=MAX_SAMPLES, description="of one request")
    max_waiting: int = Field(default=16, description="photos in line")
    max_frames: int = Field(default=900, description="of one clip")
    max_clip_pixels: int = Field(default=4096 * 2304, description="of one frame of a clip")


class Health(BaseModel):
    """Whether the service is up, and what it is."""

    status: Literal["ok"] = "ok"
    version: str
    weights: dict[str, Any] = Field(description="names and sha256 of what paints")
    limits: Limits
    unfinished: int = Field(description="jobs in line or at work")
    statement: str = Field(description="what every restored photo is")


class Face(BaseModel):
    """One face of a photo; boxes and points in pixels of the upright photo."""

    status: Literal["masked", "restored", "no mask", "too small", "not chosen"]
    bbox: Box = Field(description="left, top, right, bottom")
    kps: list[Point] = Field(description="eyes, nose, mouth corners; left first, as seen in the picture")
    det_score: float
    garment_score: float | None = Field(default=None, description="how sure the segmenter is that a face mask is worn")
    face_score: float | None = Field(
        default=None, description="how sure the second look is that this is the face of a real person"
    )
    mask_score: float | None = Field(default=None, description="how sure the second look is of a face mask")
    roll: float | None = Field(default=None, description="degrees by which the face is turned clockwise")
    enlarged: float | None = Field(default=None, description="pixels of the photo for one that is painted")
    coverage: float | None = Field(default=None, description="share of the aligned crop that the face mask hides")
    drift: float | None = Field(
        default=None, description="how far the restoration moved the face for a recognizer; not how true it is"
    )
    region: str | None = Field(
        default=None, description="gray PNG in base64, white under the face mask, of the size that `view` says"
    )


class Faces(BaseModel):
    """The faces of a photo, largest first."""

    size: tuple[int, int] = Field(description="width and height of the upright photo")
    view: tuple[int, int] = Field(description="width and height of the regions and of what the page shows")
    faces: list[Face]


class Sample(BaseModel):
    """One guess; fetch its file at `/api/jobs/{id}/samples/{number}`."""

    number: int
    mime: str
    filename: str


class Restoration(BaseModel):
    """The guesses at one photo."""

    statement: str
    summary: str
    faces: list[Face]
    note: dict[str, Any] = Field(description="the provenance that every file carries")
    samples: list[Sample]
    spread: bool = Field(description="whether there is a picture of where they differ, at `/api/jobs/{id}/spread`")


class RestoredClip(BaseModel):
    """A restored clip; fetch its file at `/api/jobs/{id}/clip`."""

    statement: str
    summary: str
    mime: str
    filename: str


class JobState(BaseModel):
    """Where a job stands."""

    id: str
    name: str
    state: Literal["waiting", "working", "done", "failed"]
    ahead: int = Field(description="jobs to be done before this one; 0 for the one at work")
    error: str | None = None
    found: Faces | None = Field(default=None, description="of a finished job of the task `faces`")
    frames: int | None = Field(default=None, description="of a clip at work: frames done so far")
    frames_in_all: int | None = Field(default=None, description="of a clip at work, where it says how many it has")
    clip: RestoredClip | None = Field(default=None, description="of a finished clip")
    restored: Restoration | None = Field(default=None, description="of a finished job of the task `restore`")
