"""The segmenter of a checkpoint: sizes, ranges and errors; and what the embedded one finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from unmask import weights
from unmask.errors import UnmaskError
from unmask.faces.segment import Segmenter, tidy, with_straps
from unmask.models.segmenter import Segmenter as Network

SMALL = {"widths": [16, 16], "depths": [0, 0], "ups": [16]}


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    network = Network(**SMALL)
    return weights.save(
        tmp_path / "s.safetensors", "segmenter", SMALL, network.state_dict(), {"size": 64, "template": "ffhq"}
    )


@pytest.mark.parametrize("side", [48, 64, 100])
def test_regions_have_the_size_of_the_crops(stored: Path, side: int) -> None:
    segmenter = Segmenter(stored)
    region, garment = segmenter.predict(np.random.default_rng(0).uniform(-1, 1, (3, 3, side, side)).astype(np.float32))
    assert region.shape == (3, 1, side, side) and garment.shape == (3,)
    for out in (region, garment):
        assert out.dtype == np.float32 and float(out.min()) >= 0 and float(out.max()) <= 1


def test_it_is_the_network_of_the_file(stored: Path) -> None:
    network = Network(**SMALL)
    weights.fill(network, weights.read(stored))
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        logits, score = network.eval()(x)
    region, garment = Segmenter(stored).predict(x.numpy(), tidied=False)
    np.testing.assert_allclose(region, logits.sigmoid(), atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(garment, score.sigmoid(), atol=1e-4, rtol=1e-4)


def test_wrong_shapes_and_wrong_kinds_are_refused(stored: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\[N,3,S,S\]"):
        Segmenter(stored).predict(np.zeros((1, 3, 64, 32), np.float32))
    other = weights.save(tmp_path / "d.safetensors", "detector", {}, {"a": torch.zeros(1)})
    with pytest.raises(UnmaskError, match="holds a detector"):
        Segmenter(other)


def test_tidy_fills_holes_and_drops_what_is_somebody_elses() -> None:
    region = np.full((64, 64), 0.02, np.float32)
    region[30:60, 16:48] = 0.9  # the face mask
    region[40:46, 28:36] = 0.1  # a valve
    region[36:39, 48:64] = 0.8  # a strap, connected
    region[2:8, 2:10] = 0.95  # something above
    out = tidy(region)
    assert (out[40:46, 28:36] > 0.5).all() and (out[2:8, 2:10] < 0.5).all()
    untouched = np.ones_like(region, bool)
    untouched[40:46, 28:36] = untouched[2:8, 2:10] = False
    np.testing.assert_array_equal(out[untouched], region[untouched])


def test_tidy_keeps_a_face_mask_that_a_finger_divides_and_an_empty_region() -> None:
    region = np.zeros((64, 64), np.float32)
    region[30:60, 10:30] = region[30:60, 34:54] = 0.9
    np.testing.assert_array_equal(tidy(region), region)
    np.testing.assert_array_equal(tidy(np.full((8, 8), 0.3, np.float32)), np.full((8, 8), 0.3, np.float32))


def test_a_faint_strap_joined_to_the_region_belongs_to_it() -> None:
    region = np.zeros((128, 128), np.float32)
    region[70:100, 40:90] = 1
    region[69, 40:90] = region[100, 40:90] = 0.3  # its soft edge
    region[40:70, 40:42] = 0.15  # a strap
    region[20:30, 100:102] = 0.15  # something else
    region[50:70, 70:90] = 0.05
    found = with_straps(region)
    assert (found[40:67, 40:42] == 1).all()
    unchanged = np.ones(region.shape, bool)
    unchanged[40:70, 40:42] = False
    np.testing.assert_array_equal(found[unchanged], region[unchanged])
    nothing = np.full((128, 128), 0.2, np.float32)
    np.testing.assert_array_equal(with_straps(nothing), nothing)
