"""Alignment against scikit-image, scipy and hand-made patterns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.transform import SimilarityTransform

from unmask.faces import align


def _points(rng: np.random.Generator) -> np.ndarray:
    return align.template("ffhq", 128) + rng.normal(0, 3, (5, 2))


def _umeyama(src: np.ndarray, dst: np.ndarray) -> np.ndarray:
    return SimilarityTransform.from_estimate(src, dst).params[:2]


@pytest.mark.parametrize("name", sorted(align.TEMPLATES))
def test_template_scales_with_its_height(name: str) -> None:
    (height, width), native = align.TEMPLATES[name]
    assert np.array_equal(align.template(name), native)
    assert np.allclose(align.template(name, (height * 2, width * 2)), native * 2)
    left, right = native[0], native[1]
    assert left[0] < right[0] < width
    assert native[:2, 1].max() < native[2, 1] < native[3:, 1].min() < height


def test_from_template_is_the_arcface_crop_cut_to_96_wide() -> None:
    assert np.allclose(align.template("arcface", (112, 96)), align.template("from", (112, 96)))


def test_template_refuses_unknown_names_and_sizes() -> None:
    with pytest.raises(ValueError, match="arcface"):
        align.template("nothing")
    with pytest.raises(ValueError, match="positive"):
        align.template("ffhq", 0)


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0.05, 20),
    st.floats(-180, 180),
    st.floats(-500, 500),
    st.floats(-500, 500),
    st.integers(0, 2**32 - 1),
)
def test_similarity_agrees_with_skimage(scale: float, angle: float, dx: float, dy: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    src = _points(rng)
    c, s = scale * np.cos(np.radians(angle)), scale * np.sin(np.radians(angle))
    dst = src @ np.array([[c, -s], [s, c]]).T + (dx, dy) + rng.normal(0, scale, (5, 2))
    got = align.similarity(src, dst)
    assert np.allclose(got, _umeyama(src, dst), atol=1e-6 * max(1, scale * 100))
    back = align.compose(align.invert(got), got)
    assert np.allclose(back, [[1, 0, 0], [0, 1, 0]], atol=1e-8)
    assert align.scale_of(got) == pytest.approx(np.hypot(got[0, 0], got[1, 0]))


def test_similarity_never_mirrors() -> None:
    src = align.template("ffhq", 128)
    flipped = src * (-1, 1) + (127, 0)
    assert np.linalg.det(align.similarity(src, flipped)[:, :2]) > 0


@pytest.mark.parametrize("src", [np.ones((5, 2)), np.full((5, 2), np.nan), np.zeros((1, 2)), np.zeros((5, 3))], ids=str)
def test_similarity_refuses_points_that_fix_nothing(src: np.ndarray) -> None:
    with pytest.raises(ValueError):
        align.similarity(src, align.template("ffhq", 128)[: len(src)])


def test_invert_refuses_a_flat_matrix() -> None:
    with pytest.raises(ValueError, match="inverse"):
        align.invert([[1, 1, 0], [1, 1, 0]])


def test_identity_warp_is_exact(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    eye = np.eye(2, 3)
    for filter in ("nearest", "linear", "cubic"):
        assert np.array_equal(align.warp(image, eye, (20, 30), filter=filter), image)
    assert np.array_equal(align.warp(image, [[1, 0, -3], [0, 1, -2]], (5, 6)), image[2:7, 3:9])
    gray = image[:, :, 0]
    assert align.warp(gray, eye, (20, 30)).shape == (20, 30)
    assert align.warp(image[:, :, :1], eye, (20, 30)).shape == (20, 30, 1)


def test_warp_puts_a_spot_where_the_matrix_says(rng: np.random.Generator) -> None:
    yy, xx = np.mgrid[:200, :300]
    matrix = align.similarity([(100, 80), (160, 90)], [(40, 50), (90, 40)])
    for spot in ((120.3, 80.6), (140.0, 100.0)):
        image = np.exp(-((xx - spot[0]) ** 2 + (yy - spot[1]) ** 2) / 50).astype(np.float32)
        crop = np.maximum(align.warp(image, matrix, 128), 0)
        cy, cx = ndimage.center_of_mass(crop**2)
        assert np.allclose((cx, cy), align.transform_points(spot, matrix), atol=0.03)


@pytest.mark.parametrize("scale", [0.6, 0.4, 0.21, 0.1])
def test_shrinking_keeps_places_and_does_not_alias(scale: float, rng: np.random.Generator) -> None:
    size = round(128 / scale)
    yy, xx = np.mgrid[: size + 60, : size + 80].astype(np.float64)
    smooth = (128 + 60 * np.sin(xx * scale / 9) + 60 * np.cos(yy * scale / 7)).astype(np.float32)
    matrix = np.array([[scale, scale / 20, -5.0], [-scale / 20, scale, -4.0]])
    inverse = align.invert(matrix)
    py, px = np.mgrid[:128, :128]
    where = align.transform_points(np.stack([px, py], -1), inverse)
    ideal = 128 + 60 * np.sin(where[..., 0] * scale / 9) + 60 * np.cos(where[..., 1] * scale / 7)
    inside = (where.min(-1) > 8) & (where[..., 0] < size + 70) & (where[..., 1] < size + 50)
    assert inside.sum() > 1000
    assert np.abs(align.warp(smooth, matrix, 128) - ideal)[inside].mean() < 0.5
    checker = (((xx + yy) % 2) * 255).astype(np.float32)
    assert align.warp(checker, matrix, 128).std() < 12  # plain sampling leaves 60 and more


def test_reading_only_a_window_changes_nothing(rng: np.random.Generator) -> None:
    image = ndimage.gaussian_filter(rng.normal(0, 1, (400, 500)), 3).astype(np.float32)
    image = (image - image.min()) / np.ptp(image)
    matrix = align.similarity([(-20, 30), (30, 20), (2, 60)], [(40, 50), (90, 48), (66, 90)])
    crop = align.warp(image, matrix, 128, filter="linear")
    where = align.transform_points(np.stack(np.mgrid[:128, :128][::-1], -1), align.invert(matrix))
    ideal = ndimage.map_coordinates(image, [where[..., 1], where[..., 0]], order=1, mode="mirror")
    assert np.abs(crop - ideal).max() < 0.02


def test_between_maps_one_template_to_the_other() -> None:
    matrix = align.between("ffhq", 128, "arcface", 112)
    mapped = align.transform_points(align.template("ffhq", 128), matrix)
    assert np.abs(mapped - align.template("arcface", 112)).max() < 2.5
    assert np.allclose(align.between("arcface", 112, "from", (112, 96)), [[1, 0, -8], [0, 1, 0]], atol=1e-9)


def test_crop_face_brings_points_to_the_template(rng: np.random.Generator) -> None:
    kps = align.template("ffhq", 512) + np.array([20, 30])
    crop, matrix = align.crop_face(np.zeros((600, 600, 3), np.uint8), kps, "ffhq", 128)
    assert crop.shape == (128, 128, 3)
    assert np.allclose(align.transform_points(kps, matrix), align.template("ffhq", 128))
