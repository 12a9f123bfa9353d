"""The native kernels, built once for all tests of this folder."""

from __future__ import annotations

import pytest

from unmask.ops import build, native


@pytest.fixture(scope="session")
def kernels() -> None:
    """Load the native kernels; the test is skipped where they cannot be built."""
    try:
        native.load()
    except build.BuildError as error:
        if "no C++ compiler" in str(error) or "ninja is missing" in str(error):
            pytest.skip(str(error))
        raise
