"""Several guesses: what is kept, in which order, and that one guess stays what it was."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from unmask import models
from unmask.errors import UsageError
from unmask.faces import align
from unmask.restore import sampling
from unmask.restore.restorer import Restorer

SIZE = 64


class Detector:
    """Two faces side by side."""

    def detect(self, image: np.ndarray, max_faces: int | None = None) -> list[Any]:
        """The faces."""
        points = align.template("ffhq", SIZE)
        boxes = [np.array([left, 0.0, left + SIZE, SIZE]) for left in (0, SIZE)]
        return [SimpleNamespace(bbox=box, kps=points + box[:2], det_score=0.9) for box in boxes]


class Segmenter:
    """The lower half."""

    def predict(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Region and garment score."""
        region = torch.zeros(len(crops), 1, SIZE, SIZE)
        region[:, :, SIZE // 2 :] = 1
        return region, torch.ones(len(crops))


@pytest.fixture(scope="module")
def unmasker() -> Any:
    """A small one whose codes and skip features follow from what it sees."""
    torch.manual_seed(0)
    arch = {"img_resolution": SIZE, "w_dim": 16, "channels": [16] * 5, "skips": [16], "gated": [16]}
    network = models.build("unmasker", **arch)
    for name, parameter in network.named_parameters():
        if name.startswith("encoder"):
            parameter.data.add_(0.05 * torch.randn(parameter.shape))
    return network.eval().requires_grad_(False)


def photo() -> np.ndarray:
    """Smooth noise, uint8 [64,128,3]."""
    return np.random.default_rng(0).integers(60, 200, (SIZE, 2 * SIZE, 3), dtype=np.uint8)


def inputs() -> tuple[Tensor, Tensor]:
    """Two crops and their regions."""
    region = torch.zeros(2, 1, SIZE, SIZE)
    region[:, :, SIZE // 2 :] = 1
    return torch.rand(2, 3, SIZE, SIZE) * 2 - 1, region


def test_the_best_fit_comes_first_and_the_one_guess_is_among_them(unmasker: Any) -> None:
    x, region = inputs()
    plain = unmasker(x, region).clamp(-1, 1)
    found = sampling.several(unmasker, x, region, plain, 5, seed=3)
    assert found.shape == (5, 2, 3, SIZE, SIZE) and found.abs().max() <= 1
    misfit = ((found - x).abs() * (1 - region)).mean((2, 3, 4))
    assert (misfit.diff(dim=0) >= -1e-6).all()
    for n in range(2):
        distance = (found[:, n] - plain[n]).abs().amax((1, 2, 3))
        assert distance.min() == 0 and (distance > 0.01).sum() == 4
    assert torch.equal(found, sampling.several(unmasker, x, region, plain, 5, seed=3))
    assert not torch.equal(found, sampling.several(unmasker, x, region, plain, 5, seed=4))


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
    tint = torch.tensor([0.3, -0.1, -0.2]).view(1, 3, 1, 1).expand(1, 3, SIZE, SIZE)
    light = torch.linspace(-0.5, 0.5, SIZE).view(1, 1, 1, SIZE).expand(1, 3, SIZE, SIZE)
    for smooth in (tint, light):
        inner = sampling.as_shape(smooth)[:, :, 8:-8, 8:-8]
        assert inner.abs().max() < 0.02
    checks = (torch.arange(SIZE) % 2 * 2.0 - 1).view(1, 1, 1, SIZE).expand(1, 3, SIZE, SIZE)
    assert torch.allclose(sampling.as_shape(checks), checks, atol=1e-5)


def test_more_is_hidden_never_less() -> None:
    region = inputs()[1][:1]
    more = sampling.hidden_more(region, 20, torch.Generator().manual_seed(0))
    assert (more >= region).all() and (more.mean((1, 2, 3)) > region.mean()).float().mean() > 0.5
    assert len({one.numpy().tobytes() for one in more}) > 10
