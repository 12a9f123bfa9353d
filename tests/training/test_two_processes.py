"""Every task in two processes over gloo: both hold the same, and a run that was stopped goes on exactly."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training import two_processes
from unmask.training import checkpoint

Held = dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that two processes have trained in."""
    place = tmp_path_factory.mktemp("together")
    two_processes.prepare(place)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
              "UNMASK_CACHE": str(place / "cache"), "OMP_NUM_THREADS": "1"}  # fmt: skip
    command = [sys.executable, "-m", "tests.training.two_processes", str(place)]
    running = [
        subprocess.Popen(command, env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)}, text=True,
                         cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for rank in range(2)
    ]  # fmt: skip
    try:
        said = [process.communicate(timeout=500)[0] for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], "\n\n".join(text[-3000:] for text in said)
    return place


def held(folder: Path, task: str) -> list[Held]:
    return [torch.load(folder / f"{task}-{rank}.pt", weights_only=True) for rank in range(2)]


def differing(a: Held, b: Held) -> list[str]:
    found = [name for name, t in a["tensors"].items() if not torch.equal(t, b["tensors"][name])]
    return found + [name for name, value in a["extra"].items() if value != b["extra"][name]]


@pytest.mark.slow
@pytest.mark.parametrize("task", list(two_processes.TASKS))
def test_both_processes_hold_the_same(task: str, folder: Path) -> None:
    first, second = held(folder, task)
    assert differing(first["whole"], second["whole"]) == []
    assert differing(first["whole"], first["halves"]) == [] and differing(second["whole"], second["halves"]) == []
    kept = checkpoint.read(folder / f"{task}-whole" / checkpoint.NAME)
    assert kept["processes"] == 2 and kept["step"] == two_processes.STEPS
    stored = {f"{n}.{k}": v for n, state in kept["modules"].items() for k, v in state.items()}
    assert differing(second["whole"], {"tensors": stored, "extra": kept["extra"]}) == []


@pytest.mark.slow
def test_the_generator_remembers_the_codes_of_all(folder: Path) -> None:
    found = held(folder, "generator")[1]["whole"]
    codes = found["tensors"]["latent.memory"]
    assert codes.shape == (two_processes.STEPS * 2 * 4, 8) and len(codes.unique(dim=0)) == len(codes)
    assert 0 < found["extra"]["p"] <= 0.9 and found["extra"]["path_mean"] > 0


@pytest.mark.slow
def test_one_process_out_of_time_stops_both(folder: Path) -> None:
    """The fixture would not have ended otherwise: the other process was given an hour."""
    assert 1 <= checkpoint.read(folder / "timed" / checkpoint.NAME)["step"] < 100_000
