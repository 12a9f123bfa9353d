"""LPIPS: what it says where it cannot be had, and the real one where it can."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.evaluation import standins
from unmask.errors import UnmaskError
from unmask.faces import align
from unmask.losses import perceptual

FILE = "alexnet-owt-01234567.pth"


class Package(nn.Module):
    """The shape of the lpips package's network: a trunk in slices that keep torchvision's numbers."""

    def __init__(self, net: str, pnet_rand: bool, verbose: bool) -> None:
        super().__init__()
        assert (net, pnet_rand, verbose) == ("alex", True, False)
        self.net = nn.Module()
        self.net.slice1 = nn.Sequential(nn.Conv2d(3, 2, 1))
        self.net.slice2 = nn.Sequential()
        self.net.slice2.add_module("3", nn.Conv2d(2, 2, 1))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of torch's hub, a stand-in for both packages, and no internet."""

    def unreachable(*_: Any, **__: Any) -> None:
        raise OSError("no route to host")

    models = types.SimpleNamespace(get_weight=lambda name: types.SimpleNamespace(url=f"https://nowhere.test/{FILE}"))
    monkeypatch.setitem(sys.modules, "lpips", types.SimpleNamespace(LPIPS=Package))
    monkeypatch.setitem(sys.modules, "torchvision", types.SimpleNamespace(models=models))
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    return tmp_path / "hub" / "checkpoints"


def test_lpips_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(UnmaskError, match=r"needs the lpips package .* pip install 'unmask\[lpips\]'"):
        perceptual.lpips()


def test_the_trunk_is_filled_by_torchvisions_names(hub: Path) -> None:
    wanted = {"features.0.weight": torch.rand(2, 3, 1, 1), "features.3.weight": torch.rand(2, 2, 1, 1)}
    others = {"features.0.bias": torch.zeros(2), "features.3.bias": torch.zeros(2), "classifier.1.bias": torch.ones(4)}
    torch.save(wanted | others, hub / FILE)
    network = perceptual.lpips()
    assert torch.equal(network.net.slice1[0].weight, wanted["features.0.weight"])
    assert torch.equal(network.net.slice2[0].weight, wanted["features.3.weight"])
    assert not network.training and not any(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("content", [None, b"not a checkpoint", {"features.0.weight": torch.zeros(2, 3, 1, 1)}])
def test_weights_that_do_not_load_say_where_they_belong(hub: Path, content: Any) -> None:
    if isinstance(content, bytes):
        (hub / FILE).write_bytes(content)
    elif content is not None:
        torch.save(content, hub / FILE)
    with pytest.raises(UnmaskError) as told:
        perceptual.lpips()
    said = str(told.value)
    assert f"put torchvision's {FILE} into {hub}" in said and "\n" not in said


def test_a_pickle_of_anything_else_is_not_run(hub: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[Path]]:
            return Path.touch, (tmp_path / "ran",)

    torch.save({"features.0.weight": Trap()}, hub / FILE)
    with pytest.raises(UnmaskError, match="do not load"):
        perceptual.lpips()
    assert not (tmp_path / "ran").exists()


def test_lpips_and_its_map_by_one_network() -> None:
    network = standins.Distances()
    y = torch.zeros(2, 3, 4, 4)
    y_hat = y.clone()
    y_hat[1, :, 0, 0] = 1
    whole, local = perceptual.lpips_and_map(network, y_hat, y)
    assert whole.tolist() == pytest.approx([0, 1 / 16])
    assert local.shape == (2, 1, 4, 4) and local[1, 0, 0, 0] == 1 and local.sum() == 1
    assert not network.spatial


def test_the_published_lpips() -> None:
    """Facts that hold of LPIPS alone: learned weights are not negative, noise and blur count more the stronger."""
    try:
        network = perceptual.lpips()
    except UnmaskError as error:
        pytest.skip(str(error))
    assert all(float(one.model[1].weight.min()) >= 0 for one in network.lins)
    # The first filter of the ImageNet AlexNet that LPIPS 0.1 was fitted on.
    first = network.net.slice1[0].weight[0, 0, 0, :3]
    assert first.tolist() == pytest.approx([0.118640, 0.094069, 0.095435], abs=1e-6)
    y = torch.from_numpy(standins.face(3)).permute(2, 0, 1)[None].float() / 127.5 - 1
    noise = torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    noisy = torch.cat([y + s * noise for s in (0, 0.05, 0.1, 0.2, 0.4)]).clamp(-1, 1)
    blurred = torch.cat([y, *(nn.functional.avg_pool2d(y, k, 1, k // 2, count_include_pad=False) for k in (3, 7, 15))])
    for made in (noisy, blurred):
        whole, local = perceptual.lpips_and_map(network, made, y.expand_as(made))
        assert float(whole[0]) == pytest.approx(0, abs=1e-6) and bool((whole[1:] > whole[:-1]).all())
        torch.testing.assert_close(local.mean((1, 2, 3)), whole, rtol=0.02, atol=1e-4)


def test_a_share_of_pictures_is_disturbed_and_gradients_pass() -> None:
    x = torch.rand(400, 3, 16, 16, requires_grad=True)
    found = perceptual.disturbed(x, 0.3)
    same = (found == x).flatten(1).all(1)
    assert 0.6 < float(same.float().mean()) < 0.8
    found.sum().backward()
    assert float(x.grad.abs().sum((1, 2, 3)).min()) > 0  # type: ignore[union-attr]
    flat = torch.full((50, 3, 16, 16), 0.5)
    assert float(perceptual.disturbed(flat, 1.0).std((2, 3)).max()) < 1e-5  # one light over all of a picture


def test_covers_lie_over_the_eyes_of_a_share_and_never_over_the_mouth() -> None:
    covered = perceptual.covers(400, 128, 0.7)
    assert covered.shape == (400, 1, 128, 128)
    some = covered.flatten(1).any(1)
    assert 0.6 < float(some.float().mean()) < 0.8
    eyes, mouth = (align.template("ffhq", 128)[rows].round().astype(int) for rows in (slice(0, 2), slice(3, 5)))
    for x, y in eyes:
        assert bool((covered[some][:, 0, y, x] == 1).all())
    for x, y in mouth:
        assert not bool(covered[:, 0, y, x].any())
    assert perceptual.covers(5, 64, 0.0).sum() == 0
