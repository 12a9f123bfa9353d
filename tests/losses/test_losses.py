"""Losses against hand-computed values."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from unmask.losses import adversarial, identity, perceptual, pixel
from unmask.models.iresnet import IResNet


def test_region_error_weighs_inside_and_outside() -> None:
    y, y_hat, region = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2), torch.zeros(1, 1, 2, 2)
    region[..., 0, 0] = 1
    y_hat[..., 0, 0] = 0.5
    y_hat[..., 1, 1] = 0.3
    assert float(pixel.region_error(y_hat, y, region, 2.0, 1.0)) == pytest.approx(2 * 0.5 + 0.3 / 3)


def test_adversarial_losses_at_zero_logits() -> None:
    zero = torch.zeros(3)
    assert float(adversarial.generator_logistic(zero)) == pytest.approx(math.log(2))
    assert float(adversarial.discriminator_logistic(zero, zero)) == pytest.approx(2 * math.log(2))


def test_r1_of_a_linear_discriminator_is_half_its_squared_weight() -> None:
    weight = torch.randn(3 * 4 * 4)
    x = torch.randn(5, 3, 4, 4, requires_grad=True)
    expected = 0.5 * float(weight.square().sum())
    assert float(adversarial.r1(x, x.flatten(1) @ weight)) == pytest.approx(expected, rel=1e-4)


def test_margin_softmax_equals_the_formula_and_skips_unknown_people() -> None:
    torch.manual_seed(0)
    head = identity.MarginSoftmax(4, 3, scale=8.0, m_arc=0.2, m_cos=0.1)
    faces, labels = torch.randn(3, 4), torch.tensor([2, -1, 0])
    total = 0.0
    for face, label in ((faces[0], 2), (faces[2], 0)):
        cosines = functional.normalize(head.weight, dim=1) @ functional.normalize(face, dim=0)
        logits = cosines.clone()
        logits[label] = torch.cos(torch.acos(cosines[label]) + 0.2) - 0.1
        total += float(functional.cross_entropy(8.0 * logits[None], torch.tensor([label])))
    assert float(head(faces, labels)) == pytest.approx(total / 2, rel=1e-4)
    assert float(head(faces, torch.full((3,), -1))) == 0


def test_cosine_loss() -> None:
    a = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert float(identity.cosine(a, a)) == 0
    assert float(identity.cosine(a, -a)) == 2


def test_face_features_give_gradients_to_the_picture_and_zero_distance_to_itself() -> None:
    features = perceptual.FaceFeatures(IResNet((4, 6, 8), (1, 1), 5, (112, 112), "gdc", 2), "ffhq", 64)
    x = torch.rand(2, 3, 64, 64, requires_grad=True)
    maps, embedding = features(x)
    assert len(maps) == 2
    assert embedding.shape == (2, 5)
    other, _ = features(torch.rand(2, 3, 64, 64))
    perceptual.feature_distance(maps, other).backward()
    assert x.grad is not None
    assert float(x.grad.abs().sum()) > 0
    assert float(perceptual.feature_distance(other, other)) == 0
