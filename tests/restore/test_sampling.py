"""Several guesses: what is kept, in which order, and that one guess stays what it was."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from unmask import models
from unmask.engines.torch_side import TorchUnmasker
from unmask.errors import UsageError
from unmask.faces import align
from unmask.restore import sampling
from unmask.restore.restorer import Restorer

SIZE = 64
Floats = NDArray[np.float32]


class Detector:
    """Two faces side by side."""

    def detect(self, image: np.ndarray, max_faces: int | None = None) -> list[Any]:
        """The faces."""
        points = align.template("ffhq", SIZE)
        boxes = [np.array([left, 0.0, left + SIZE, SIZE]) for left in (0, SIZE)]
        return [SimpleNamespace(bbox=box, kps=points + box[:2], det_score=0.9) for box in boxes]


class Segmenter:
    """The lower half."""

    def predict(self, crops: Floats) -> tuple[Floats, Floats]:
        """Region and garment score."""
        region = np.zeros((len(crops), 1, SIZE, SIZE), np.float32)
        region[:, :, SIZE // 2 :] = 1
        return region, np.ones(len(crops), np.float32)


@pytest.fixture(scope="module")
def unmasker() -> Any:
    """A small one whose codes and skip features follow from what it sees."""
    torch.manual_seed(0)
    arch = {"img_resolution": SIZE, "w_dim": 16, "channels": [16] * 5, "skips": [16], "gated": [16]}
    network = models.build("unmasker", **arch)
    for name, parameter in network.named_parameters():
        if name.startswith("encoder"):
            parameter.data.add_(0.05 * torch.randn(parameter.shape))
    return TorchUnmasker(network)


def photo() -> np.ndarray:
    """Smooth noise, uint8 [64,128,3]."""
    return np.random.default_rng(0).integers(60, 200, (SIZE, 2 * SIZE, 3), dtype=np.uint8)


def inputs() -> tuple[Floats, Floats]:
    """Two crops and their regions."""
    region = np.zeros((2, 1, SIZE, SIZE), np.float32)
    region[:, :, SIZE // 2 :] = 1
    return np.random.default_rng(1).uniform(-1, 1, (2, 3, SIZE, SIZE)).astype(np.float32), region


def test_the_best_fit_comes_first_and_the_one_guess_is_among_them(unmasker: Any) -> None:
    x, region = inputs()
    plain = unmasker(x, region).clip(-1, 1)
    found = sampling.several(unmasker, x, region, plain, 5, seed=3)
    assert found.shape == (5, 2, 3, SIZE, SIZE) and np.abs(found).max() <= 1
    misfit = (np.abs(found - x) * (1 - region)).mean((2, 3, 4))
    assert (np.diff(misfit, axis=0) >= -1e-6).all()
    for n in range(2):
        distance = np.abs(found[:, n] - plain[n]).max((1, 2, 3))
        assert distance.min() == 0 and (distance > 0.01).sum() == 4
    assert np.array_equal(found, sampling.several(unmasker, x, region, plain, 5, seed=3))
    assert not np.array_equal(found, sampling.several(unmasker, x, region, plain, 5, seed=4))


def test_samples_of_a_restorer(unmasker: Any) -> None:
    one = Restorer(unmasker, Segmenter(), Detector(), size=SIZE)
    plain, several = one.restore(photo()), one.restore(photo(), samples=4)
    assert np.array_equal(plain.image, several.image)
    assert plain.faces[0].samples is None and plain.faces[0].spread is None
    for face in several.faces:
        assert face.samples.shape == (4, SIZE, SIZE, 3) and face.spread.shape == (SIZE, SIZE)
        assert any(np.array_equal(sample, face.restored) for sample in face.samples)
        assert face.spread[SIZE // 2 + 8 :].mean() > 0 and not face.spread[: SIZE // 2 - 8].any()
        wanted = face.samples.astype(float).std(axis=0).mean(axis=2)
        assert np.allclose(face.spread, wanted, atol=1e-3)
        assert np.array_equal(face.samples[:, : SIZE // 2 - 8], np.stack([face.aligned[: SIZE // 2 - 8]] * 4))
    pictures = [several.sample(k) for k in range(4)]
    assert all(np.array_equal(picture[: SIZE // 2 - 8], photo()[: SIZE // 2 - 8]) for picture in pictures)
    assert len({picture.tobytes() for picture in pictures}) == 4
    assert several.spread.shape == (SIZE, 2 * SIZE) and several.spread.max() > 0
    with pytest.raises(UsageError, match="no sample 4"):
        several.sample(4)
    with pytest.raises(UsageError, match="no sample 0"):
        plain.sample(0)
    many = one.restore_many([photo()], samples=4)[0]
    assert np.abs(many.faces[1].samples.astype(int) - several.faces[1].samples).max() <= 1


def test_a_fill_without_codes_has_one_guess_only() -> None:
    one = Restorer(lambda x, region: -x, Segmenter(), Detector(), size=SIZE)
    with pytest.raises(UsageError, match="single guess"):
        one.restore(photo(), samples=2)


def test_a_tint_and_a_light_are_no_shape() -> None:
    shape = (1, 3, SIZE, SIZE)
    tint = np.broadcast_to(np.float32([0.3, -0.1, -0.2]).reshape(1, 3, 1, 1), shape)
    light = np.broadcast_to(np.linspace(-0.5, 0.5, SIZE, dtype=np.float32), shape)
    for smooth in (tint, light):
        inner = sampling.as_shape(smooth)[:, :, 8:-8, 8:-8]
        assert np.abs(inner).max() < 0.02
    checks = np.broadcast_to(np.float32(np.arange(SIZE) % 2 * 2 - 1), shape)
    assert np.allclose(sampling.as_shape(checks), checks, atol=1e-5)


def test_more_is_hidden_never_less() -> None:
    region = inputs()[1][:1]
    more = sampling.hidden_more(region, 20, np.random.default_rng(0))
    assert (more >= region).all() and (more.mean((1, 2, 3)) > region.mean()).mean() > 0.5
    assert len({one.tobytes() for one in more}) > 10
