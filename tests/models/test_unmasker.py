"""The unmasker sees only what is visible, starts at the mean style, and gates its skips."""

from __future__ import annotations

import pytest
import torch

from unmask import models
from unmask.errors import UnmaskError
from unmask.models.encoder import Encoder
from unmask.models.iresnet import IResNet
from unmask.models.unmasker import Unmasker

SHAPE = {"widths": (4, 6, 8, 8), "depths": (1, 1, 1), "pyramid": 8, "narrow": 2}


def unmasker() -> Unmasker:
    torch.manual_seed(0)
    return Unmasker(64, 10, (8, 8, 8, 6, 4), SHAPE, skips=(8, 16, 32), gated=(32,)).eval()


def region() -> torch.Tensor:
    hidden = torch.zeros(2, 1, 64, 64)
    hidden[:, :, 36:60, 16:48] = 1
    return hidden


def test_what_is_under_the_region_does_not_matter() -> None:
    net, hidden = unmasker(), region()
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    other = torch.where(hidden > 0, torch.rand_like(x), x)
    torch.testing.assert_close(net(x, hidden), net(other, hidden))


def test_fresh_skips_change_nothing_and_codes_start_near_the_mean() -> None:
    net, hidden = unmasker(), region()
    ws, skips = net.codes(torch.rand(2, 3, 64, 64), hidden)
    assert ws.shape == (2, net.synthesis.num_ws, 10)
    assert {r: tuple(s.shape) for r, s in skips.items()} == {8: (2, 8, 8, 8), 16: (2, 8, 16, 16), 32: (2, 6, 32, 32)}
    assert all(float(s.detach().abs().max()) == 0 for s in skips.values())
    torch.testing.assert_close(net.synthesis(ws), net(torch.rand(2, 3, 64, 64) * 0 + 0.3, hidden), rtol=1, atol=1)


def test_gated_skips_are_silent_inside_the_region() -> None:
    net, hidden = unmasker(), region()
    for layer in net.encoder.skips.values():
        torch.nn.init.ones_(layer[2].weight)
    _, skips = net.codes(torch.rand(2, 3, 64, 64), hidden)
    inside = torch.nn.functional.adaptive_avg_pool2d(hidden, 32) == 1
    assert float(skips[32][inside.expand_as(skips[32])].abs().max()) == 0
    assert float(skips[32].abs().max()) > 0
    assert float(skips[16][..., 10:14, 5:11].abs().max()) > 0


def stirred(net: Unmasker) -> Unmasker:
    """The network with none of its weights at zero."""
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return net


def detailed() -> Unmasker:
    return Unmasker(64, 10, (8, 8, 8, 6, 4), SHAPE, (8, 16, 32), (32,), identity=5, detail=4).eval()


def twice(*pictures: torch.Tensor) -> list[torch.Tensor]:
    return [t.repeat_interleave(2, 2).repeat_interleave(2, 3) for t in pictures]


def test_a_network_with_detail_starts_as_the_one_without_enlarged() -> None:
    small, large = stirred(unmasker()), detailed()
    large.start_from(small.state_dict())
    x, hidden, identity = torch.rand(2, 3, 64, 64) * 2 - 1, region(), torch.nn.functional.normalize(torch.randn(2, 5))
    found = large(*twice(x, hidden), identity=identity)
    coarse = large(x, hidden, identity=identity)
    assert found.shape == (2, 3, 128, 128)
    torch.testing.assert_close(coarse, small(x, hidden))
    enlarged = torch.nn.functional.interpolate(coarse, scale_factor=2, mode="bicubic", align_corners=False)
    torch.testing.assert_close(found, enlarged, rtol=1e-4, atol=1e-4)
    small.start_from(small.state_dict())
    with pytest.raises(ValueError, match="has no place"):
        large.start_from(Unmasker(64, 10, (8, 8, 8, 6, 6), SHAPE, (8, 16), ()).state_dict())
    with pytest.raises(ValueError, match="is missing"):
        large.start_from({name: t for name, t in small.state_dict().items() if name != "w_avg"})
    with pytest.raises(ValueError, match="takes 64 or 128 px"):
        large(*(t[..., :32] for t in (x, hidden)), identity=identity)
    with pytest.raises(ValueError, match="takes 64 or 64 px"):
        small(*twice(x, hidden))


def test_detail_goes_by_what_is_seen_and_not_by_what_is_hidden() -> None:
    net, (hidden,) = stirred(detailed()), twice(region())
    x, identity = torch.rand(2, 3, 128, 128) * 2 - 1, torch.nn.functional.normalize(torch.randn(2, 5))
    other = torch.where(hidden > 0, torch.rand_like(x), x)
    plain = net(x, hidden, identity=identity)
    torch.testing.assert_close(net(other, hidden, identity=identity), plain)
    ws, skips = net.codes(x, hidden, identity)
    torch.testing.assert_close(net.decode(ws, "const", skips), plain)
    skips[128] = skips[128] * 0.5
    assert float((net.decode(ws, "const", skips) - plain).abs().max()) > 1e-3


def test_an_identity_is_wanted_where_there_is_a_place_for_it() -> None:
    x, hidden = torch.rand(2, 3, 64, 64), region()
    net = Unmasker(64, 10, (8, 8, 8, 6, 4), SHAPE, skips=(8, 16), gated=(), identity=5)
    torch.nn.init.normal_(net.identity.weight)  # type: ignore[union-attr]
    one, other = (net.codes(x, hidden, torch.nn.functional.normalize(torch.randn(2, 5)))[0] for _ in range(2))
    assert float((one - other).abs().max()) > 0.1
    with pytest.raises(ValueError, match=r"identity \[N,5\]"):
        net(x, hidden)
    with pytest.raises(ValueError, match="no identity"):
        unmasker()(x, hidden, identity=torch.zeros(2, 5))


def test_unknown_skip_and_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="no skip features at 5"):
        Encoder(4, 4, 64, **SHAPE, skips={5: 4})
    with pytest.raises(UnmaskError, match="no network of kind"):
        models.build("wizard")
    with pytest.raises(UnmaskError, match="cannot be built"):
        models.build("unmasker", wings=2)
    with pytest.raises(ValueError, match="no skip features at 64"):
        Unmasker(64, 10, (8, 8, 8, 6, 4), SHAPE, skips=(8, 64), gated=())


def test_literature_size_of_the_recognizer() -> None:
    net = IResNet((64, 64, 128, 256, 512), (3, 4, 14, 3), 512, (112, 96))
    counted = sum(p.numel() for p in net.parameters())
    assert counted == pytest.approx(41.8e6, rel=0.02)  # LResNet50E-IR with its head at 112x96


@pytest.mark.parametrize("head", ["fc", "gdc"])
def test_recognizer_embeds_at_unit_length(head: str) -> None:
    net = IResNet((4, 6, 8), (1, 1), 5, (24, 20), head=head, stem_stride=2).eval()
    found = net.embed(torch.rand(3, 3, 24, 20))
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
