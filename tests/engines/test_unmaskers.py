"""Both engines give the same numbers: a pack of random ones written here, and the embedded pack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from unmask import Restorer, images, models, weights
from unmask.engines import networks, unmaskers
from unmask.errors import UnmaskError
from unmask.export import to_onnx

SIZE = 64
ARCHS: dict[str, dict] = {
    "unmasker": {"img_resolution": SIZE, "w_dim": 16, "channels": [16] * 5, "skips": [16], "gated": [16]},
    "segmenter": {"widths": [8, 16], "depths": [0, 1], "ups": [8]},
    "landmarker": {"size": 32, "widths": [16, 16], "depths": [0, 1], "squeeze": 4, "hidden": 8},
}


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights folder whose networks have ONNX files."""
    home = tmp_path_factory.mktemp("pack")
    torch.manual_seed(0)
    for kind, arch in ARCHS.items():
        network = models.build(kind, **arch).eval()
        for name, parameter in network.named_parameters():
            if "noise_strength" in name or "encoder.skips" in name:
                parameter.data.add_(0.3 * torch.randn(parameter.shape))
        path = weights.save(home / f"{kind}.safetensors", kind, arch, network.state_dict(), {"size": SIZE})
        weights.fill(network, weights.read(path))
        write = getattr(to_onnx, f"{kind}_onnx")
        exported = write(network, home / f"{kind}.onnx", arch.get("size", SIZE), beside=path)
        weights.register(kind, path, license="", source="", onnx=exported, template="ffhq", size=SIZE, folder=home)
    return home


def inputs(count: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Crops and their regions."""
    region = np.zeros((count, 1, SIZE, SIZE), np.float32)
    region[:, :, SIZE // 2 :] = 1
    return np.random.default_rng(0).uniform(-1, 1, (count, 3, SIZE, SIZE)).astype(np.float32), region


def test_unmaskers_agree_with_any_seed_and_by_codes(pack: Path) -> None:
    onnx, torch_one = (unmaskers.load("unmasker", engine, "cpu", pack) for engine in ("onnx", "torch"))
    assert isinstance(onnx, unmaskers.Inverter) and isinstance(torch_one, unmaskers.Inverter)
    assert (onnx.size, onnx.template, onnx.sha256) == (torch_one.size, torch_one.template, torch_one.sha256)
    x, region = inputs()
    pictures = []
    for seed in (0, 1, 2):
        one, other = onnx.seeded(seed), torch_one.seeded(seed)
        pictures.append(one(x, region))
        np.testing.assert_allclose(pictures[-1], other(x, region), atol=1e-3, rtol=1e-3)
        ws, skips = one.codes(x, region)
        for found, wanted in zip((ws, *skips.values()), _flat(other.codes(x, region)), strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-3, rtol=1e-3)
        np.testing.assert_allclose(one.synthesis(ws, skips), pictures[-1], atol=1e-3, rtol=1e-3)
        np.testing.assert_allclose(other.synthesis(ws + 1, skips), one.synthesis(ws + 1, skips), atol=1e-3, rtol=1e-3)
    assert np.abs(pictures[0] - pictures[1]).max() > 0.01 and np.abs(pictures[1] - pictures[2]).max() > 0.01
    np.testing.assert_array_equal(onnx(x, region), pictures[0])  # the one that was seeded has not changed


def _flat(codes: tuple) -> list[np.ndarray]:
    return [codes[0], *codes[1].values()]


@pytest.mark.parametrize("kind", ["segmenter", "landmarker"])
def test_small_networks_agree(pack: Path, kind: str) -> None:
    one, other = (networks.load(kind, kind, engine, "cpu", pack) for engine in ("onnx", "torch"))
    assert (one.size, one.template, one.sha256) == (other.size, other.template, other.sha256)
    x = np.random.default_rng(0).uniform(-1, 1, (3, 3, one.size, one.size)).astype(np.float32)
    for found, wanted in zip(one(x), other(x), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_what_cannot_be_loaded_is_told(pack: Path, tmp_path: Path) -> None:
    with pytest.raises(UnmaskError, match="holds a segmenter, not a unmasker"):
        unmaskers.load(pack / "segmenter.onnx", "onnx", "cpu")
    with pytest.raises(UnmaskError, match="not an unmasker"):
        (tmp_path / "s.onnx").write_bytes((pack / "segmenter.onnx").read_bytes())
        (tmp_path / "segmenter.safetensors").write_bytes((pack / "segmenter.safetensors").read_bytes())
        unmaskers.load(tmp_path / "s.onnx", "onnx", "cpu")
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(UnmaskError, match=r"broken\.onnx: not a readable ONNX model"):
        unmaskers.load(tmp_path / "broken.onnx", "onnx", "cpu")


def test_the_embedded_pack_gives_one_picture_by_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pixel may lie on the edge between two levels."""
    sample = Path(__file__).parents[2] / "samples" / "astronaut-masked.png"
    pixels = images.read(sample).pixels
    onnx, torch_one = (Restorer.from_pretrained(device="cpu", engine=engine) for engine in ("onnx", "torch"))
    for how in ({}, {"seed": 5, "samples": 3}):
        a, b = onnx.restore(pixels, **how), torch_one.restore(pixels, **how)
        apart = np.abs(a.pixels.astype(int) - b.pixels)
        assert apart.max() <= 1 and (apart > 0).mean() < 1e-3
        assert a.faces[0].drift == pytest.approx(b.faces[0].drift, abs=2e-3)
    for k in range(3):
        apart = np.abs(a.faces[0].samples[k].astype(int) - b.faces[0].samples[k])
        assert apart.max() <= 1
