"""dlib's recognizer behind the common interface; the real one where it is installed."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unmask import images, recognition
from unmask.errors import UnmaskError
from unmask.faces import align
from unmask.faces.detect import load_detector

SAMPLES = Path(__file__).parents[2] / "samples"
THERE = all(importlib.util.find_spec(name) for name in ("dlib", "face_recognition_models"))


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A dlib whose descriptor of a picture is its mean color, the rest zeros; what it was given."""
    given: list[Any] = []

    class Network:
        def __init__(self, path: str) -> None:
            assert Path(path).name.endswith(".dat")

        def compute_face_descriptor(self, pictures: list[np.ndarray]) -> list[list[float]]:
            given.extend(pictures)
            return [[*map(float, one.mean((0, 1))), *[0.0] * 125] for one in pictures]

    folder = tmp_path / "face_recognition_models"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "models" / "dlib_face_recognition_resnet_model_v1.dat").write_bytes(b"weights")
    monkeypatch.syspath_prepend(str(tmp_path))
    module = types.ModuleType("dlib")
    module.face_recognition_model_v1 = Network  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dlib", module)
    return given


def test_faces_reach_it_as_pictures_and_come_back_at_unit_length(stand_in: list[Any]) -> None:
    judge = recognition.load("dlib")
    faces = np.zeros((2, 3, 150, 150), np.float32)
    faces[0, 0], faces[1, 2] = 1, -1
    found = judge.embed(faces)
    assert found.shape == (2, 128) and found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert stand_in[0].dtype == np.uint8 and stand_in[0].shape == (150, 150, 3)
    assert stand_in[0][0, 0].tolist() == [255, 128, 128] and stand_in[1][0, 0].tolist() == [128, 128, 0]
    assert judge.embed(faces[:0]).shape == (0, 128)
    assert isinstance(judge, recognition.Recognizer) and len(judge.fingerprint) == 64
    with pytest.raises(ValueError, match="takes faces"):
        judge.embed(np.zeros((1, 3, 112, 112), np.float32))


def test_without_its_packages_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(UnmaskError, match=r"unmask\[dlib\]"):
        recognition.load("dlib")


@pytest.mark.skipif(not THERE, reason="dlib and its weights are not installed")
def test_a_face_and_its_mirror_picture_are_one_person() -> None:
    judge, detector = recognition.load("dlib"), load_detector()
    pixels = images.read(SAMPLES / "astronaut.png").pixels
    faces = []
    for one in (pixels, pixels[:, ::-1].copy()):
        kps = detector.detect(one)[0].kps
        faces.append(align.crop_face(one, kps, judge.template, judge.size)[0])
    a, b = judge.embed(images.to_float(faces))
    assert float(a @ b) > 0.95
