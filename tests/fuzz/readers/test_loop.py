"""A bounded mutation loop over lists, configs, weights, graphs and pickles.

There is no exception but ours, none above a second of processor time or half a gigabyte. ``UNMASK_FUZZ_SECONDS`` and
``UNMASK_FUZZ_SEED`` set how long and from where (`make fuzz` gives it minutes); the suite takes a few inputs of each
kind. An input that fails is named by its kind and seed, which make it again.
"""

from __future__ import annotations

import os
import random
import resource
import time
from pathlib import Path

import pytest

from tests.fuzz.readers import corpus
from unmask.errors import UnmaskError

SECONDS = float(os.environ.get("UNMASK_FUZZ_SECONDS", "0"))
SEED = int(os.environ.get("UNMASK_FUZZ_SEED", "0"))
FEW = 25  # inputs of each kind where no time is given
MOST_SECONDS = 1.0  # of processor time, so that a busy machine does not fail it
MOST_BYTES = 512 * 1024**2
# Inputs that once failed, as (kind, seed): tried first, always.
STORED = [("pairs-calfw", 1522), ("pairs-csv", 1709), ("pairs-lfw", 1316), ("pairs-list", 1427), ("safetensors", 3409),
          ("yaml", 1449)]  # fmt: skip


def tried(folder: Path, kind: str, seed: int | None) -> bool:
    """Read one mutated file (the whole one without a seed); whether it was taken."""
    name, data, read = corpus.kinds()[kind]
    if seed is not None:
        data = corpus.mutated(data, random.Random(f"{kind}/{seed}"))
    (folder / name).write_bytes(data)
    start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    try:
        read(folder / name)
        taken = True
    except UnmaskError as error:
        assert "\n" not in str(error) and name in str(error) and len(str(error)) < 1200, (kind, seed, str(error))
        taken = False
    except Exception as error:
        raise AssertionError(f"kind {kind}, seed {seed}: {type(error).__name__}: {error}") from error
    spent = time.process_time() - start
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    assert spent < MOST_SECONDS, f"kind {kind}, seed {seed}: {spent:.1f} s"
    assert grown < MOST_BYTES, f"kind {kind}, seed {seed}: {grown / 1024**2:.0f} MB"
    return taken


@pytest.mark.filterwarnings("ignore")
def test_whole_files_are_read(tmp_path: Path) -> None:
    """All but the pickle, which is no whole generator, and says so."""
    first = {kind: _once(tmp_path, kind) for kind in corpus.kinds()}
    assert {kind for kind, taken in first.items() if not taken} == {"pickle"}


def _once(folder: Path, kind: str) -> bool:
    try:
        return tried(folder, kind, None)
    except AssertionError as error:  # what is imported on first use takes its time
        if " s" in str(error) or "MB" in str(error):
            return tried(folder, kind, None)
        raise


@pytest.mark.filterwarnings("ignore")
def test_stored_inputs(tmp_path: Path) -> None:
    for kind, seed in STORED:
        _once(tmp_path, kind)
        tried(tmp_path, kind, seed)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", corpus.kinds())
def test_mutated_files(kind: str, tmp_path: Path) -> None:
    _once(tmp_path, kind)
    end = time.monotonic() + SECONDS / len(corpus.kinds())
    count = taken = 0
    while count < FEW or time.monotonic() < end:
        taken += tried(tmp_path, kind, SEED + count)
        count += 1
    print(f"{kind}: {count} inputs, {taken} of them read")
