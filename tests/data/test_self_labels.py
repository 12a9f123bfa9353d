"""Labels from an earlier segmenter: only sure ones count, and views are brought back to where they were."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unmask.data import self_labels as task
from unmask.data.photos import LabelledPhoto
from unmask.faces import align

POINTS = align.template("ffhq", 64)


class Bright:
    """Takes bright pixels for a face mask, and is unsure about gray ones."""

    size, template = 64, "ffhq"

    def predict(self, crops: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        region = (crops.mean(1, keepdims=True) * 0.5 + 0.5).clip(0, 1)
        return region, region.max((1, 2, 3))


def _photo(value: int) -> LabelledPhoto:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[30:56, 10:40] = value
    return LabelledPhoto("a", pixels, np.array([[8.0, 8, 56, 60]]), POINTS[None], np.array([True]), True)


def test_views_are_brought_back() -> None:
    crop = _photo(255).pixels
    region, garment = task.steady(Bright(), crop)  # type: ignore[arg-type]
    np.testing.assert_allclose(region, crop[..., 0] / 255.0, atol=1e-6)
    assert garment == 1.0


def test_only_sure_faces_count() -> None:
    images, regions = task.labeled_crops([_photo(255), _photo(120), _photo(0)], Bright())  # type: ignore[arg-type]
    assert images.shape == (1, 64, 64, 3) and regions.shape == (1, 64, 64)
    assert regions[0, 40, 20] == 255 and regions[0, 5, 5] == 0
    none, _ = task.labeled_crops([_photo(0)], Bright())  # type: ignore[arg-type]
    assert none.shape == (0, 64, 64, 3)
