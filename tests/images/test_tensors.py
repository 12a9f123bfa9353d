"""Arrays, tensors and contact sheets."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch

from unmask import images


def _picture(height: int = 48, width: int = 64, channels: int = 3, dtype: Any = np.uint8) -> np.ndarray:
    rng = np.random.default_rng(height * 1000 + width)
    top = np.iinfo(dtype).max
    smooth = cv2.resize(rng.random((6, 8, channels)), (width, height), interpolation=cv2.INTER_CUBIC)
    out = np.clip(smooth * top, 0, top).astype(dtype).reshape(height, width, channels)
    return out[:, :, 0] if channels == 1 else out


def test_tensors_and_arrays() -> None:
    array = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    x = images.to_tensor(array)
    assert x.shape == (1, 3, 16, 16) and x.dtype == torch.float32
    assert x.min() == -1 and x.max() == 1
    assert np.array_equal(images.to_uint8(x)[0], array)
    batch = images.to_tensor([array, 255 - array])
    assert torch.allclose(batch[0], -batch[1], atol=1e-6)
    assert np.array_equal(images.to_uint8(torch.full((1, 3, 2, 2), 9.0)), np.full((1, 2, 2, 3), 255))
    assert np.array_equal(images.bgr(images.bgr(array)), array)
    assert images.bgr(array).flags["C_CONTIGUOUS"]
    with pytest.raises(ValueError, match="uint8"):
        images.to_tensor(array.astype(np.float32))
    with pytest.raises(ValueError, match="N, 3, H, W"):
        images.to_uint8(x[0])


def test_sheet_places_pictures_and_labels() -> None:
    red, gray, region = np.zeros((20, 30, 3), np.uint8), np.full((10, 10), 7, np.uint8), np.ones((20, 30), np.float32)
    red[..., 0] = 255
    plain = images.sheet([[red, gray], [region]], pad=2)
    assert plain.shape == (20 + 20 + 8, 30 + 10 + 8, 3)
    assert (plain[2:22, 2:32] == (255, 0, 0)).all() and (plain[2:12, 36:46] == 7).all()
    headed = images.sheet([[red, gray], [region]], labels=["one", "two"])
    assert headed.shape[0] > plain.shape[0] and headed.shape[1] == plain.shape[1]
    assert (headed[: headed.shape[0] - plain.shape[0]] < 128).any()
    below = images.sheet([[red, gray], [region]], labels=[["one", "two"], ["three"]])
    assert below.shape[0] > headed.shape[0]
    with pytest.raises(ValueError, match="at least one"):
        images.sheet([[]])


def test_a_title_stands_above_everything():
    picture = np.zeros((20, 30, 3), np.uint8)
    bare, titled = (images.sheet([[picture] * 4], ["a"] * 4, title=title) for title in ("", "long words " * 9))
    extra = titled.shape[0] - bare.shape[0]
    assert extra >= 30 and np.array_equal(titled[extra:], bare) and (titled[:extra] < 128).any()
