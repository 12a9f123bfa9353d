"""What the page asks of the library: the faces of a photo with their regions, and several guesses at them."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import formats, images
from ..errors import NoFaceError, UnmaskError, UsageError
from ..faces import align

if TYPE_CHECKING:
    from ..restore.restorer import Restorer
    from ..restore.results import Restored, RestoredFace

PREVIEW = 1280  # pixels of the longer side of what the page shows and of the regions it edits
RATIO = 0.02  # by how much the proportions of a region may differ from the photo's


@dataclass(frozen=True)
class Picture:
    """An encoded picture and its media type."""

    data: bytes
    mime: str
    suffix: str


@dataclass(frozen=True)
class Found:
    """The faces of a photo.

    Attributes:
        size: (width, height) of the upright photo.
        view: (width, height) of ``before`` and of the regions.
        before: the upright photo, small enough to show.
        faces: per face what ``RestoredFace.facts`` says, with ``status`` "masked", "no mask" or "too small", and
            ``region``: a gray PNG of the size of ``view`` in base64, white under the face mask, or None.
    """

    size: tuple[int, int]
    view: tuple[int, int]
    before: Picture
    faces: list[dict[str, Any]]

    @property
    def nbytes(self) -> int:
        """Bytes of all that is kept."""
        return len(self.before.data) + sum(len(face["region"] or "") for face in self.faces)


@dataclass(frozen=True)
class Sample:
    """One restored photo: the file with its note, and a small view of it."""

    file: Picture
    view: Picture


@dataclass(frozen=True)
class Samples:
    """All that one request made of a photo; ``spread`` is where the guesses differ, None of a single one."""

    before: Picture
    samples: list[Sample]
    spread: Picture | None
    faces: list[dict[str, Any]]
    note: dict[str, Any]
    summary: str

    @property
    def nbytes(self) -> int:
        """Bytes of all that is kept."""
        spread = 0 if self.spread is None else len(self.spread.data)
        return len(self.before.data) + spread + sum(len(one.file.data) + len(one.view.data) for one in self.samples)


def find(restorer: Restorer, data: bytes, max_pixels: int) -> Found:
    """The faces of a photo and where their face masks are; raises UnmaskError where the photo cannot be read."""
    photo = images.read(data, max_pixels)
    try:
        faces = restorer.locate(photo).faces
    except NoFaceError:
        faces = []
    view = _view_size(photo.width, photo.height)
    shown = _resampled(photo.pixels, view)
    return Found((photo.width, photo.height), view, _preview(shown, photo), [
        _described(face, (photo.width, photo.height), view) for face in faces
    ])  # fmt: skip


def restore(
    restorer: Restorer,
    data: bytes,
    max_pixels: int,
    region: bytes | None = None,
    face: str | int = "all",
    seed: int = 0,
    samples: int = 1,
) -> Samples:
    """Make ``samples`` guesses at a photo, those that agree best with what is visible first.

    Args:
        region: a gray picture of the photo's proportions, white where the face mask is; None to find it.
        face: as ``Restorer.restore`` takes it.

    Raises:
        UnmaskError: what ``Restorer.restore`` raises, and a region of other proportions than the photo's.
    """
    photo = images.read(data, max_pixels)
    hidden = None if region is None else _region(region, photo, max_pixels)
    located = restorer.locate(photo, face, hidden)
    restorer.fill([located], seed, samples)
    done = restorer.paste(located)
    size = _view_size(photo.width, photo.height)
    facts = [{key: value for key, value in one.facts().items() if key != "region"} for one in done.faces]
    before = _preview(_resampled(photo.pixels, size), photo)
    spread = _preview(_resampled(done.spread_levels, size)) if samples > 1 else None
    made = [_sample(done, photo, size, k if samples > 1 else None) for k in range(samples)]
    return Samples(before, made, spread, facts, done.note, done.summary())


def _sample(done: Restored, photo: images.Photo, size: tuple[int, int], k: int | None) -> Sample:
    """The file of guess ``k``, of the only one where that is None, and a view of (width, height) ``size``."""
    pixels = done.pixels if k is None else done.sample(k)
    file = done.image if k is None else images.encode(photo, pixels, done.note)
    format = photo.format or "PNG"
    encoded = Picture(file, formats.MIMES[format], formats.suffix_of(format)[1:])
    return Sample(encoded, _preview(_resampled(pixels, size), photo, done.note))


def _described(face: RestoredFace, size: tuple[int, int], view: tuple[int, int]) -> dict[str, Any]:
    facts = face.facts()
    region = None
    if face.status == "masked" and face.region is not None and face.matrix is not None:
        to_view = align.compose(_scaling(size, view), align.invert(face.matrix))
        hidden = align.warp(face.region, to_view, (view[1], view[0]), border="constant", filter="linear")
        gray = images.read((hidden.clip(0, 1) * 255).round().astype(np.uint8))
        region = base64.b64encode(images.encode(gray, gray.pixels)).decode("ascii")
    return {**facts, "region": region}


def _region(data: bytes, photo: images.Photo, max_pixels: int) -> NDArray[np.float32]:
    """A region as it was sent, brought to the photo's size: float32 [H,W] in [0,1]."""
    try:
        sent = images.read(data, max_pixels)
    except UnmaskError as error:
        raise UsageError(f"the region: {str(error).removeprefix('the image: ')}") from None
    levels = sent.pixels.astype(np.float32).mean(axis=2) / 255
    if abs(sent.width * photo.height / (sent.height * photo.width) - 1) > RATIO:
        raise UsageError(
            f"the region: is {sent.width}x{sent.height} for a photo of {photo.width}x{photo.height} pixels; "
            "give one of the same proportions"
        )
    return _resampled(levels, (photo.width, photo.height))


def _view_size(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, PREVIEW / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _scaling(size: tuple[int, int], to: tuple[int, int]) -> NDArray[np.float64]:
    """The matrix [2,3] from pixels of a picture of (width, height) to those of the same one at another size."""
    fx, fy = to[0] / size[0], to[1] / size[1]
    return np.array([[fx, 0, (fx - 1) / 2], [0, fy, (fy - 1) / 2]])


def _resampled(pixels: NDArray[Any], to: tuple[int, int]) -> NDArray[Any]:
    """A picture [H,W] or [H,W,3] at (width, height) ``to``."""
    size = pixels.shape[1], pixels.shape[0]
    if size == to:
        return pixels
    return align.warp(pixels, _scaling(size, to), (to[1], to[0]), border="replicate", filter="linear")


def _preview(
    pixels: NDArray[np.uint8], photo: images.Photo | None = None, note: dict[str, Any] | None = None
) -> Picture:
    """A JPEG to be shown, in the colors of ``photo``."""
    made = images.read(pixels) if photo is None else images.in_colors_of(photo, pixels)
    return Picture(images.encode(made, made.pixels, note, format="JPEG"), "image/jpeg", "jpg")
