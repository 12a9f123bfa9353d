"""FROM's occluder protocol: rectangles where they should be, in the face's own frame and in whole photos."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unmask.faces import align
from unmask.simulation import patches


def test_pictures_are_small_and_differ(rng: np.random.Generator) -> None:
    found = [patches.picture(rng) for _ in range(20)]
    assert all(p.dtype == np.uint8 and p.shape[2] == 3 for p in found)
    assert all(16 <= side <= 40 for p in found for side in p.shape[:2])
    assert len({p.tobytes() for p in found}) == 20


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(patches.FACTORS), st.sampled_from([(112, 96), (112, 112)]))
def test_what_changes_is_the_box_inside_the_face(seed: int, factor: float, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    patch = np.full((int(rng.integers(16, 41)), int(rng.integers(16, 41)), 3), 200, np.uint8)
    face = np.zeros((*size, 3), np.uint8)
    box = patches.place(rng, patch, factor, size)
    assert 0 <= (box[0] + box[2]) // 2 <= size[1] and 0 <= (box[1] + box[3]) // 2 <= size[0]
    assert box[2] - box[0] == min(size[1] - 1, int(factor * patch.shape[1]))
    assert box[3] - box[1] == min(size[0] - 1, int(factor * patch.shape[0]))
    out, (x1, y1, x2, y2) = patches.paste(face, patch, box)
    expected = np.zeros_like(face)
    expected[y1:y2, x1:x2] = 200
    np.testing.assert_array_equal(out, expected)
    assert not face.any() and 0 <= x1 < x2 <= size[1] and 0 <= y1 < y2 <= size[0]


@pytest.mark.parametrize("box", [*patches.BOXES, None])
def test_a_photo_is_covered_where_the_frame_is(box: str | None, rng: np.random.Generator) -> None:
    photo = np.full((300, 300, 3), 128, np.uint8)
    angle, scale = np.deg2rad(17), 1.7
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    kps = align.template("from") @ turn.T + (70, 20)
    put = patches.cover(photo, kps, rng, box)
    back, _ = align.crop_face((put.region * 255).astype(np.uint8)[..., None], kps, "from", (112, 96))
    solid = back[..., 0] > 127
    ys, xs = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    assert solid[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1].mean() > 0.97  # a rectangle again
    if box is not None:
        found = (xs[0], ys[0], xs[-1] + 1, ys[-1] + 1)
        assert np.abs(np.subtract(found, patches.BOXES[box])).max() <= 1
    untouched = put.region == 0
    assert (put.image[untouched] == 128).all() and put.garment is None and not untouched.all()


def test_the_same_seed_gives_the_same_picture_and_bad_boxes_are_named() -> None:
    photo, kps = np.full((130, 130, 3), 90, np.uint8), align.template("arcface", 130)
    first, second = (patches.cover(photo, kps, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    with pytest.raises(ValueError, match="no box 'ear'"):
        patches.cover(photo, kps, np.random.default_rng(0), "ear")
