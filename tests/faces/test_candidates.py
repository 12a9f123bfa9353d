"""Passes over a photo put together: sizes, parts, confirmation and turns."""

from __future__ import annotations

import numpy as np
import pytest

from unmask.faces.candidates import Pass, combined, overlaps, suppress, turned_back


def _pass(scale: float, *boxes: tuple[float, ...], quarters: int = 0) -> Pass:
    rows = np.array(boxes, float).reshape(-1, 5)
    points = np.repeat(((rows[:, :2] + rows[:, 2:4]) / 2)[:, None], 5, 1)
    return Pass(rows, points, scale, quarters)


def test_overlaps_of_nested_and_distant_boxes() -> None:
    others = np.array([[0.0, 0, 5, 10], [20, 0, 30, 10], [5, 5, 15, 15]])
    union, smaller = overlaps(np.array([[0.0, 0, 10, 10]]), others)
    np.testing.assert_allclose(union, [[0.5, 0, 25 / 175]])
    np.testing.assert_allclose(smaller, [[1, 0, 0.25]])


def test_a_part_is_suppressed_by_what_surrounds_it() -> None:
    boxes = np.array([[0.0, 0, 100, 100, 0.8], [10, 10, 50, 50, 0.9], [200, 0, 250, 50, 0.5]])
    assert suppress(boxes) == [1, 0, 2]
    assert suppress(boxes, inside=0.6) == [1, 2]
    assert suppress(boxes[[0, 2]]) == [0, 1]


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_turning_back_agrees_with_the_picture(quarters: int, rng: np.random.Generator) -> None:
    photo = np.zeros((30, 50), np.uint8)
    x, y = 12, 7
    photo[y, x] = 1
    there = np.argwhere(np.rot90(photo, quarters))[0][::-1].astype(float)
    box = np.concatenate([there - (1, 2), there + np.array([3, 4]), [0.7]])
    boxes, points = turned_back(box[None], np.tile(there, (1, 5, 1)), quarters, photo.shape)
    np.testing.assert_allclose(points[0], np.tile((x, y), (5, 1)))
    assert boxes[0, 0] < x < boxes[0, 2] and boxes[0, 1] < y < boxes[0, 3] and boxes[0, 4] == 0.7
    assert (boxes[0, 2:4] - boxes[0, :2]).prod() == pytest.approx(4 * 6)


def test_what_one_size_alone_takes_for_a_face_counts_little() -> None:
    face, alone = (100.0, 100, 200, 200, 0.8), (400.0, 400, 480, 480, 0.7)
    coarse, fine = _pass(0.5, face), _pass(1.0, face, alone)
    boxes, _ = combined([coarse, fine], 0.5, 0.6)
    np.testing.assert_allclose(boxes, [face])
    np.testing.assert_allclose(combined([fine], 0.5, 0.6)[0], [face, alone])
    small = (400.0, 400, 420, 420, 0.7)  # too small for the coarse pass: the fine one decides
    np.testing.assert_allclose(combined([coarse, _pass(1.0, face, small)], 0.5, 0.6)[0], [face, small])


def test_large_faces_are_left_to_the_coarse_passes() -> None:
    large = (0.0, 0, 600, 600, 0.9)
    assert len(combined([_pass(0.25), _pass(1.0, large)], 0.5, 0.6)[0]) == 0
    np.testing.assert_allclose(combined([_pass(0.25, large), _pass(1.0)], 0.5, 0.6)[0], [large])


def test_turned_faces_need_more_and_the_better_turn_wins() -> None:
    upright, turned = (0.0, 0, 100, 100, 0.55), (2.0, 0, 102, 100, 0.8)
    boxes, _ = combined([_pass(1.0, upright), _pass(1.0, turned, quarters=2)], 0.5, 0.6)
    np.testing.assert_allclose(boxes, [turned])
    weak = (2.0, 0, 102, 100, 0.58)
    boxes, _ = combined([_pass(1.0, upright), _pass(1.0, weak, quarters=2)], 0.5, 0.6)
    np.testing.assert_allclose(boxes, [upright])
    assert combined([], 0.5, 0.6)[0].shape == (0, 5)


def test_points_are_the_mean_of_the_passes_that_saw_the_face_at_a_size_they_are_good_at() -> None:
    face = (100.0, 100, 200, 200, 0.8)
    one, other, far, turned = (_pass(*each) for each in ((0.5, face), (1.0, face), (4.0, face), (0.5, face)))
    other.points[:] += 6
    far.points[:] += 90  # 400 pixels there: not asked
    turned = Pass(turned.boxes, turned.points + 30, 0.5, 2)
    _, points = combined([one, other, far, turned], 0.5, 0.6)
    np.testing.assert_allclose(points, one.points + 3)
    alone = _pass(1.0, (400.0, 400, 420, 420, 0.8))
    _, points = combined([one, alone], 0.5, 0.6)
    assert any(np.allclose(p, alone.points[0]) for p in points)
