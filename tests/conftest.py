"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

os.environ.setdefault("UNMASK_OPS", "reference")  # only the tests of the ops themselves pay for a build

TINY = ("from_net", "g2d", "losses", "models", "training")


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded generator, fresh for each test."""
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _few_channels(request: pytest.FixtureRequest) -> Iterator[None]:
    """No oneDNN where tiny networks learn: backward through few channels it (torch 2.13) writes beyond its memory."""
    tiny = request.path.relative_to(Path(__file__).parent).parts[0] in TINY
    if tiny:
        torch._C._set_mkldnn_enabled(False)
    yield
    if tiny:
        torch._C._set_mkldnn_enabled(True)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of face data named by ``UNMASK_DATA``; the test is skipped where there is none."""
    folder = os.environ.get("UNMASK_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("set UNMASK_DATA to the folder of face data to run this test")
    return Path(folder)
