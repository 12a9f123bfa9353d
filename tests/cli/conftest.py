"""A command line whose models are stand-ins: one face in the middle of every photo that is not black."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from unmask.cli import main
from unmask.faces import align
from unmask.restore.restorer import Restorer

SIZE = 64


class Detector:
    """One face in the middle of a photo; none in a black one."""

    def detect(self, image: np.ndarray, max_faces: int | None = None) -> list[Any]:
        """The face, if any."""
        if not image.any():
            return []
        side = min(image.shape[:2]) * 0.8
        corner = (np.array([image.shape[1], image.shape[0]]) - side) / 2
        points = align.template("ffhq", SIZE) * (side / SIZE) + corner
        return [SimpleNamespace(bbox=np.array([*corner, *(corner + side)]), kps=points, det_score=0.9)]


class Segmenter:
    """The lower half is masked, except in a white crop."""

    def predict(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Region and garment score."""
        worn = (crops.mean((1, 2, 3)) < 0.95).astype(np.float32)
        region = np.zeros((len(crops), 1, SIZE, SIZE), np.float32)
        region[:, :, SIZE // 2 :] = 1
        return region * worn[:, None, None, None], worn


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Put stand-ins in place of the pack; the list collects what from_pretrained was asked for."""
    asked: list[dict[str, Any]] = []

    def from_pretrained(name_or_path: Any = None, **options: Any) -> Restorer:
        asked.append({"weights": name_or_path, **options})
        return Restorer(lambda x, region: x * 0 + 1, Segmenter(), Detector(), size=SIZE)

    monkeypatch.setattr(Restorer, "from_pretrained", staticmethod(from_pretrained))
    monkeypatch.setattr("unmask.faces.detect.load_detector", lambda name_or_path="embedded": Detector())
    return asked


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line: (exit code, stdout, stderr)."""

    def call(*argv: object) -> tuple[int, str, str]:
        code = main([str(arg) for arg in argv])
        caught = capsys.readouterr()
        return code, caught.out, caught.err

    return call


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Save a photo of one level or color under a name below the test's folder; its path."""

    def save(name: str, level: int | tuple[int, int, int] = 120) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        grain = np.random.default_rng(0).integers(0, 5, (90, 120, 3), dtype=np.uint8) if 0 < np.mean(level) < 250 else 0
        Image.fromarray((np.full((90, 120, 3), level) + grain).astype(np.uint8)).save(path)
        return path

    return save
