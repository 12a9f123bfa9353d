"""A checkpoint makes its own network, and says so where it cannot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from unmask import weights
from unmask.errors import UnmaskError
from unmask.models.iresnet import IResNet

ARCH = {"widths": (4, 6, 8), "depths": (1, 1), "embedding": 5, "size": (32, 32), "head": "gdc", "stem_stride": 2}


def test_a_checkpoint_makes_its_network_and_another_description_is_refused(tmp_path: Path) -> None:
    saved = IResNet(**ARCH).eval()  # type: ignore[arg-type]
    path = weights.save(tmp_path / "r.safetensors", "iresnet", ARCH, saved.state_dict(), half=False)
    found = weights.read(path, kind="iresnet")
    x = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(weights.build(found).eval()(x), saved(x))
    with pytest.raises(UnmaskError, match=r"r\.safetensors: .*use weights made for this version"):
        weights.build(replace(found, arch={**found.arch, "wings": 2}))
