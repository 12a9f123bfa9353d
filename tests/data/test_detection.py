"""Scenes of the detector: boxes and points follow the pictures, and the cache is used."""

from __future__ import annotations

import numpy as np
import pytest

from unmask.data import detection as task
from unmask.data.backgrounds import background
from unmask.data.face_sets import FaceSet
from unmask.data.photos import LabelledPhoto
from unmask.faces import align

POINTS = align.template("ffhq", 128)
BOX = np.array([30.0, 30.0, 98.0, 120.0])
DOTS = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255)])


def _dotted(size: int = 128) -> np.ndarray:
    """A gray picture with a colored blot at each point."""
    image = np.full((size, size, 3), 128, np.uint8)
    for (x, y), color in zip(POINTS.round().astype(int), DOTS, strict=True):
        image[y - 4 : y + 5, x - 4 : x + 5] = color
    return image


def _photo(dressed: bool = True) -> LabelledPhoto:
    return LabelledPhoto("a.png", _dotted(), BOX[None], POINTS[None], np.array([True]), dressed)


def test_moved_box_turns_with_the_ellipse() -> None:
    quarter = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]])
    np.testing.assert_allclose(task.moved_box(np.array([0, 0, 4, 2.0]), quarter), [-2, 0, 0, 4], atol=1e-12)
    eighth = task.placed(np.zeros(2), np.zeros(2), 1.0, 45.0)
    np.testing.assert_allclose(task.moved_box(np.array([-1, -1, 1, 1.0]), eighth), [-1, -1, 1, 1], atol=1e-12)


def test_mirror_exchanges_left_and_right() -> None:
    image, points = task.mirror(_dotted(), POINTS)
    x, y = points.round().astype(int)[0]
    assert tuple(image[y, x]) == tuple(DOTS[1])  # what was the right eye is now the left one
    again, back = task.mirror(image, points)
    np.testing.assert_array_equal(again, _dotted())
    np.testing.assert_allclose(back, POINTS)


def test_the_box_rule_finds_the_boxes_it_was_fitted_to(rng: np.random.Generator) -> None:
    photos = []
    for _ in range(60):
        matrix = task.placed(np.array([64.0, 64.0]), rng.uniform(50, 200, 2), rng.uniform(0.3, 3), rng.normal(0, 4))
        points = align.transform_points(POINTS, matrix)
        photos.append(
            LabelledPhoto(
                "", np.zeros((4, 4, 3), np.uint8), task.moved_box(BOX, matrix)[None], points[None], np.array([True])
            )
        )
    np.testing.assert_allclose(task.box_rule(photos)(POINTS), BOX, atol=1.5)


def test_the_points_of_a_scene_lie_where_the_picture_shows_them(rng: np.random.Generator) -> None:
    config = task.SceneConfig(size=160, least=60, most=110)
    seen = 0
    for _ in range(8):
        scene = task.from_photo(_photo(), config, rng)
        assert scene.state == [2]  # dressed already: a face, with points not to be learned
        for (x, y), color in zip(scene.points[0].round().astype(int), DOTS, strict=True):
            if 2 <= x < 158 and 2 <= y < 158:
                assert np.abs(scene.pixels[y, x].astype(int) - color).max() < 60
                seen += 1
    assert seen > 20


def test_pasted_faces_do_not_overlap_and_are_where_they_are_said_to_be(rng: np.random.Generator) -> None:
    points, name = POINTS[None].astype(np.float32), np.array(["a"])
    faces = FaceSet(_dotted()[None], points, np.array([-1]), name, name, "ffhq")
    rule = task.box_rule([_photo(False)] * 3)
    config = task.SceneConfig(size=256, masked=0.0, occluded=0.0, least=40, most_pasted=90)
    for _ in range(5):
        scene = task.Scene(np.zeros((256, 256, 3), np.uint8))
        task.paste_faces(scene, faces, rule, config, rng)
        assert scene.boxes
        for i, box in enumerate(scene.boxes):
            assert all(task._apart(box, other) for other in scene.boxes[i + 1 :])
        x, y = scene.points[0][2].round().astype(int)  # the nose is blue whether mirrored or not
        assert scene.pixels[y, x, 2] > scene.pixels[y, x, 0] + 80


def test_a_crowd_fills_its_grid(rng: np.random.Generator) -> None:
    faces = FaceSet(
        _dotted()[None], POINTS[None].astype(np.float32), np.array([-1]), np.array(["a"]), np.array(["a"]), "ffhq"
    )
    config = task.SceneConfig(size=240, masked=0.0, occluded=0.0, crowd=True)
    for _ in range(4):
        scene = task.compose([_photo()], faces, task.box_rule([_photo(False)] * 3), config, rng)
        assert len(scene.boxes) in (4, 9) and scene.pixels.shape == (240, 240, 3)
        assert max(float(b[2] - b[0]) for b in scene.boxes) < 130


def test_sets_of_scenes_are_joined() -> None:
    one = task.Scenes(*(np.zeros((2, *shape)) for shape in ((8, 8, 3), (12, 4), (12, 5, 2), (12,))))
    two = task.Scenes(*(np.ones((3, *shape)) for shape in ((8, 8, 3), (12, 4), (12, 5, 2), (12,))))
    assert task.joined([one]) is one
    both = task.joined([one, two])
    assert len(both) == 5 and both.state[:2].sum() == 0 and both.boxes[2:].all()


def test_hardly_seen_small_and_doubtful_faces_are_ignored() -> None:
    scene = task.Scene(np.zeros((100, 100, 3), np.uint8))
    scene.add(np.array([10.0, 10, 50, 60]), POINTS)
    scene.add(np.array([10.0, 10, 50, 60]), POINTS, sure=False)
    scene.add(np.array([10.0, 10, 50, 60]), POINTS, trusted=False)
    scene.add(np.array([-60.0, 10, 10, 60]), POINTS)
    scene.add(np.array([10.0, 10, 15, 16]), POINTS)
    scene.add(np.array([200.0, 10, 250, 60]), POINTS)  # outside: not there at all
    assert scene.state == [1, 3, 2, 3, 3]


def test_backgrounds_avoid_faces(rng: np.random.Generator) -> None:
    photo = LabelledPhoto("", _dotted(), np.array([[0.0, 0, 128, 128]]), POINTS[None], np.array([True]))
    for _ in range(6):
        piece = background([photo], 64, rng)
        assert piece.shape == (64, 64, 3) and piece.dtype == np.uint8


def test_scenes_are_composed_once(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path))
    config = task.SceneConfig(count=3, size=96, least=30, most=60)
    first = task.build_scenes([_photo()], None, config)
    assert first.images.shape == (3, 96, 96, 3) and len(first) == 3
    monkeypatch.setattr(task, "compose", lambda *_: pytest.fail("composed again"))
    again = task.build_scenes([_photo()], None, config)
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.points, again.points)
