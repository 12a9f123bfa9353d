"""How many threads the libraries take while several pictures, or the frames of a clip, are in work."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def side_by_side(jobs: int) -> Iterator[int]:
    """How many pictures to work on at once; several get one thread each, which wastes less than sharing them."""
    import torch

    cores = torch.get_num_threads()
    with one_each() if jobs > 1 else contextlib.nullcontext():
        yield cores


@contextlib.contextmanager
def one_each() -> Iterator[None]:
    """One thread each for torch, OpenCV, and the ONNX sessions that are opened meanwhile: else their pools fight."""
    import cv2
    import torch

    cores, of_cv2 = torch.get_num_threads(), cv2.getNumThreads()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(of_cv2)
        torch.set_num_threads(cores)
