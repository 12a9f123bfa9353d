"""FROM's networks and patterns: sizes of the paper, shapes for every trunk, labels against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unmask import models
from unmask.from_net import patterns
from unmask.from_net.network import FromNet
from unmask.losses.identity import MarginSoftmax

PAPER = {
    "widths": (64, 64, 128, 256, 512), "depths": (3, 4, 14, 3), "embedding": 512, "size": (112, 96), "head": "flat",
    "dropout": 0.5,
}  # fmt: skip
SMALL = {
    "widths": (4, 6, 8, 10), "depths": (1, 1, 1), "embedding": 7, "head": "gdc", "stem_stride": 2, "act": "lrelu",
    "early_stride": True,
}  # fmt: skip


def millions(*parts: torch.nn.Module) -> float:
    return sum(p.numel() for part in parts for p in part.parameters()) / 1e6


@pytest.mark.parametrize(("k", "number"), [(3, 37), (4, 101), (5, 226), (6, 442), (7, 785)])
def test_pattern_count_is_the_papers(k: int, number: int) -> None:
    assert patterns.count(k) == number
    found = patterns.rectangles(k, (112, 96))
    assert found.shape == (number, 4)
    assert len({tuple(row) for row in found}) == number


def test_cell_edges_are_the_papers() -> None:
    assert patterns.edges(5, 96).tolist() == [0, 19, 38, 57, 76, 96]
    assert patterns.edges(5, 112).tolist() == [0, 22, 44, 67, 89, 112]


def brute(box: tuple[int, int, int, int], k: int, size: tuple[int, int]) -> float:
    """The best IoU over all rectangles of cells, counted pixel by pixel."""
    truth = np.zeros(size, bool)
    truth[box[1] : box[3], box[0] : box[2]] = True
    ys, xs = patterns.edges(k, size[0]), patterns.edges(k, size[1])
    best = 0.0
    for (y1, y2), (x1, x2) in itertools.product(itertools.combinations(ys, 2), itertools.combinations(xs, 2)):
        cells = np.zeros(size, bool)
        cells[y1:y2, x1:x2] = True
        best = max(best, (cells & truth).sum() / (cells | truth).sum())
    return best


@settings(max_examples=25, deadline=None)
@given(st.tuples(*[st.integers(0, 27)] * 4), st.sampled_from([3, 4, 5]))
def test_labels_have_the_largest_overlap(corners: tuple[int, ...], k: int) -> None:
    size = (28, 24)
    (x1, x2), (y1, y2) = sorted(corners[:2]), sorted(corners[2:])
    box = (min(x1, 24), y1, min(x2, 24), y2)
    label = int(patterns.labels([box], k, size)[0])
    if box[0] == box[2] or box[1] == box[3]:
        assert label == 0
        return
    truth, cells = np.zeros(size, bool), np.zeros(size, bool)
    truth[box[1] : box[3], box[0] : box[2]] = True
    a, b, c, d = patterns.rectangles(k, size)[label]
    cells[b:d, a:c] = True
    assert (truth & cells).sum() / (truth | cells).sum() == pytest.approx(brute(box, k, size))


def test_every_pattern_is_its_own_label_and_a_box_over_the_border_is_clipped() -> None:
    known = patterns.rectangles(4, (112, 96))
    assert patterns.labels(known, 4, (112, 96)).tolist() == list(range(101))
    over = [[-50, -50, 24, 28]]
    assert patterns.labels(over, 4, (112, 96)).tolist() == patterns.labels([[0, 0, 24, 28]], 4, (112, 96)).tolist()


def test_bounds_of_a_region() -> None:
    region = np.zeros((10, 12), np.uint8)
    assert patterns.bounds(region).tolist() == [0, 0, 0, 0]
    region[3:7, 2:11] = 255
    region[0, 0] = 100  # less than half covered
    assert patterns.bounds(region).tolist() == [2, 3, 11, 7]


def test_sizes_are_those_of_the_paper() -> None:
    with torch.device("meta"):
        net = FromNet(PAPER, statistics="shared")
    assert net.trunk.grid == (7, 6)
    assert millions(net.trunk) == pytest.approx(41.80, abs=0.005)
    assert millions(net.trunk.head) == pytest.approx(11.05, abs=0.005)
    assert millions(net.lateral, net.smooth) == pytest.approx(0.82, abs=0.005)
    assert millions(net.decoder) == pytest.approx(1.77, abs=0.005)
    assert millions(net.predictor) == pytest.approx(4.90, abs=0.005)


@pytest.mark.parametrize("size", [(112, 96), (112, 112), (64, 64)])
@pytest.mark.parametrize("stages", ["small", "paper"])
@pytest.mark.parametrize("scales", ["multi", "single"])
@pytest.mark.parametrize("kind", ["3d", "2d", "embedding"])
def test_decoder_shapes_for_all_trunks(size: tuple[int, int], stages: str, scales: str, kind: str) -> None:
    layout = SMALL if stages == "small" else {
        **PAPER, "widths": (4, 4, 6, 8, 10), "depths": (1, 2, 1, 1), "embedding": 7,
    }  # fmt: skip
    net = FromNet({**layout, "size": size}, kind, grid=4, pyramid=6, scales=scales, narrow=3).eval()
    last, _ = net.features(torch.zeros(2, 3, *size))
    found = net.explain(torch.randn(2, 3, *size))
    wanted = {"3d": last.shape, "2d": (2, 1, *last.shape[2:]), "embedding": (2, 7)}[kind]
    assert tuple(last.shape) == (2, 10, size[0] // 16, size[1] // 16)
    assert found.mask.shape == wanted
    assert found.occlusion_logits.shape == (2, 101) and found.embedding.shape == (2, 7)
    assert float(found.mask.detach().min()) >= 0 and float(found.mask.detach().max()) <= 1


@pytest.mark.parametrize("kind", ["3d", "2d", "embedding"])
def test_the_decoder_learns_through_cosface_alone(kind: str) -> None:
    net = FromNet({**SMALL, "size": (64, 64)}, kind, grid=3, pyramid=6).train()
    last, mask = net.features(torch.randn(6, 3, 64, 64))
    assert mask is not None
    MarginSoftmax(7, 3)(net.cleaned(last, mask), torch.arange(6) % 3).backward()
    for part in (net.decoder, net.lateral, net.smooth, net.trunk.stem):
        for name, parameter in part.named_parameters():
            # a bias before a normalization cannot change anything
            assert parameter.grad is not None, name
        assert max(float(p.grad.abs().max()) for p in part.parameters() if p.grad is not None) > 0
    assert all(p.grad is None for p in net.predictor.parameters())


def test_separate_statistics_do_not_mix_and_shared_ones_do() -> None:
    x = torch.randn(8, 3, 64, 64) * 3
    for statistics in ("separate", "shared"):
        net = FromNet({**SMALL, "size": (64, 64)}, grid=3, pyramid=6, statistics=statistics).train()
        before = {name: b.clone() for name, b in net.trunk.head.named_buffers()}
        last, _ = net.features(x)
        net.plain(last)
        moved = any(not torch.equal(b, before[name]) for name, b in net.trunk.head.named_buffers())
        assert moved == (statistics == "shared")
        own = net.eval().plain(last)
        net.begin_masking()
        torch.testing.assert_close(own, net.trunk.head(last))  # the same weights, now with the same statistics


def test_the_baseline_is_trunk_and_head() -> None:
    trunk = {**SMALL, "size": (64, 64)}
    net = models.build("from_net", trunk=trunk, mask_kind="none").eval()
    assert set(net.state_dict()) == {f"trunk.{key}" for key in models.build("iresnet", **trunk).state_dict()}
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(net(x), net.trunk(x))
    with pytest.raises(ValueError, match="no mask"):
        net.explain(x)
    for wrong in ({"mask_kind": "4d"}, {"scales": "some"}, {"trunk": {**trunk, "widths": (4, 6, 8), "depths": (1, 1)}}):
        with pytest.raises(ValueError, match=r"can be|is|three"):
            FromNet(**{"trunk": trunk, **wrong})


@pytest.mark.parametrize("kind", ["3d", "2d", "embedding"])
def test_a_mask_may_start_open(kind: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 3, 64, 64)
    half, whole = (
        FromNet({**SMALL, "size": (64, 64)}, kind, grid=3, pyramid=6, mask_bias=bias).train().features(x)[1]
        for bias in (0.0, 5.0)
    )
    assert half is not None and whole is not None
    assert float(half.detach().mean()) < 0.65 and float(whole.detach().mean()) > 0.9
