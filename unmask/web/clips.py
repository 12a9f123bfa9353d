"""Clips on the page: one at a time in the line of all others, through the video room, with its progress."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .. import formats
from ..errors import UnmaskError, UsageError
from ..video import clip, restore
from .jobs import Steps
from .schemas import Limits
from .work import Picture

if TYPE_CHECKING:
    from ..restore.restorer import Restorer


@dataclass(frozen=True)
class Clip:
    """A restored clip and what there is to say of it."""

    file: Picture
    summary: str

    @property
    def nbytes(self) -> int:
        """Bytes of all that is kept."""
        return len(self.file.data)


def suffix_of(name: str) -> str:
    """The suffix of a clip by the name of its upload; UsageError for other files."""
    suffix = Path(name).suffix.lower()
    if suffix not in formats.CLIP_MIMES:
        raise UsageError(f"{name or 'the clip'}: not a clip; give one of {', '.join(formats.CLIP_MIMES)}")
    return suffix


def restore_clip(
    restorer: Restorer, data: bytes, suffix: str, limits: Limits, steps: Steps, face: str | int = "all", seed: int = 0
) -> Clip:
    """Restore a clip, given by its bytes; it lies in a temporary folder meanwhile.

    Raises:
        UsageError: it is longer or larger than ``limits`` say.
        UnmaskError: what the video room says of it.
        GoneError: nobody wants it any more (``steps``).
    """
    with tempfile.TemporaryDirectory(prefix="unmask-clip-") as folder:
        source, out = Path(folder) / f"clip{suffix}", Path(folder) / f"restored{suffix}"
        source.write_bytes(data)
        del data
        try:
            summary = _restore(restorer, source, out, limits, steps, face, seed)
        except UnmaskError as error:  # who sent it does not know the folder
            raise type(error)(str(error).replace(str(source), "the clip")) from None
        return Clip(Picture(out.read_bytes(), formats.CLIP_MIMES[suffix], suffix[1:]), summary)


def _restore(
    restorer: Restorer, source: Path, out: Path, limits: Limits, steps: Steps, face: str | int, seed: int
) -> str:
    """Restore a clip in a file; what there is to say of it."""
    _check(source, limits)
    steps.total = clip.length(source)

    def told(done: int) -> None:
        _short(done, limits)
        steps.tell(done)

    shown = restore.restore_clip(restorer, source, out, face=face, seed=seed, progress=told)
    lost = "".join(f"; {words}" for words in clip.losses(source))
    return f"{shown.restored} of {shown.frames} frames restored{lost}"


def _check(source: Path, limits: Limits) -> None:
    width, height = clip.size(source)
    if width * height > limits.max_clip_pixels:
        raise UsageError(f"the clip: {width}x{height} is more than {limits.max_clip_pixels / 1e6:g} megapixels a frame")
    _short(clip.length(source) or 0, limits)


def _short(frames: int, limits: Limits) -> None:
    if frames > limits.max_frames:
        raise UsageError(
            f"the clip: has more than {limits.max_frames} frames; cut it, or use `unmask restore` on the command line"
        )
