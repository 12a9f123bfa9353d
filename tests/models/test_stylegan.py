"""Generator and discriminator: sizes, styles, truncation, skips, second derivatives."""

from __future__ import annotations

import pytest
import torch

from unmask.losses import adversarial
from unmask.models.discriminator import Discriminator, minibatch_stddev
from unmask.models.generator import Generator, Synthesis, channels_at

SMALL = (8, 8, 8, 6, 4)  # 4 to 64 px


def generator() -> Generator:
    torch.manual_seed(0)
    return Generator(12, 10, 64, SMALL, mapping_layers=2)


@pytest.mark.parametrize(("size", "styles"), [(64, 10), (128, 12), (256, 14), (1024, 18)])
def test_number_of_styles_is_that_of_the_paper(size: int, styles: int) -> None:
    levels = styles // 2
    assert Synthesis(4, size, [1] * levels).num_ws == styles


def test_channels_follow_the_paper() -> None:
    assert [channels_at(r, 32768) for r in (4, 64, 128, 1024)] == [512, 512, 256, 32]


def test_pictures_have_the_size_and_depend_on_every_style() -> None:
    net = generator()
    ws = torch.randn(1, net.num_ws, 10, requires_grad=True)
    image = net.synthesis(ws)
    assert image.shape == (1, 3, 64, 64)
    image.square().sum().backward()
    assert ws.grad is not None
    assert bool((ws.grad.abs().sum(2) > 0).all())


def test_truncation_pulls_to_the_mean_style() -> None:
    net = generator()
    net.w_avg.normal_()
    z = torch.randn(3, 12)
    torch.testing.assert_close(net.styles(z, 0.0), net.w_avg.expand(3, net.num_ws, -1))
    half, whole = net.styles(z, 0.5), net.styles(z)
    torch.testing.assert_close(half - net.w_avg, 0.5 * (whole - net.w_avg), rtol=1e-4, atol=1e-5)


def test_tracking_moves_the_mean_style() -> None:
    net = generator()
    w = torch.ones(4, 10)
    for _ in range(200):
        net.track(w, beta=0.9)
    torch.testing.assert_close(net.w_avg, torch.ones(10), rtol=1e-3, atol=1e-3)


def test_noise_is_constant_drawn_or_absent() -> None:
    net = generator()
    with torch.no_grad():
        for layer in [*net.synthesis.conv0, *net.synthesis.conv1]:
            layer.noise_strength.fill_(0.5)
    ws = torch.randn(2, net.num_ws, 10)
    const, again, none = (net.synthesis(ws, n) for n in ("const", "const", "none"))
    torch.testing.assert_close(const, again)
    assert not torch.allclose(const, none)
    assert not torch.allclose(net.synthesis(ws, "random"), net.synthesis(ws, "random"))


def test_skip_features_reach_the_picture() -> None:
    net = generator()
    ws = torch.randn(1, net.num_ws, 10)
    plain = net.synthesis(ws)
    torch.testing.assert_close(net.synthesis(ws, skips={16: torch.zeros(1, 8, 16, 16)}), plain)
    assert not torch.allclose(net.synthesis(ws, skips={16: torch.ones(1, 8, 16, 16)}), plain)


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="power of two"):
        Synthesis(4, 100)
    with pytest.raises(ValueError, match="takes 5"):
        Synthesis(4, 64, (1, 2))
    with pytest.raises(ValueError, match="takes 5"):
        Discriminator(64, (1, 2))


def test_regularizers_have_second_derivatives() -> None:
    net, discriminator = generator(), Discriminator(64, SMALL)
    x = torch.randn(4, 3, 64, 64, requires_grad=True)
    adversarial.r1(x, discriminator(x)).backward()
    assert discriminator.stem.weight.grad is not None
    assert bool(discriminator.stem.weight.grad.abs().sum() > 0)
    ws = net.styles(torch.randn(2, 12))
    penalty, mean = adversarial.path_length(net.synthesis(ws), ws, torch.zeros(()))
    penalty.backward()
    assert float(mean) > 0
    assert bool(net.mapping.layers[0].weight.grad.abs().sum() > 0)


def test_minibatch_deviation_is_zero_for_equal_pictures_and_measures_spread() -> None:
    x = torch.ones(4, 2, 3, 3)
    assert float(minibatch_stddev(x)[:, 2].abs().max()) < 1e-3
    x[0] += 4.0
    torch.testing.assert_close(minibatch_stddev(x)[:, 2], torch.full((4, 3, 3), x[:, 0, 0, 0].std(unbiased=False)))
