"""The second look: where it looks, what it takes points and angles to be, and how it goes on from what it found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from unmask import weights
from unmask.errors import UnmaskError
from unmask.faces import align, landmarks
from unmask.faces.detect import Face
from unmask.faces.landmarks import Landmarker
from unmask.models.landmarker import Landmarker as Network

SMALL = {"size": 32, "widths": [16, 16], "depths": [0, 0], "squeeze": 4, "hidden": 8}


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    return weights.save(tmp_path / "l.safetensors", "landmarker", SMALL, Network(**SMALL).state_dict())


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    """Points turned clockwise (as seen, y down) about their middle."""
    angle, middle = np.radians(degrees), points.mean(0)
    x, y = (points - middle).T
    return np.stack([x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)], 1) + middle


def test_the_frame_holds_the_aligned_face_and_a_margin() -> None:
    place = landmarks.frame(96)
    eyes = align.template("ffhq", 128)[:2]
    assert np.ptp(place[:2, 0]) == pytest.approx(np.ptp(eyes[:, 0]) * 96 / 128 / landmarks.MARGIN)
    assert place.min() > 48 * (1 - 1 / landmarks.MARGIN) and np.abs(place[:, 0].mean() - 48) < 1


def test_points_go_to_pixels_and_back() -> None:
    points = np.random.default_rng(0).uniform(0, 95, (5, 2))
    np.testing.assert_allclose(landmarks.to_pixels(landmarks.from_pixels(points, 96), 96), points)
    np.testing.assert_allclose(landmarks.to_pixels(np.array([-1, 0, 1]), 96), [-0.5, 47.5, 95.5])


@pytest.mark.parametrize("angle", [-170.0, -90.0, 0.0, 33.0, 179.0])
def test_degrees_are_clockwise(angle: float) -> None:
    points = turned(align.template("ffhq", 128), angle) + 40
    assert landmarks.degrees(align.similarity(points, landmarks.frame(96))) == pytest.approx(angle, abs=1e-6)


def test_shift_is_the_mean_way_of_the_crops_pixels() -> None:
    points = align.template("ffhq", 400) + 7
    assert landmarks.shift(points, points) == pytest.approx(0, abs=1e-9)
    assert landmarks.shift(points + np.array([3.0, 4.0]), points) == pytest.approx(5 * 128 / 400)
    ys, xs = np.mgrid[:128, :128]
    middle = align.template("ffhq", 128).mean(0)  # a change of size by 1.1 leaves the points' middle where it was
    wanted = np.hypot(xs - middle[0], ys - middle[1]).mean() * (1 - 1 / 1.1)
    assert landmarks.shift((points - points.mean(0)) * 1.1 + points.mean(0), points) == pytest.approx(wanted, rel=1e-6)


class Knowing:
    """Sees a white dot: each look moves the points half the way to it; ``face`` is how bright the middle is."""

    size = 64

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __call__(self, x: np.ndarray) -> list[np.ndarray]:
        self.seen.append(len(x))
        n, places = len(x), []
        for one in x[:, 0]:
            y, x_ = np.unravel_index(int(one.argmax()), one.shape)
            middle = landmarks.frame(64).mean(0)
            places.append(landmarks.from_pixels(landmarks.frame(64) + (np.array([x_, y]) - middle) / 2, 64))
        bright = 1 / (1 + np.exp(-9 * x.max((1, 2, 3))))
        return [bright, np.zeros((n, 2)), np.array(places), np.full(n, 0.5)]


def knowing(stored: Path) -> tuple[Landmarker, Knowing]:
    landmarker, network = Landmarker(stored), Knowing()
    landmarker.network, landmarker.size = network, network.size
    return landmarker, network


def test_each_round_looks_where_the_one_before_found_points(stored: Path) -> None:
    landmarker, network = knowing(stored)
    true = align.template("ffhq", 80) + np.array([100.0, 60.0])
    x, y = true.mean(0)
    ys, xs = np.mgrid[:200, :300]
    glow = 255 * np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / 200)
    photo = glow.round().astype(np.uint8)[..., None].repeat(3, 2)
    first = turned(true, 40) + np.array([12.0, -9.0])
    ways = []
    for rounds in (1, 2, 3):
        (result,) = landmarker.predict(photo, first[None], rounds)
        ways.append(np.linalg.norm(result.kps.mean(0) - [x, y]))
        assert result.face > 0.9 and result.roll == pytest.approx(40, abs=1)
    assert ways == pytest.approx([15 / 2, 15 / 4, 15 / 8], abs=1)
    views = len(landmarks.VIEWS)
    assert network.seen == [views, 1, views, 1, 1, views]


def test_what_is_surely_no_face_is_not_looked_at_twice(stored: Path) -> None:
    landmarker, network = knowing(stored)
    photo, there = np.zeros((200, 400, 3), np.uint8), align.template("ffhq", 80)
    photo[100:, 300:] = 255
    results = landmarker.predict(photo, there + np.array([[[20.0, 20.0]], [[310.0, 110.0]]]))
    assert [result.face > 0.5 for result in results] == [False, True]
    assert network.seen == [1, 1, 1, len(landmarks.VIEWS)]


def test_points_on_one_spot_and_no_candidates_are_no_errors(stored: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 255, (50, 60, 3), dtype=np.uint8)
    assert Landmarker(stored).predict(photo, np.zeros((0, 5, 2))) == []
    (result,) = Landmarker(stored).predict(photo, np.full((1, 5, 2), 9.0))
    assert 0 <= result.face <= 1 and 0 <= result.garment <= 1 and np.isfinite(result.kps).all()


def test_another_kind_of_weights_is_refused(tmp_path: Path) -> None:
    other = weights.save(tmp_path / "d.safetensors", "detector", {}, {"a": torch.zeros(1)})
    with pytest.raises(UnmaskError, match="holds a detector"):
        Landmarker(other)


def test_only_what_looks_like_a_face_is_kept_and_no_face_twice(stored: Path, monkeypatch) -> None:
    landmarker = Landmarker(stored)
    here, there = (align.template("ffhq", 80) + np.array(at) for at in ([20.0, 20.0], [220.0, 40.0]))
    box = np.array([36.0, 38.0, 84.0, 94.0])
    faces = [
        Face(box, here, 0.9), Face(box + 3, here + 3, 0.8), Face(box, here, 0.7), Face(box, there, 0.6),
        Face(box, there * 2, 0.5),
    ]  # fmt: skip
    scores, found = [0.6, 0.9, 0.8, 0.7, 0.4], [here, here + 2, here, there, there * 2]
    results = [landmarks.Landmarks(s, f, 0.0, 0.0) for s, f in zip(scores, found, strict=True)]
    monkeypatch.setattr(landmarker, "predict", lambda pixels, kps: results)
    kept = landmarker.verify(np.zeros((9, 9, 3), np.uint8), faces)
    assert {(face.det_score, result.face) for face, result in kept} == {(0.8, 0.9), (0.6, 0.7)}
    assert kept[0][0].area >= kept[1][0].area
    by_score = {face.det_score: face for face, _ in kept}
    np.testing.assert_array_equal(by_score[0.8].bbox, box + 3)  # the detector's own
    made = by_score[0.6].bbox  # the detector's was elsewhere
    assert made[0] < there[:, 0].min() < there[:, 0].max() < made[2]
    assert made[1] < there[:, 1].min() < there[:, 1].max() < made[3]
    np.testing.assert_allclose(by_score[0.8].kps, here + 2.5)  # the mean of the detector's points and the look's
    assert len(landmarker.verify(np.zeros((9, 9, 3), np.uint8), faces, min_score=0.3)) == 3


@pytest.mark.parametrize("angle", [0.0, 10.0, 90.0, 180.0])
def test_the_detectors_points_count_where_it_saw_the_face_lie_as_it_does(
    angle: float, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    landmarker, true = Landmarker(stored), align.template("ffhq", 80) + 20
    found = landmarks.Landmarks(0.9, true, 0.0, 0.9)
    monkeypatch.setattr(landmarker, "predict", lambda pixels, kps: [found])
    face = Face(np.array([36.0, 38.0, 84.0, 94.0]), turned(true, angle), 0.9)
    ((kept, _),) = landmarker.verify(np.zeros((120, 120, 3), np.uint8), [face])
    np.testing.assert_allclose(kept.kps, (face.kps + true) / 2 if angle < 45 else true)


def test_two_alignments_of_one_face_are_the_same_face() -> None:
    one = align.template("ffhq", 80)
    assert landmarks.same(one, one + 5) and landmarks.same(one, (one - one.mean(0)) * 1.5 + one.mean(0))
    assert not landmarks.same(one, one + 40)
