"""ONNX files of the small networks: equal to the torch models, half the size, and read by insightface."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from unmask import weights
from unmask.export.to_onnx import detector_onnx, generator_onnx, segmenter_onnx
from unmask.models.detector import Detector, ScrfdLayout
from unmask.models.generator import Generator
from unmask.models.segmenter import Segmenter

ort = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("onnx")
    torch.manual_seed(0)
    detector, segmenter = Detector().eval(), Segmenter().eval()
    torch.save(detector.state_dict(), folder / "d.pt")
    torch.save(segmenter.state_dict(), folder / "s.pt")
    return {
        "detector": detector_onnx(detector, folder / "d.onnx"),
        "segmenter": segmenter_onnx(segmenter, folder / "s.onnx"),
        "whole": segmenter_onnx(segmenter, folder / "s32.onnx", half=False),
        "folder": folder,
    }


def test_the_files_are_small_and_nothing_half_written_stays(files: dict[str, Path]) -> None:
    assert files["detector"].stat().st_size < 1.5e6
    assert files["segmenter"].stat().st_size < 0.6 * files["whole"].stat().st_size
    assert sorted(p.name for p in files["folder"].iterdir()) == ["d.onnx", "d.pt", "s.onnx", "s.pt", "s32.onnx"]


@pytest.mark.parametrize("shape", [(64, 64), (96, 160)])
def test_the_detector_file_equals_the_model_at_any_size(files: dict[str, Path], shape: tuple[int, int]) -> None:
    model = Detector().eval()
    model.load_state_dict(torch.load(files["folder"] / "d.pt", weights_only=True))
    x = torch.rand(1, 3, *shape) * 2 - 1
    with torch.no_grad():
        ours = ScrfdLayout(model)(x)
    theirs = ort.InferenceSession(str(files["detector"])).run(None, {"input": x.numpy()})
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.numpy(), b, atol=0.02)


def test_the_segmenter_file_equals_the_model_for_any_batch(files: dict[str, Path]) -> None:
    model = Segmenter().eval()
    model.load_state_dict(torch.load(files["folder"] / "s.pt", weights_only=True))
    x = torch.rand(3, 3, 128, 128) * 2 - 1
    with torch.no_grad():
        region, garment = model(x)
    session = ort.InferenceSession(str(files["segmenter"]))
    found = session.run(["region", "garment"], {"faces": x.numpy()})
    np.testing.assert_allclose(found[0], region.sigmoid().numpy(), atol=5e-3)
    np.testing.assert_allclose(found[1], garment.sigmoid().numpy(), atol=5e-3)
    whole = ort.InferenceSession(str(files["whole"])).run(["region"], {"faces": x.numpy()})[0]
    np.testing.assert_allclose(whole, region.sigmoid().numpy(), atol=1e-4)


def test_insightface_loads_and_runs_the_detector(files: dict[str, Path]) -> None:
    zoo = pytest.importorskip("insightface.model_zoo")
    model = zoo.get_model(str(files["detector"]))
    assert type(model).__name__ == "SCRFD" and model.use_kps and model._num_anchors == 2
    model.prepare(-1, det_thresh=0.001)
    image = np.random.default_rng(0).integers(0, 256, (100, 150, 3), dtype=np.uint8)
    boxes, points = model.detect(image, input_size=(160, 128))
    assert boxes.shape[1] == 5 and points.shape == (len(boxes), 5, 2) and len(boxes) > 0


def test_a_twin_refers_to_the_weights_beside_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    arch = {"z_dim": 16, "w_dim": 16, "img_resolution": 32, "channels": [24, 24, 16, 16], "mapping_layers": 2}
    stored = weights.save(tmp_path / "g.safetensors", "generator", arch, Generator(**arch).state_dict())
    model = Generator(**arch)
    weights.fill(model, weights.read(stored))
    path = generator_onnx(model.eval(), tmp_path / "g.onnx", 16, beside=stored)
    held = onnx.load(str(path), load_external_data=False).graph.initializer
    assert sum(len(t.raw_data) for t in held) < 0.3 * stored.stat().st_size
    z = torch.randn(3, 16)
    with torch.no_grad():
        ours = model(z, noise="const").numpy()
    found = ort.InferenceSession(str(path)).run(None, {"z": z.numpy()})[0]
    np.testing.assert_allclose(found, ours, rtol=1e-4, atol=1e-4)
    stored.rename(tmp_path / "elsewhere.safetensors")
    with pytest.raises(Exception, match=r"g\.safetensors"):
        ort.InferenceSession(str(path))
