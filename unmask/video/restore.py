"""A clip restored frame by frame in parts, so that an interrupted run goes on where it was."""

from __future__ import annotations

import json
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from .. import __version__, files
from ..batch.jobs import make_room
from ..errors import NoMaskError, UnmaskError
from ..restore import STATEMENT, Restorer
from ..restore.results import RestoredFace
from . import clip
from .temporal import Shot, Steady
from .temporal import restored as restored_faces

PART_FRAMES = 120
EVERY = 8  # frames for each in which faces are looked for; PART_FRAMES holds whole numbers of them
AHEAD = 3  # frames that are in work at once, each in another step


@dataclass(frozen=True)
class Shown:
    """What came of a clip: its frames, those of them with a restored face, and those an earlier run had done."""

    frames: int
    restored: int
    before: int


def restore_clip(
    restorer: Restorer,
    source: Path,
    out: Path,
    *,
    face: str | int = "all",
    seed: int = 0,
    keep: float = 1.0,
    part_frames: int = PART_FRAMES,
    every: int = EVERY,
    progress: Callable[[int], None] = lambda done: None,
) -> Shown:
    """Restore the faces in a clip and write it to ``out``, which must not exist or may be replaced.

    Parts of ``part_frames`` frames lie in a hidden folder beside ``out`` until all are there; a later call for the same
    clip, models and options takes them as they are. At most a few frames are in memory.

    Args:
        keep: how steady the result is, from 0 (each frame for itself) to 1.
        every: faces are looked for in every so many frames, and followed by their motion in between.
        progress: told the number of frames done after each.

    Raises:
        NoMaskError: no frame shows a face with a face mask; nothing is written then.
        UnmaskError: the clip cannot be read or the result not written.
    """
    plan = {
        "sha256": files.sha256(source), "models": restorer.parts, "face": face, "seed": seed, "keep": keep,
        "part_frames": part_frames, "every": every, "suffix": out.suffix.lower(), "version": 3,
    }  # fmt: skip
    make_room(out)
    folder = out.with_name(f".{out.name}.parts")
    _make(folder)
    with files.lock(folder):
        return _restore_clip(restorer, source, out, plan, folder, progress)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise UnmaskError(f"{folder}: cannot be made ({files.reason(error)}); give another -o") from None


def _restore_clip(
    restorer: Restorer, source: Path, out: Path, plan: Mapping[str, Any], folder: Path, progress: Callable[[int], None]
) -> Shown:
    begun = _begun(folder, plan)
    done, restored = sum(one["frames"] for one in begun), sum(one["restored"] for one in begun)
    before = done
    steady = Steady(restorer, plan["face"], plan["seed"], plan["keep"], plan["every"])
    part_frames = plan["part_frames"]
    if begun:
        steady.load(folder / f"{len(begun) - 1:06d}.npz")
    progress(done)
    with closing(clip.frames(source, done)) as frames:
        number = len(begun)
        while part := _part(steady, frames, folder / f"{number:06d}", out.suffix, part_frames, done, progress):
            done, restored, number = done + part["frames"], restored + part["restored"], number + 1
    if not done:
        raise UnmaskError(f"{source}: holds no frames; give a clip")
    if not restored:
        shutil.rmtree(folder)
        raise NoMaskError(f"{source}: no face mask found in any of its {done} frames")
    note = {"statement": STATEMENT, "software": f"unmask {__version__}", "weights": restorer.made_by}
    clip.join([folder / f"{i:06d}{clip.PART}" for i in range(number)], source, out, note)
    shutil.rmtree(folder)
    return Shown(done, restored, before)


def _begun(folder: Path, plan: Mapping[str, Any]) -> list[dict[str, int]]:
    """The whole parts of an earlier run with the same plan, in order; a folder of another plan is emptied."""
    written = folder / "plan.json"
    try:
        same = json.loads(written.read_text(encoding="utf-8")) == json.loads(json.dumps(plan))
    except (OSError, ValueError, RecursionError):
        same = False
    if not same:
        for left in folder.iterdir():
            left.unlink(missing_ok=True)
        files.write(written, json.dumps(plan).encode())
    parts: list[dict[str, int]] = []
    while (fact := folder / f"{len(parts):06d}.json").is_file():  # it is written last
        parts.append(json.loads(fact.read_text(encoding="utf-8")))
    return parts


def _part(
    steady: Steady, frames: Iterator[clip.Frame], stem: Path, suffix: str, most: int, done: int,
    progress: Callable[[int], None],
) -> dict[str, int] | None:  # fmt: skip
    """Restore and write the next part, then its state, then its facts; None where no frame is left."""
    first = next(frames, None)
    if first is None:
        return None
    counts = {"frames": 0, "restored": 0}
    steady.look_anew()
    with closing(clip.PartWriter(stem.with_suffix(clip.PART), suffix)) as writer:
        for faces in _in_steps(steady, chain([first], islice(frames, most - 1)), writer):
            counts["frames"] += 1
            counts["restored"] += restored_faces(faces) > 0
            progress(done + counts["frames"])
    steady.save(stem.with_suffix(".npz"))
    files.write(stem.with_suffix(".json"), json.dumps(counts).encode())
    return counts


def _in_steps(steady: Steady, frames: Iterator[clip.Frame], writer: clip.PartWriter) -> Iterator[list[RestoredFace]]:
    """Restore frames and write them, and give back the faces of each.

    A thread fills and another one pastes and encodes while this one decodes the next frame and looks for its faces.
    """
    with ThreadPoolExecutor(1, "fill") as filling, ThreadPoolExecutor(1, "write") as writing:

        def finish(frame: clip.Frame, shot: Shot, filled: Future[None]) -> list[RestoredFace]:
            filled.result()
            writer.add(replace(frame, pixels=steady.paste(shot)))
            return shot.faces

        ahead: deque[Future[list[RestoredFace]]] = deque()
        for frame in frames:
            shot = steady.see(frame.pixels)
            ahead.append(writing.submit(finish, frame, shot, filling.submit(steady.fill, shot)))
            if len(ahead) >= AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
