"""The landmarker: its shapes, its size, and its ONNX version."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from unmask.export.to_onnx import landmarker_onnx
from unmask.models.landmarker import Landmarker


def test_answers_have_their_shapes_and_the_network_is_small() -> None:
    network = Landmarker().eval()
    output = network(torch.rand(3, 3, 96, 96) * 2 - 1)
    assert [tuple(t.shape) for t in output] == [(3,), (3, 2), (3, 5, 2), (3,)]
    assert sum(p.numel() for p in network.parameters()) < 0.3e6


def test_sizes_that_do_not_halve_are_refused() -> None:
    with pytest.raises(ValueError, match="halves"):
        Landmarker(size=90)
    with pytest.raises(ValueError, match="depth per width"):
        Landmarker(depths=(1,))


def test_the_file_equals_the_model_for_any_batch(tmp_path: Path) -> None:
    ort = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    torch.manual_seed(0)
    network = Landmarker().eval()
    file = landmarker_onnx(network, tmp_path / "l.onnx")
    assert file.stat().st_size < 0.62e6
    x = torch.rand(2, 3, 96, 96) * 2 - 1
    with torch.no_grad():
        output = network(x)
    wanted = (output.face.sigmoid(), output.roll, output.points, output.garment.sigmoid())
    for a, b in zip(wanted, ort.InferenceSession(str(file)).run(None, {"crops": x.numpy()}), strict=True):
        np.testing.assert_allclose(a.numpy(), b, atol=0.02)
