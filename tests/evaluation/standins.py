"""Small stand-ins: a recognizer that is a fixed projection, a detector that knows where the face is, drawn faces."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from unmask import recognition
from unmask.faces import align
from unmask.faces.detect import Face


class Projection:
    """Embeds by averaging 8-pixel squares and a random matrix."""

    template = "arcface"
    size = (112, 112)
    differentiable = True

    def __init__(self, name: str = "projection"):
        self.name = name
        self.fingerprint = name
        self.calls = 0
        self.matrix = np.random.default_rng(5).standard_normal((3 * 14 * 14, 16), np.float32)

    def embed(self, faces: np.ndarray) -> np.ndarray:
        self.calls += len(faces)
        pooled = faces.reshape(len(faces), 3, 14, 8, 14, 8).mean((3, 5)).reshape(len(faces), -1)
        return recognition.unit((pooled - pooled.mean(1, keepdims=True)) @ self.matrix)


class Fixed:
    """Finds one face at the ffhq template's points, or none in a black picture."""

    name = "fixed"

    def detect(self, image: np.ndarray, max_faces: int | None = None) -> list[Face]:
        if image.max() < 10:
            return []
        size = image.shape[0]
        points = align.template("ffhq", size)
        return [Face(np.array([0.2, 0.15, 0.8, 0.9]) * size, points, 0.9)]


def face(person: int, picture: int = 0, size: int = 128) -> np.ndarray:
    """A drawn face: skin, hair, eyes and mouth whose colors and places belong to the person."""
    rng = np.random.default_rng(person)
    image = np.full((size, size, 3), rng.integers(40, 220, 3), np.uint8)
    skin = tuple(int(c) for c in (rng.integers(170, 235), rng.integers(130, 180), rng.integers(100, 150)))
    middle, s = (size // 2, int(size * 0.58)), size / 128
    cv2.ellipse(image, middle, (int(42 * s), int(54 * s)), 0, 0, 360, skin, -1)
    cv2.ellipse(
        image,
        (size // 2, int(30 * s)),
        (int(44 * s), int(22 * s)),
        0,
        0,
        360,
        [int(c) for c in rng.integers(0, 120, 3)],
        -1,
    )
    for x, y in align.template("ffhq", size)[:2]:
        cv2.circle(image, (round(x), round(y)), int(rng.integers(4, 8) * s), (255, 255, 255), -1)
        cv2.circle(image, (round(x), round(y)), int(3 * s), [int(c) for c in rng.integers(0, 200, 3)], -1)
    left, right = align.template("ffhq", size)[3:]
    y = int((left[1] + right[1]) / 2)
    cv2.line(image, (round(left[0]), y), (round(right[0]), y), (150, 40, 50), int(rng.integers(2, 7) * s))
    image = cv2.GaussianBlur(image, (0, 0), 1.0)
    noise = np.random.default_rng([person, picture]).normal(0, 6, image.shape)
    light = 1 + 0.1 * np.sin(picture + person)
    return (image * light + noise).clip(0, 255).astype(np.uint8)


class Distances(torch.nn.Module):
    """In place of LPIPS: the mean absolute difference, over all pixels or as a map."""

    def __init__(self) -> None:
        super().__init__()
        self.spatial = False
        self.register_buffer("scale", torch.ones(1))

    def forward(self, y_hat: Tensor, y: Tensor) -> Tensor:
        local = (y_hat - y).abs().mean(1, keepdim=True) * self.scale
        return local if self.spatial else local.mean((2, 3), keepdim=True)
