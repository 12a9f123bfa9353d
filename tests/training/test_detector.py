"""The detector's task begins with the weights of an earlier, smaller network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from unmask import weights
from unmask.data.detection import Scenes
from unmask.errors import UsageError
from unmask.models.detector import Detector
from unmask.training import assignment
from unmask.training.tasks import detector

TINY = {"stem": 4, "widths": (4, 4, 4), "neck": 4, "head": 1}


def test_further_blocks_begin_as_identities(tmp_path: Path) -> None:
    torch.manual_seed(0)
    small = Detector(**TINY, depths=(1, 1, 1, 1)).eval()
    arch = {**TINY, "depths": (1, 1, 1, 1)}
    path = weights.save(tmp_path / "small.safetensors", "detector", arch, small.state_dict())
    large = Detector(**TINY, depths=(1, 1, 3, 2))
    detector.begin(large, str(path))
    x = torch.rand(1, 3, 64, 64)
    for one, other in zip(small(x), large.eval()(x), strict=True):
        for a, b in zip(one, other, strict=True):
            torch.testing.assert_close(a, b, atol=2e-3, rtol=2e-2)  # the file holds float16
    with pytest.raises(UsageError, match="another shape"):
        detector.begin(Detector(**{**TINY, "neck": 8}), str(path))


def test_batches_carry_the_tasks_of_their_anchors(rng: np.random.Generator) -> None:
    boxes, points = np.zeros((2, 12, 4), np.float32), np.zeros((2, 12, 5, 2), np.float32)
    state = np.zeros((2, 12), np.uint8)
    boxes[0, 1], state[0, 1] = (10, 10, 50, 60), 1
    boxes[1, 0], state[1, 0] = (10, 10, 50, 60), 3
    scenes = Scenes(np.zeros((2, 64, 64, 3), np.uint8), boxes, points, state)
    batch = detector.collate(scenes, assignment.anchors(64, 64), rng)
    assert batch["x"].shape == (2, 3, 64, 64) and batch["x"].abs().max() <= 1
    assert set(batch["owner"][0].unique().tolist()) == {-1, 1}
    assert set(batch["owner"][1].unique().tolist()) == {-1} and not batch["counts"][1].all()
    assert batch["trusted"][0].tolist() == [False, True] + [False] * 10
