"""A web application whose models are stand-ins, and photos as they are uploaded."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import SIZE, Detector, Segmenter
from unmask.restore.restorer import Restorer

pytest.importorskip("fastapi", reason="the extra 'web' is not installed")
pytest.importorskip("python_multipart", reason="the extra 'web' is not installed")


def encoded(level: int | np.ndarray = 120, format: str = "PNG", size: tuple[int, int] = (120, 90)) -> bytes:
    """A photo of one level with some grain, or of given pixels, as the bytes of a file."""
    pixels = level
    if not isinstance(level, np.ndarray):
        grain = np.random.default_rng(0).integers(0, 5, (size[1], size[0], 3)) if 0 < level < 250 else 0
        pixels = (np.full((size[1], size[0], 3), level) + grain).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format)
    return stream.getvalue()


class White:
    """A fill whose codes see how much is hidden; it paints white, in doubt the darker the more its codes differ."""

    def codes(self, x: Any, region: Any) -> tuple[Any, dict[int, Any]]:
        """The hidden share [N,1,1] and no skip features."""
        return region.mean((1, 2, 3)).reshape(-1, 1, 1), {}

    def synthesis(self, ws: Any, skips: Any) -> Any:
        """Stripes as strong as the codes."""
        stripes = np.arange(SIZE) % 4 < 2
        rows = (ws * stripes).clip(-1, 1)[:, None]
        return np.broadcast_to(rows, (len(rows), 3, SIZE, SIZE)).astype(np.float32)

    def seeded(self, seed: int) -> Any:
        """It has no noise."""
        return self

    def __call__(self, x: Any, region: Any) -> Any:
        """All white."""
        return x * 0 + 1


@pytest.fixture(scope="session")
def restorer() -> Restorer:
    """Stand-ins: one face in the middle, its lower half masked, filled with white."""
    return Restorer(White(), Segmenter(), Detector(), size=SIZE)


@pytest.fixture
def serve(restorer: Restorer) -> Iterator[Callable[..., Any]]:
    """Make a client of an application; options are fields of ``Limits``."""
    from fastapi.testclient import TestClient

    from unmask.web.app import create_app
    from unmask.web.schemas import Limits

    opened = []

    def make(over: Any = None, hosts: Any = None, **limits: int) -> TestClient:
        app = create_app(over or restorer, Limits(**limits), *([] if hosts is None else [hosts]))
        client = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
        client.__enter__()
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.__exit__(None, None, None)
