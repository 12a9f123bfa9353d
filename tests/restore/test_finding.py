"""The second look in the restorer: what it keeps, what it says of faces, and how both nets judge a face mask."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.restore.test_restorer import ONE, SIZE, Detector, Segmenter, face_at, photo, red
from unmask.errors import NoFaceError, NoMaskError
from unmask.faces.landmarks import Landmarks
from unmask.restore import Restorer, finding


class StandInLandmarker:
    """Says of every candidate what it was told to."""

    def __init__(self, face: float, garment: float = 0.9) -> None:
        self.said = Landmarks(face, ONE.kps + 2, 30.0, garment)
        self.asked: list[float] = []

    def verify(self, pixels: Any, faces: Any, min_score: float) -> list[Any]:
        self.asked.append(min_score)
        kept = self.said.face >= min_score
        made = [SimpleNamespace(bbox=f.bbox, kps=self.said.kps, det_score=f.det_score) for f in faces]
        return [(face, self.said) for face in made if kept]


def restorer(landmarker: StandInLandmarker, **more: Any) -> Restorer:
    return Restorer(red, Segmenter(), Detector(ONE), size=SIZE, landmarker=landmarker, **more)  # type: ignore[arg-type]


def test_what_the_second_look_calls_no_face_is_not_painted() -> None:
    with pytest.raises(NoFaceError, match="no face found"):
        restorer(StandInLandmarker(0.3)).restore(photo())
    done = restorer(landmarker := StandInLandmarker(0.3), min_score=0.2).restore(photo())
    assert done.faces[0].status == "restored" and landmarker.asked == [0.2]


def test_its_points_align_the_face_and_its_words_are_kept() -> None:
    face = restorer(StandInLandmarker(0.97)).restore(photo()).faces[0]
    np.testing.assert_array_equal(
        face.kps, np.round(16 * (ONE.kps.astype(np.float64) + 2)) / 16
    )  # the finest step of a crop
    assert (face.face_score, face.roll, face.mask_score) == (0.97, 30.0, 0.9)
    facts = face.facts()
    assert facts["face_score"] == 0.97 and facts["enlarged"] == pytest.approx(100 / SIZE, rel=0.01)


def test_a_face_that_it_is_sure_is_bare_stays_alone() -> None:
    with pytest.raises(NoMaskError):
        restorer(StandInLandmarker(0.97, garment=0.01)).restore(photo())
    region = np.zeros((200, 300), bool)
    region[95:130, 120:180] = True  # a person is believed
    assert restorer(StandInLandmarker(0.97, garment=0.01)).restore(photo(), region=region).faces[0].status == "restored"
    faces: list[Any] = [SimpleNamespace(mask_score=score) for score in (None, 0.01)]
    scores = finding.both_scores(np.float32([0.8, 0.8]), faces)
    assert scores.tolist() == pytest.approx([0.8, 0.0])


def test_a_face_much_larger_than_the_model_paints_is_warned_of() -> None:
    def done(size: float) -> Any:
        image = np.resize(photo(), (600, 600, 3))
        return Restorer(red, Segmenter(), Detector(face_at(20, 20, size)), size=SIZE).restore(image)

    assert done(100).warning is None
    assert done(500).warning == f"face 500 px, model {SIZE} px: it will look soft"
