"""Frames of a clip, each restored in the light of those before it, so that the mouth does not flicker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..engines.unmaskers import Inverter, Skips
from ..errors import NoFaceError
from ..faces.blend import Fill, Floats
from ..restore.located import Located
from ..restore.restorer import Restorer
from ..restore.results import RestoredFace
from . import motion

KEEP = 0.8  # share of the past in codes and features
KEEP_REGION = 0.6  # and in regions and garment scores
KEEP_POINTS = 0.7  # and in points that hardly move
MOVED = 0.06  # of the distance between the eyes: points that move so far in a frame are followed at once
NEAR = 0.6  # of the face's width: how far a face may go from one frame to the next
HOLD = 6  # frames for which a face that is not found stays where it was


@dataclass
class Shot:
    """A frame uint8 [H,W,3] between the steps of :class:`Steady`, its faces, and what is to be filled, if anything."""

    pixels: NDArray[np.uint8]
    faces: list[RestoredFace]
    located: Located | None = None
    tracks: Sequence[Track] = ()


@dataclass
class Track:
    """A face over time: ``kps`` [5,2] and ``box`` in the photo, and what is kept of its frames.

    ``hidden`` [1,S,S] and ``score`` are the region and the garment score, ``mask`` is what the second look says of a
    face mask, ``ws`` [L,D] and ``skips`` {r: [C,r,r]} are the codes.
    """

    kps: NDArray[np.float64]
    box: NDArray[np.float64]
    missed: int = 0
    score: float | None = None
    hidden: Floats | None = None
    ws: Floats | None = None
    skips: Skips | None = None
    mask: float | None = None


class Steady:
    """Restores frames in order; what it keeps of them (see :class:`Track`) can be saved and loaded.

    Args:
        restorer: restores single photos; its model should be an :class:`unmask.engines.Inverter`,
            whose codes are kept steady. With another model only points and regions are.
        face, seed: as :meth:`unmask.restore.Restorer.restore` takes them.
        keep: scales the shares of the past; 0 restores each frame for itself.
        every: faces are looked for in every so many frames, and followed by their motion in between.
    """

    def __init__(
        self, restorer: Restorer, face: str | int = "all", seed: int = 0, keep: float = 1.0, every: int = 1
    ) -> None:
        self.restorer, self.face, self.seed, self.keep, self.every = restorer, face, seed, keep, every
        self.tracks: list[Track] = []
        self._since = 0  # frames since faces were looked for
        self._gray: NDArray[np.uint8] | None = None

    def frame(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], list[RestoredFace]]:
        """The next frame, uint8 [H,W,3], restored where there is a face mask, and its faces."""
        shot = self.see(pixels)
        self.fill(shot)
        return self.paste(shot), shot.faces

    def see(self, pixels: NDArray[np.uint8]) -> Shot:
        """The next frame, uint8 [H,W,3], with its faces and their regions: the first step.

        Each step wants the frames in order, one at a time; a thread may do one of them for later frames while another
        does the next one.
        """
        found = self._found(pixels)
        chosen = [one for one in found if one.status == "found"]
        tracks = list(self._followed(chosen))
        if not tracks:
            return Shot(pixels, found)
        faces = [RestoredFace(track.box, track.kps, 0.0, "found", mask_score=track.mask) for track in tracks]
        located = self.restorer.locate(pixels, faces=faces)
        located.region, located.scores = self._steady_regions(tracks, located)
        located.decide()
        return Shot(pixels, faces, None if located.error is not None else located, tracks)

    def fill(self, shot: Shot) -> None:
        """The second step: unmask the faces."""
        if shot.located is not None:
            model = self._model(shot.tracks, shot.located)
            self.restorer.fill([shot.located], self.seed, model=model, with_drift=False)

    def paste(self, shot: Shot) -> NDArray[np.uint8]:
        """The third step: the frame restored, or as it was."""
        return shot.pixels if shot.located is None else self.restorer.paste(shot.located).pixels

    def look_anew(self) -> None:
        """Look for faces in the next frame, whatever was followed before: so does a run that goes on from a state."""
        self._gray = None

    def _found(self, pixels: NDArray[np.uint8]) -> list[RestoredFace]:
        """The faces of the next frame: looked for, or followed from the last one where that goes well."""
        before, self._gray = self._gray, None
        if self.every > 1:
            self._gray = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
        self._since += 1
        live = [track for track in self.tracks if not track.missed]
        if before is not None and self._gray is not None and self._since < self.every and len(live) == len(self.tracks):
            moved = [motion.follow(before, self._gray, track.kps, track.box) for track in live]
            faces = [
                RestoredFace(there[1], there[0], 0.0, "found", mask_score=track.mask)
                for track, there in zip(live, moved, strict=True) if there is not None
            ]  # fmt: skip
            if len(faces) == len(live) > 0:
                return faces
        self._since = 0
        try:
            return self.restorer.find(pixels, self.face, "the frame")
        except NoFaceError:
            return []

    def _followed(self, faces: Sequence[RestoredFace]) -> list[Track]:
        """The tracks to restore in this frame: those of ``faces``, moved, and those that are lost for a moment."""
        left = list(self.tracks)
        for one in faces:
            middle, width = (one.bbox[:2] + one.bbox[2:4]) / 2, float(one.bbox[2] - one.bbox[0])
            away = [float(np.hypot(*((t.box[:2] + t.box[2:4]) / 2 - middle))) for t in left]
            nearest = int(np.argmin(away)) if away else -1
            if nearest < 0 or away[nearest] > NEAR * width:
                self.tracks.append(Track(one.kps.copy(), one.bbox[:4].copy(), mask=one.mask_score))
            else:
                self._move(left.pop(nearest), one)
        for track in left:
            track.missed += 1
        self.tracks = [track for track in self.tracks if track.missed <= (HOLD if self.keep else 0)]
        return self.tracks

    def _move(self, track: Track, one: RestoredFace) -> None:
        eyes = max(float(np.hypot(*(one.kps[1] - one.kps[0]))), 1.0)
        moved = float(np.hypot(*(one.kps - track.kps).T).mean()) / eyes
        keep = self.keep * KEEP_POINTS * max(0.0, 1 - moved / MOVED)
        track.kps = keep * track.kps + (1 - keep) * one.kps
        track.box, track.missed, track.mask = one.bbox[:4].copy(), 0, one.mask_score

    def _steady_regions(self, tracks: Sequence[Track], located: Located) -> tuple[Floats, Floats]:
        """Steady regions [N,1,S,S], which hide all that is hidden now, and garment scores [N]."""
        keep = self.keep * KEEP_REGION
        for track, region, score in zip(tracks, located.region, located.scores.tolist(), strict=True):
            if track.hidden is None or track.score is None:
                track.hidden, track.score = region, score
            else:
                past = keep * track.hidden + (1 - keep) * region
                track.hidden = np.where(region > 0.5, np.maximum(past, region), past)
                track.score = keep * track.score + (1 - keep) * score
        seen = [track.hidden for track in tracks if track.hidden is not None]
        return np.stack(seen), np.array([track.score or 0.0 for track in tracks], np.float32)

    def _model(self, tracks: Sequence[Track], located: Located) -> Fill | None:
        """A model whose rows are the masked faces of ``located``, in order, and whose codes remember."""
        inverter = self.restorer.model
        if not isinstance(inverter, Inverter) or not self.keep:
            return None

        def rows() -> Iterator[Track]:
            yield from (tracks[i] for i in located.masked)

        left = rows()

        def fill(x: Floats, region: Floats) -> Floats:
            return steadied(inverter, x, region, [next(left) for _ in x], self.keep * KEEP)

        return fill

    def save(self, path: Path) -> None:
        """Write the tracks to an ``.npz`` file."""
        arrays: dict[str, Any] = {"count": np.array(len(self.tracks))}
        for i, track in enumerate(self.tracks):
            arrays |= {f"{i}.kps": track.kps, f"{i}.box": track.box, f"{i}.missed": np.array(track.missed)}
            if track.mask is not None:
                arrays[f"{i}.mask"] = np.array(track.mask)
            if track.hidden is not None:
                arrays |= {f"{i}.hidden": track.hidden, f"{i}.score": np.array(track.score)}
            if track.ws is not None and track.skips is not None:
                arrays |= {f"{i}.ws": track.ws}
                arrays |= {f"{i}.skip{r}": skip for r, skip in track.skips.items()}
        with path.open("wb") as stream:
            np.savez(stream, **arrays)

    def load(self, path: Path) -> None:
        """Read the tracks that :meth:`save` wrote."""
        with np.load(path) as stored:
            arrays = dict(stored)
        self.tracks = []
        for i in range(int(arrays["count"])):
            track = Track(arrays[f"{i}.kps"], arrays[f"{i}.box"], int(arrays[f"{i}.missed"]))
            track.mask = float(arrays[f"{i}.mask"]) if f"{i}.mask" in arrays else None
            if f"{i}.hidden" in arrays:
                track.hidden, track.score = arrays[f"{i}.hidden"], float(arrays[f"{i}.score"])
            if f"{i}.ws" in arrays:
                skip = f"{i}.skip"
                track.ws = arrays[f"{i}.ws"]
                track.skips = {
                    int(key.removeprefix(skip)): value
                    for key, value in arrays.items() if key.startswith(skip)
                }  # fmt: skip
            self.tracks.append(track)


def steadied(fill: Inverter, x: Floats, region: Floats, tracks: Sequence[Track], keep: float) -> Floats:
    """What ``fill`` makes of crops [N,3,S,S] by codes that are ``keep`` parts past and the rest now; [N,3,S,S].

    The codes are written back into ``tracks``, one for each crop; a new one starts with its own.
    """
    ws, skips = fill.codes(x, region)
    for i, track in enumerate(tracks):
        old_ws, old = track.ws, track.skips
        track.ws = ws[i] if old_ws is None else keep * old_ws + (1 - keep) * ws[i]
        track.skips = {r: s[i] if old is None else keep * old[r] + (1 - keep) * s[i] for r, s in skips.items()}
    kept = {r: np.stack([track.skips[r] for track in tracks if track.skips is not None]) for r in skips}
    return fill.synthesis(np.stack([track.ws for track in tracks if track.ws is not None]), kept)


def restored(faces: Sequence[RestoredFace]) -> int:
    """How many of a frame's faces were restored."""
    return sum(face.status == "restored" for face in faces)
