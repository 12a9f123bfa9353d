"""The reformer may begin as the upper part of a recognizer."""

from __future__ import annotations

import pytest
import torch

from unmask.g2d.reformer import Reformer
from unmask.models.iresnet import IResNet


def test_a_reformer_starts_as_the_upper_part_of_a_recognizer() -> None:
    trunk = IResNet((6, 8, 10, 12), (2, 2, 1), 5, (64, 64), "gdc", 2, act="lrelu", early_stride=True)
    trunk(torch.rand(8, 3, 64, 64))  # statistics that are its own
    trunk.eval()
    reformer = Reformer(8, 16, 5, (8, 10, 12), (2, 2, 1), "gdc", "lrelu", True)
    reformer.start_from(trunk)
    reformer.eval()
    descriptor = trunk.stages[0](trunk.stem(torch.rand(2, 3, 64, 64)))
    torch.testing.assert_close(reformer.stages[0](descriptor), descriptor)
    found = reformer.fc(reformer.pool(reformer.stages(descriptor)))
    torch.testing.assert_close(found, trunk.head(trunk.stages[2](trunk.stages[1](descriptor))))
    larger = Reformer(8, 32, 5, (8, 10, 12), (2, 2, 1), "gdc", "lrelu", True)
    larger.start_from(trunk)
    sums = [module.pool[1].weight.sum((2, 3)) for module in (reformer, larger)]
    torch.testing.assert_close(*sums)  # what the head makes of an even map stays
    for other in (IResNet((6, 8, 10, 14), (2, 2, 1), 5, (64, 64), "gdc"), IResNet((6, 8, 10, 12), (2, 2, 1), 5)):
        with pytest.raises(ValueError, match="has the reformer's shape"):
            reformer.start_from(other)
