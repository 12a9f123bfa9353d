"""Refinement: the visible agrees better, the region is free, every crop is for itself."""

from __future__ import annotations

import pytest
import torch

from unmask.errors import UsageError
from unmask.faces import blend
from unmask.models.unmasker import Unmasker
from unmask.restore import sampling
from unmask.restore.refine import Refined


@pytest.fixture(scope="module")
def unmasker() -> Unmasker:
    torch.manual_seed(0)
    small = {"widths": (8, 8, 16, 16), "depths": (1, 1, 1), "pyramid": 8, "narrow": 4}
    model = Unmasker(64, 16, (8, 8, 8, 8, 8), small, skips=(), gated=())
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def crops(unmasker: Unmasker) -> tuple[torch.Tensor, torch.Tensor]:
    """Faces that the generator can make, from other codes than the encoder finds, and their region."""
    torch.manual_seed(1)
    region = torch.zeros(2, 1, 64, 64)
    region[:, :, 34:54, 16:48] = 1
    ws = unmasker.w_avg + torch.randn(2, unmasker.synthesis.num_ws, 16)
    return unmasker.synthesis(ws).detach(), region


def misfit(face: torch.Tensor, x: torch.Tensor, region: torch.Tensor) -> torch.Tensor:
    seen = 1 - blend.grown(region)
    return ((face - x).abs() * seen).sum((1, 2, 3)) / seen.sum((1, 2, 3))


def test_the_visible_agrees_better(unmasker: Unmasker, crops: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, region = crops
    errors = [misfit(Refined(unmasker, n, rate=0.05, hold=0.0)(x, region), x, region) for n in (0, 3, 30)]
    assert (errors[1] <= errors[0] + 1e-6).all() and (errors[2] < 0.8 * errors[0]).all()


def test_no_step_is_the_encoder_and_the_hold_keeps_near_it(
    unmasker: Unmasker, crops: tuple[torch.Tensor, torch.Tensor]
) -> None:
    x, region = crops
    with torch.no_grad():
        own = unmasker(x, region)
    assert torch.allclose(Refined(unmasker, 0)(x, region), own, atol=1e-6)
    held = Refined(unmasker, 8, rate=0.05, hold=1e4)(x, region)
    free = Refined(unmasker, 8, rate=0.05, hold=0.0)(x, region)
    assert (held - own).abs().mean() < 0.2 * (free - own).abs().mean()


def test_the_region_of_the_photo_has_no_say(unmasker: Unmasker, crops: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, region = crops
    fill = Refined(unmasker, 5, rate=0.05)
    other = torch.where(blend.grown(region) > 0, torch.full_like(x, 0.7), x)
    # the encoder does not see it either: it takes the region, a pixel wider, out of the picture
    assert torch.allclose(fill(other, blend.grown(region)), fill(x, blend.grown(region)), atol=1e-4)


def test_every_crop_is_for_itself(unmasker: Unmasker, crops: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, region = crops
    fill = Refined(unmasker, 5, rate=0.05)
    both = fill(x, region)
    assert torch.allclose(both[:1], fill(x[:1], region[:1]), atol=1e-4)


def test_it_works_where_gradients_are_off(unmasker: Unmasker, crops: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, region = crops
    fill = Refined(unmasker, 3, rate=0.05)
    plain = fill(x, region)
    with torch.inference_mode():
        inside = fill(x * 1, region * 1)
    with torch.no_grad():
        without = fill(x, region)
    assert torch.allclose(plain, inside) and torch.allclose(plain, without) and not plain.requires_grad
    assert all(parameter.grad is None for parameter in unmasker.parameters())
    painted = blend.paint(x, region, fill)
    assert painted.whole.shape == x.shape and (fill.size, fill.template) == (64, "ffhq")


def test_guesses_are_drawn_around_the_refined_one(unmasker: Unmasker, crops: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, region = crops
    fill = Refined(unmasker, 3, rate=0.05)
    assert isinstance(fill, sampling.Inverter)
    one = fill(x[:1], region[:1])
    found = sampling.several(fill, x[:1], region[:1], one, 2, seed=1)
    assert found.shape == (2, 1, 3, 64, 64)
    assert torch.isclose(found, one.clamp(-1, 1)).flatten(1).all(1).any()  # the one guess is among them


def test_what_cannot_be_refined() -> None:
    with pytest.raises(UsageError, match="no codes"):
        Refined(torch.nn.Identity(), 3)
    with pytest.raises(UsageError, match="steps"):
        Refined(Unmasker(64, 16, (8, 8, 8, 8, 8), {"widths": (8, 8, 16, 16), "depths": (1, 1, 1)}, skips=()), -1)
