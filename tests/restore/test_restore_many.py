"""Several photos at once: common batches, the same results as one by one, and errors that cost only their own photo."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from unmask import images
from unmask.errors import NoFaceError, NoMaskError, UnmaskError, UsageError
from unmask.faces import align
from unmask.restore.restorer import BATCH, Restorer
from unmask.restore.results import Restored

SIZE = 32


class Detector:
    """As many faces side by side as the photo is wider than high; none in a black one."""

    def detect(self, image: NDArray[np.uint8], max_faces: int | None = None) -> list[Any]:
        """The faces."""
        side = image.shape[0]
        count = image.shape[1] // side if image.any() else 0
        return [
            SimpleNamespace(
                bbox=np.array([i * side, 0.0, (i + 1) * side, side]),
                kps=align.template("ffhq", side) + np.array([i * side, 0]),
                det_score=0.9,
            )
            for i in range(count)
        ]


class Segmenter:
    """The lower half is masked, except in a white crop."""

    def predict(self, crops: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Region and garment score."""
        worn = (crops.mean((1, 2, 3)) < 0.95).astype(np.float32)
        region = np.zeros((len(crops), 1, SIZE, SIZE), np.float32)
        region[:, :, SIZE // 2 :] = 1
        return region * worn[:, None, None, None], worn


class Fill:
    """The mirrored negative of each crop, so that a crop in the wrong place would show; counts its calls."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, x: NDArray[np.float32], region: NDArray[np.float32]) -> NDArray[np.float32]:
        self.calls.append(len(x))
        return -x[..., ::-1]


def photo(seed: int, faces: int = 1) -> NDArray[np.uint8]:
    """A photo of blocks of color with room for ``faces``."""
    blocks = np.random.default_rng(seed).integers(20, 200, (6, 6 * faces, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(blocks).resize((64 * faces, 64), Image.Resampling.BICUBIC))


@pytest.fixture
def one() -> Restorer:
    return Restorer(Fill(), Segmenter(), Detector(), size=SIZE)


def test_batches_of_several_photos_give_what_each_gives_alone(one: Restorer) -> None:
    photos = [photo(0, 2), photo(1), photo(2, 3)]
    alone = [one.restore(each) for each in photos]
    assert one.model.calls == [2, 1, 3]
    together = one.restore_many(photos)
    assert one.model.calls[3:] == [6]
    for a, b, given in zip(alone, together, photos, strict=True):
        assert isinstance(b, Restored)
        assert np.array_equal(a.image, b.image) and not np.array_equal(b.image, given)
        assert a.note == b.note and [f.facts() for f in a.faces] == [f.facts() for f in b.faces]
        assert all(np.array_equal(f.restored, g.restored) for f, g in zip(a.faces, b.faces, strict=True))


def test_a_failed_photo_does_not_lose_the_others(one: Restorer, tmp_path: Path) -> None:
    black, white = np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8)
    good = photo(0)
    done = one.restore_many([black, good, white, tmp_path / "none.png", b"nonsense", good])
    kinds = [type(each) for each in done]
    assert kinds == [NoFaceError, Restored, NoMaskError, UnmaskError, UnmaskError, Restored]
    assert "none.png" in str(done[3])
    assert np.array_equal(done[1].image, one.restore(good).image) and np.array_equal(done[1].image, done[5].image)


def test_each_photo_keeps_its_type_its_region_and_its_place(one: Restorer, tmp_path: Path) -> None:
    path, given = tmp_path / "a.png", photo(3)
    Image.fromarray(given).save(path)
    region = np.zeros((64, 64), bool)
    region[10:20, 10:30] = True
    small = np.ones((3, 3), bool)
    target = tmp_path / "b" / "x.png"
    inputs = [path, Image.fromarray(given), given, path, given]
    done = one.restore_many(
        inputs, regions=[None, None, region, region, small], outs=[target, None, None, str(tmp_path / "r.png"), None]
    )
    assert done[0].image == target and isinstance(done[1].image, Image.Image) and isinstance(done[2].image, np.ndarray)
    assert np.array_equal(images.read(target).pixels, np.asarray(done[1].image))
    assert np.array_equal(images.read(tmp_path / "r.png").pixels, done[2].image)
    changed = (done[2].image != given).any(axis=2)
    assert changed[12:18, 12:28].mean() > 0.9 and not changed[40:].any()
    assert isinstance(done[4], UsageError)
    with pytest.raises(ValueError, match="zip"):
        one.restore_many([given], regions=[None, None])
    again = one.restore_many([path], outs=[target])
    assert isinstance(again[0], UnmaskError) and "exists" in str(again[0])


def test_many_faces_go_in_batches_of_bounded_size(one: Restorer) -> None:
    done = one.restore_many([photo(i, 3) for i in range(BATCH // 2)])
    assert all(isinstance(each, Restored) for each in done)
    assert one.model.calls == [BATCH, 3 * (BATCH // 2) - BATCH]
    assert one.restore_many([]) == []
