"""Wide crops for the landmarker: what is true of a crop, and what moves with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training import drawn
from unmask.data import framing, landmark_crops, not_faces
from unmask.data import landmark_material as made
from unmask.data import landmarks as task
from unmask.data.photos import LabelledPhoto
from unmask.faces import align, landmarks

SIZE = 64
POINTS = align.template("ffhq", 128)


def spotted(side: int = 256, at: tuple[float, float] = (60.0, 70.0)) -> tuple[np.ndarray, np.ndarray]:
    """A gray photo with five white spots where the points of its face are; and these points."""
    points = POINTS + at
    ys, xs = np.mgrid[:side, :side]
    spots = np.max([np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / 8) for x, y in points], 0)
    return (60 + 190 * spots).astype(np.uint8)[..., None].repeat(3, 2), points


def material(tmp_path: Path) -> made.Material:
    pixels, points = spotted()
    one, none = points[None], np.zeros((0, 5, 2))
    sure, garment = np.ones(1, bool), np.ones(1, int)
    scene = made.Scene(pixels, one, sure, garment, True, np.stack([points + 3, points + 150]))
    ground = LabelledPhoto("g", pixels, np.zeros((0, 4)), none, np.zeros(0, bool))
    pool = drawn.pool_of_squares(128)
    known = POINTS[None].repeat(len(pool), 0)
    things = made.things([ground], 3, 48, 0)
    return made.Material(pool, known, [scene], [replace(scene, trusted=False)], [ground], things)


def test_a_face_in_the_middle_is_one_and_its_pieces_are_not() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        assert framing.verdict(*framing.relation(POINTS, framing.astray(POINTS, SIZE, rng), SIZE)) == 0
    said = [framing.verdict(*framing.relation(POINTS, framing.jitter(POINTS, SIZE, rng), SIZE)) for _ in range(100)]
    assert np.mean(np.array(said) == 1) > 0.9
    straight = align.similarity(POINTS, landmarks.frame(SIZE))
    assert framing.relation(POINTS, straight, SIZE) == pytest.approx((0, 0), abs=0.01)


def test_aimed_turns_moves_and_grows_as_asked() -> None:
    matrix = framing.aimed(POINTS, SIZE, 70.0, np.array([0.1, -0.05]), 0.3)
    off, grown = framing.relation(POINTS, matrix, SIZE)
    assert (off, grown) == pytest.approx((np.hypot(0.1, 0.05), 0.3), abs=0.01)
    there = align.transform_points(POINTS, matrix)
    assert landmarks.degrees(align.similarity(there, landmarks.frame(SIZE))) == pytest.approx(70, abs=1e-6)


def test_points_and_roll_move_with_the_pixels() -> None:
    rng = np.random.default_rng(1)
    pixels, points = spotted()
    matrices = [framing.aimed(points, SIZE, angle, np.zeros(2), 0.2) for angle in (-160.0, -20.0, 0.0, 100.0)]
    images = np.stack([align.warp(pixels, m, SIZE, filter="linear") for m in matrices])
    there = np.stack([align.transform_points(points, m) for m in matrices]).astype(np.float32)
    yes = np.ones(4, np.int8)
    crops = task.Crops(images, there, yes, yes, yes.astype(bool), yes.astype(bool))
    for _ in range(5):
        batch = task.varied(crops, np.arange(4), rng, quarter=0.7)
        for x, found, roll in zip(batch.x, batch.points.numpy(), batch.roll.numpy(), strict=True):
            at = landmarks.to_pixels(found, SIZE)
            around = x[0, at[:, 1].round().astype(int), at[:, 0].round().astype(int)]
            assert float(around.min()) > float(x[0].median()) + 0.25
            assert at[0] @ roll < at[1] @ roll and at[3] @ roll < at[4] @ roll  # left is left along the eyes
            assert np.linalg.norm(roll) == pytest.approx(1, abs=1e-5)
            upright = landmarks.degrees(align.similarity(at, landmarks.frame(SIZE)))
            assert np.degrees(np.arctan2(roll[1], roll[0])) == pytest.approx(upright, abs=0.01)


def test_every_kind_of_crop_says_what_is_true_of_it(tmp_path: Path) -> None:
    made_of, rng = material(tmp_path), np.random.default_rng(0)
    kinds = made.Shares.__dataclass_fields__
    names = ["aligned", "photos", "worn", "candidates", "pieces", "empty", "drawn", "misused"]
    assert set(names) < set(kinds)
    for name in names:
        shares = made.Shares(**{n: float(n == name) for n in names}, tinted=0.3)
        crops = [landmark_crops.sample(made_of, shares, SIZE, rng) for _ in range(30)]
        assert all(c.pixels.shape == (SIZE, SIZE, 3) and c.pixels.dtype == np.uint8 for c in crops)
        faces = {c.face for c in crops}
        if name in ("aligned", "photos", "worn"):
            assert np.mean([c.face == 1 and c.points is not None for c in crops]) > 0.8
            assert all(c.trusted == (name != "worn") for c in crops)
        else:  # the candidates hold one that is no face, and that one is taken
            assert faces == {0} and all(c.garment == 0 for c in crops), name


def test_candidates_are_mined_once_and_come_in_the_photos_pixels(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path))
    pixels, points = spotted()

    class Centers:
        name = "centers"
        calls = 0

        def detect(self, image: np.ndarray) -> list:
            Centers.calls += 1
            zoom = len(image) / 256
            return [type("F", (), {"kps": (points + 0.5) * zoom - 0.5})]

    scene = made.Scene(pixels, points[None], np.ones(1, bool), np.zeros(1, int))
    for _ in range(2):
        found = made.with_candidates([scene, scene], Centers(), (1.0, 2.5), 0)  # type: ignore[arg-type]
        for one in found:
            np.testing.assert_allclose(one.candidates[0], points, atol=0.3)
    assert Centers.calls == 2


def test_pictures_of_no_faces_are_whole_and_repeatable() -> None:
    face = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    for way in (not_faces.drawn, not_faces.thing, not_faces.misused):
        for seed in range(12):
            a, b = (way(face, np.random.default_rng(seed)) for _ in range(2))
            assert a.dtype == np.uint8 and a.ndim == 3 and not np.array_equal(a, face)
            np.testing.assert_array_equal(a, b)
