"""A bounded mutation loop over image files: no exception but ours, none above a second or half a gigabyte.

``UNMASK_FUZZ_SECONDS`` and ``UNMASK_FUZZ_SEED`` set how long and from where (`make fuzz` gives it minutes); the suite
takes a few hundred inputs. An input that fails is named by its kind and seed, which make it again.
"""

from __future__ import annotations

import os
import random
import resource
import time

import numpy as np
import pytest

from tests.fuzz.images import corpus
from unmask import images
from unmask.errors import UnmaskError

SECONDS = float(os.environ.get("UNMASK_FUZZ_SECONDS", "0"))
SEED = int(os.environ.get("UNMASK_FUZZ_SEED", "0"))
FEW = 40  # inputs of each kind where no time is given
MOST_SECONDS = 1.0  # of processor time, so that a busy machine does not fail it
MOST_BYTES = 512 * 1024**2
# Inputs that once failed, as (kind, seed): tried first, always.
STORED: list[tuple[str, int]] = []


def tried(kind: str, seed: int) -> bool:
    """Read one mutated file, and write what was read; whether it was a picture."""
    data = corpus.mutated(corpus.seeds()[kind], random.Random(f"{kind}/{seed}"))
    start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    try:
        photo = images.read(data)
        assert photo.pixels.dtype == np.uint8 and photo.pixels.shape == (photo.height, photo.width, 3)
        if photo.pixels.size <= 1_000_000:
            images.encode(photo, 255 - photo.pixels, {"software": "fuzz"})
        read = True
    except UnmaskError as error:
        assert "\n" not in str(error) and str(error).startswith("the image: "), (kind, seed, str(error))
        read = False
    except Exception as error:
        raise AssertionError(f"kind {kind}, seed {seed}: {type(error).__name__}: {error}") from error
    taken = time.process_time() - start
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    assert taken < MOST_SECONDS, f"kind {kind}, seed {seed}: {taken:.1f} s"
    assert grown < MOST_BYTES, f"kind {kind}, seed {seed}: {grown / 1024**2:.0f} MB"
    return read


@pytest.mark.filterwarnings("ignore")
def test_stored_inputs() -> None:
    for kind, seed in STORED:
        tried(kind, seed)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", corpus.seeds())
def test_mutated_files(kind: str) -> None:
    end = time.monotonic() + SECONDS / len(corpus.seeds())
    count = read = 0
    while count < FEW or time.monotonic() < end:
        read += tried(kind, SEED + count)
        count += 1
    print(f"{kind}: {count} inputs, {read} of them pictures")
