"""The drawing of FROM's mask and pattern shows what the numbers say."""

from __future__ import annotations

import numpy as np
import torch

from unmask.from_net import explain, patterns
from unmask.from_net.network import FromOutput

SIZE = (112, 112)


def output(mask: torch.Tensor, label: int) -> FromOutput:
    logits = torch.zeros(1, patterns.count(4))
    logits[0, label] = 10.0
    return FromOutput(torch.zeros(1, 6), mask, logits)


def test_the_masks_dark_corner_is_the_warm_one_and_the_box_is_the_patterns() -> None:
    mask = torch.full((1, 5, 7, 7), 0.8)
    mask[:, :, 4:, 4:] = 0.2
    label = int(patterns.labels([[56, 56, 112, 112]], 4, SIZE)[0])
    (one,) = explain.explained(output(mask, label), 4, SIZE)
    assert one.box == (56, 56, 112, 112) and one.probability > 0.99
    assert one.kept.shape == (7, 7) and np.isclose(one.kept[0, 0], 0.8) and np.isclose(one.kept[6, 6], 0.2)
    sheet = explain.panel(torch.zeros(1, 3, *SIZE), [one])
    face, heat, pattern = (sheet[2:226, 2 + i * 228 : 226 + i * 228].astype(int) for i in range(3))
    assert face.std() == 0
    assert heat[200, 200, 0] > heat[200, 200, 2] + 30 and heat[20, 20, 2] > heat[20, 20, 0] + 30  # red, blue
    changed = np.abs(pattern - face).sum(2) > 0
    assert changed[113:223, 113:223].all() and not changed[:110].any() and not changed[:, :110].any()


def test_no_occlusion_draws_no_box_and_every_mask_kind_is_drawn() -> None:
    for mask in (torch.rand(1, 1, 7, 7), torch.rand(1, 6), torch.rand(1, 3, 7, 7)):
        (one,) = explain.explained(output(mask, 0), 4, SIZE)
        assert one.box is None
        sheet = explain.panel(torch.zeros(1, 3, *SIZE), [one])
        np.testing.assert_array_equal(sheet[2:226, 2:226], sheet[2:226, 458:682])


def test_narrow_faces_and_several_of_them() -> None:
    mask, logits = torch.rand(3, 4, 7, 6), torch.randn(3, patterns.count(5))
    found = explain.explained(FromOutput(torch.zeros(3, 2), mask, logits), 5, (112, 96))
    assert len(found) == 3
    sheet = explain.panel(torch.zeros(3, 3, 112, 96), found)
    assert sheet.shape[1] == 3 * (192 + 4) and sheet.shape[0] > 3 * 224
