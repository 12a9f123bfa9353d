"""Scenes of the detector: boxes and points follow the pictures, and what is no face is background."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unmask.data import detection as task
from unmask.data.backgrounds import background, load_empty
from unmask.data.face_sets import FaceSet
from unmask.data.photos import LabelledPhoto
from unmask.data.scene import roll
from unmask.data.shapes import SHAPES, drawn
from unmask.errors import UnmaskError
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
    config = task.SceneConfig(size=160, least=60, most=110, leaning=0.0)
    seen = 0
    for _ in range(8):
        scene = task.from_photo(_photo(), config, rng)
        assert scene.state == [2]  # dressed already: a face, with points not to be learned
        shown = [  # the dots in their order, and in that of a mirrored photo
            [
                np.abs(scene.pixels[y, x].astype(int) - dot).max() < 60
                for (x, y), dot in zip(scene.points[0].round().astype(int), dots, strict=True)
                if 2 <= x < 158 and 2 <= y < 158
            ]
            for dots in (DOTS, DOTS[[1, 0, 2, 4, 3]])
        ]
        assert all(shown[0]) or all(shown[1])
        seen += len(shown[0])
    assert seen > 20


def _material(empty: tuple[list[np.ndarray], ...] = ()) -> task.Material:
    name = np.array(["a"])
    faces = FaceSet(_dotted()[None], POINTS[None].astype(np.float32), np.array([-1]), name, name, "ffhq")
    return task.gather([_photo()], [faces], empty, task.SceneConfig(masked=0.0, occluded=0.0, wardrobe=0), RULE)


RULE = task.box_rule([LabelledPhoto("", _dotted(), BOX[None], POINTS[None], np.array([True]))] * 3)


def test_pasted_faces_do_not_overlap_and_are_where_they_are_said_to_be(rng: np.random.Generator) -> None:
    config = task.SceneConfig(size=256, least=40, most=90, leaning=0.0)
    for _ in range(5):
        scene = task.Scene(np.zeros((256, 256, 3), np.uint8))
        task.paste_faces(scene, _material(), config, rng)
        assert scene.boxes
        for i, box in enumerate(scene.boxes):
            assert all(task._apart(box, other) for other in scene.boxes[i + 1 :])
        x, y = scene.points[0][2].round().astype(int)  # the nose is blue whether mirrored or not
        assert scene.pixels[y, x, 2] > scene.pixels[y, x, 0] + 80


def test_a_mosaic_holds_four_photos(rng: np.random.Generator) -> None:
    config = task.SceneConfig(size=240, least=50, most=110, leaning=0.0, degrees=4.0)
    scene = task.mosaic([_photo()], config, rng)
    assert scene.pixels.shape == (240, 240, 3) and scene.state == [2, 2, 2, 2]
    middles = np.array([(box[:2] + box[2:]) / 2 for box in scene.boxes])
    assert (middles // 120).tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]]
    for points in scene.points:
        x, y = points[2].round().astype(int)
        assert scene.pixels[y, x, 2] > scene.pixels[y, x, 0] + 80


def test_part_of_a_large_face_is_background(rng: np.random.Generator) -> None:
    config = task.SceneConfig(size=96)
    states = [task.inside(_material(), [_photo()], config, rng).state for _ in range(20)]
    assert all(set(state) <= {3} for state in states) and [] in states


def test_upside_down_is_background_and_on_its_side_ignored() -> None:
    turned = {degrees: task.placed(np.full(2, 64.0), np.full(2, 64.0), 1.0, degrees) for degrees in (60, 95, 180)}
    states = {}
    for degrees, matrix in turned.items():
        points = align.transform_points(POINTS, matrix)
        assert roll(points) == pytest.approx(degrees if degrees < 180 else 180, abs=1e-6)
        scene = task.Scene(np.zeros((128, 128, 3), np.uint8))
        scene.add(task.moved_box(BOX, matrix), points)
        states[degrees] = scene.state
    assert states == {60: [1], 95: [3], 180: []}


def test_scenes_follow_from_their_seeds() -> None:
    material = _material(([np.zeros((40, 50, 3), np.uint8)], [np.full((30, 30, 4), 200, np.uint8)]))
    config = task.SceneConfig(size=96, least=20, most=90)
    seeds = [[1, i] for i in range(12)]
    first, again = task.scenes(material, config, seeds), task.scenes(material, config, seeds)
    assert first.images.shape == (12, 96, 96, 3) and len(first) == 12
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.points, again.points)
    assert set(np.unique(first.state)) == {0, 1, 2, 3} or set(np.unique(first.state)) == {0, 1, 2}


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


def test_pictures_without_a_face_are_read_and_every_third_is_held_out(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as stored:
        for i, mode in enumerate(("RGB", "RGBA", "L", "RGB")):
            buffer = io.BytesIO()
            Image.new(mode, (20 + i, 30)).save(buffer, "PNG")
            stored.writestr(f"{i}.png", buffer.getvalue())
    assert [p.shape for p in load_empty(tmp_path, "val")] == [(30, 20, 3), (30, 23, 3)]
    assert [p.shape for p in load_empty(tmp_path, "train")] == [(30, 21, 4), (30, 22, 3)]
    with pytest.raises(UnmaskError, match=r"images\.zip: no such pictures"):
        load_empty(tmp_path / "gone", "val")


def test_cut_out_things_are_strewn_over_a_background(rng: np.random.Generator) -> None:
    red = np.zeros((40, 40, 4), np.uint8)
    red[10:30, 10:30] = (255, 0, 0, 255)
    seen = [background([], 64, rng, [[red]]) for _ in range(12)]
    assert all(p.shape == (64, 64, 3) and p.dtype == np.uint8 for p in seen)
    assert any((p == (255, 0, 0)).all(2).mean() > 0.02 for p in seen)


def test_drawn_pictures_differ_and_have_their_size(rng: np.random.Generator) -> None:
    pictures = [drawn(48, rng) for _ in range(40)]
    assert all(p.shape == (48, 48, 3) and p.dtype == np.uint8 for p in pictures)
    assert len({p.tobytes() for p in pictures}) == 40


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_leaves_something(shape: Callable[..., None], rng: np.random.Generator) -> None:
    canvas = np.full((64, 64, 3), 7, np.uint8)
    for _ in range(3):
        shape(canvas, 32, 32, 20, rng)
    assert (canvas != 7).any(2).mean() > 0.02
