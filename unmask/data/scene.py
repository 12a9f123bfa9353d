"""A picture with its faces, as the detector learns from it: which are faces, to be ignored, or background."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..faces import align
from .boxes import FRAME

MAX_FACES = 12
LEAST_SIZE = 9.0  # smaller faces are neither faces nor background
BEYOND = 1.25  # of the scene's side: a part of a face larger than this is background
TURNED, INVERTED = 80.0, 110.0  # degrees: from the one on a face is to be ignored, from the other on it is background
TELLING = 24.0  # pixels: on smaller faces nobody sees whether they are upside down


@dataclass(frozen=True)
class Scenes:
    """Pictures with their faces.

    ``images`` uint8 [N,S,S,3]; ``boxes`` float32 [N,M,4]; ``points`` [N,M,5,2]; ``state`` uint8 [N,M]: 0 nothing, 1
    face, 2 face whose points are not trusted, 3 to be ignored.
    """

    images: np.ndarray
    boxes: np.ndarray
    points: np.ndarray
    state: np.ndarray

    def __len__(self) -> int:
        return len(self.images)


@dataclass
class Scene:
    """One scene while it is made."""

    pixels: np.ndarray
    boxes: list[np.ndarray] = field(default_factory=list)
    points: list[np.ndarray] = field(default_factory=list)
    state: list[int] = field(default_factory=list)

    def add(self, box: np.ndarray, points: np.ndarray, sure: bool = True, trusted: bool = True) -> None:
        """Add a face if a good part of it can be seen, it fits into the scene and is not upside down.

        What is doubtful, hardly seen or lies on its side is to be ignored.
        """
        side = self.pixels.shape[0]
        seen = np.clip(np.minimum(box[2:], side) - np.maximum(box[:2], 0), 0, None).prod()
        share = seen / max(float((box[2:] - box[:2]).prod()), 1e-6)
        size = np.sqrt((box[2:] - box[:2]).prod())
        turn = abs(roll(points))
        if share <= 0 or len(self.boxes) >= MAX_FACES:
            return
        if (size > BEYOND * side and share < 0.5) or (turn > INVERTED and size > TELLING):
            return
        ignored = size < LEAST_SIZE or share < 0.5 or turn > TURNED or not sure
        self.boxes.append(box)
        self.points.append(points)
        self.state.append(3 if ignored else 1 if trusted else 2)


def roll(points: np.ndarray) -> float:
    """By how many degrees a face with these points [5,2] is turned in the picture: 0 upright, 90 clockwise."""
    matrix = align.similarity(FRAME, points)
    return float(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))
