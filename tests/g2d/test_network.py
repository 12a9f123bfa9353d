"""G2D's parts: 22 layers, descriptors that are the encoder's own features, ICT's layout."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from unmask import models
from unmask.errors import UnmaskError
from unmask.g2d import ict, network
from unmask.models import encoder
from unmask.models.segmenter import Segmenter
from unmask.models.unmasker import Unmasker

TRUNK = {"widths": (4, 6, 8, 8), "depths": (2, 3, 2)}
ENCODER = {"kind": "unmasker", **TRUNK, "block": 2}
REFORMER = {"widths": (4, 4, 6, 6), "depths": (2, 3, 3, 2)}


def test_the_reformer_has_22_layers() -> None:
    net = network.Reformer(8, 16, 5)
    # shortcuts, as always, are not counted
    main = [m for name, m in net.named_modules() if isinstance(m, nn.Conv2d | nn.Linear) and "shortcut" not in name]
    assert len(main) == 22 and isinstance(main[-1], nn.Linear)
    assert net.stages(net.conv(torch.zeros(2, 8, 16, 16))).shape == (2, 512, 2, 2)
    with pytest.raises(ValueError, match="pool"):
        network.Reformer(8, 16, pool="max")
    with pytest.raises(ValueError, match="depths"):
        network.Reformer(8, 16, depths=(1, 1))


@pytest.mark.parametrize("pool", ["mean", "gdc"])
@pytest.mark.parametrize(("kind", "more"), [("unmasker", {}), ("ict", {"widths": (4, 4, 6)}), ("pixels", {})])
def test_every_encoder_makes_a_vector(kind: str, more: dict, pool: str) -> None:
    net = models.build("g2d", size=64, embedding=5, encoder={**ENCODER, "kind": kind, **more},
                       reformer={**REFORMER, "pool": pool}).eval()  # fmt: skip
    x, region = torch.rand(2, 3, 64, 64), torch.zeros(2, 1, 64, 64)
    assert net.encoder(x, region).shape == (2, net.encoder.channels, net.encoder.side, net.encoder.side)
    assert net(x, region).shape == (2, 5)


@pytest.mark.parametrize(("block", "shape"), [(0, (4, 32)), (1, (6, 16)), (2, (6, 16)), (3, (8, 8)), (7, (8, 4))])
def test_a_descriptor_is_the_unmaskers_feature(block: int, shape: tuple[int, int]) -> None:
    net = Unmasker(64, 8, (6, 6, 6, 4, 4), {**TRUNK, "pyramid": 6, "narrow": 2}, (8, 16), (16,)).eval()
    found = network.TrunkDescriptor(64, TRUNK["widths"], TRUNK["depths"], block)
    found.share(net)
    x, region = torch.rand(2, 3, 64, 64), (torch.rand(2, 1, 64, 64) > 0.5).float()
    maps = [net.encoder.trunk.stem(encoder.visible(x, encoder.grown(region, 1)))]
    for stage in net.encoder.trunk.stages:
        for unit in stage:
            maps.append(unit(maps[-1]))
    torch.testing.assert_close(found.eval()(x, region), maps[block])
    assert tuple(found(x, region).shape) == (2, shape[0], shape[1], shape[1])
    assert (found.channels, found.side) == shape
    assert found.stem is net.encoder.trunk.stem
    with pytest.raises(ValueError, match="other widths"):
        network.TrunkDescriptor(64, (5, 6, 8, 8), (2, 3, 2), block).share(net)


def test_hidden_pixels_stay_hidden() -> None:
    region = torch.zeros(1, 1, 64, 64)
    region[..., 32:, :] = 1
    x = torch.rand(1, 3, 64, 64)
    other = x.clone()
    other[..., 32:, :] = 0.3
    for kind, widths in (("unmasker", TRUNK["widths"]), ("ict", (4, 4, 6)), ("pixels", ())):
        net = network.G2D(64, 5, {**ENCODER, "kind": kind, "widths": widths}, REFORMER).eval()
        torch.testing.assert_close(net(x, region), net(other, region))
        assert not torch.equal(net(x, region), net(x, region * 0))


def test_icts_layout_and_sizes(tmp_path: Path) -> None:
    net = ict.IctUpsampler()
    shapes = {k: tuple(v.shape) for k, v in net.state_dict().items()}
    assert shapes["encoder.1.weight"] == (64, 6, 7, 7) and shapes["encoder.5.weight"] == (256, 128, 4, 4)
    assert shapes["middle.7.conv_block.4.weight"] == (256, 256, 3, 3) and shapes["decoder.5.weight"] == (3, 64, 7, 7)
    assert len(shapes) == 2 * (3 + 2 * 8 + 3)
    found = network.IctDescriptor(256, (64, 128, 256), 8)
    with torch.no_grad():
        assert found(torch.zeros(1, 3, 256, 256), torch.zeros(1, 1, 256, 256)).shape == (1, 256, 64, 64)
    small = ict.IctUpsampler((3, 4, 5), 2).eval()
    path = tmp_path / "gen.pth"
    torch.save({"iteration": 3, "generator": {f"module.{k}": v for k, v in small.state_dict().items()}}, path)
    again = ict.IctUpsampler((3, 4, 5), 2).eval()
    again.load_state_dict(ict.read(path))
    x, region = torch.rand(1, 3, 32, 32), torch.ones(1, 1, 32, 32)
    torch.testing.assert_close(again(x, region), small(x, region))
    torch.save({"generator": {"w": torch.zeros(1)}}, path)
    with pytest.raises(UnmaskError, match=r"gen\.pth"):
        ict.read(path)
    with pytest.raises(UnmaskError, match="no such file"):
        ict.read(tmp_path / "none.pth")


def test_the_prior_keeps_what_is_seen_and_fills_the_rest() -> None:
    unit = torch.full((1, 3, 64, 64), 0.25)
    region = torch.zeros(1, 1, 64, 64)
    region[..., 20:50, 10:60] = 1
    unit[..., 20:50, 10:60] = 0.9
    found = ict.prior(unit, region)
    assert float((found - 0.25).abs().max()) < 0.02
    seen = ict.inputs(unit * 2 - 1, region)
    assert seen.shape == (1, 6, 64, 64) and float(seen[:, :3, 30, 30].min()) == 1.0  # holes are white


@pytest.mark.parametrize("side", [64, 32])
def test_the_region_comes_from_the_segmenter_where_a_mask_is_worn(side: int) -> None:
    torch.manual_seed(1)
    net = network.G2D(64, 5, ENCODER, REFORMER).eval()
    segmenter = Segmenter(widths=(8, 8), depths=(0, 0), ups=(8,)).eval()
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    segmenter.garment[2].bias.data.fill_(-20)  # nobody wears one
    both = network.Segmented(net, segmenter, side).eval()
    torch.testing.assert_close(both(x), net(x, torch.zeros(2, 1, 64, 64)))
    segmenter.garment[2].bias.data.fill_(20)
    assert not torch.allclose(both(x), net(x, torch.zeros(2, 1, 64, 64)))
    if side == 64:
        torch.testing.assert_close(both(x), net(x, segmenter(x)[0].sigmoid()))
    torch.testing.assert_close(both.embed(x).norm(dim=1), torch.ones(2))
