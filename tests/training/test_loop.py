"""The loop: a resumed run takes the steps of an uninterrupted one, bit for bit; checkpoints are refused clearly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from unmask.errors import UnmaskError, UsageError
from unmask.training import checkpoint, loop


def task(log: list[float] | None = None) -> loop.Task:
    torch.manual_seed(3)
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1))
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)

    def batch(rng: np.random.Generator, step: int) -> torch.Tensor:
        return torch.from_numpy(rng.standard_normal((6, 4))).float()

    def step(x: torch.Tensor, at: int) -> dict[str, torch.Tensor]:
        loss = (net(x) - x.sum(1, keepdim=True)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if log is not None:
            log.append(float(loss))
        return {"loss": loss.detach()}

    return loop.Task({"net": net}, {"all": optimizer}, batch, step)


def config(folder: Path, steps: int) -> loop.RunConfig:
    return loop.RunConfig("toy", out=folder, max_steps=steps, log_every=1, checkpoint_every=4, sheet_every=0)


def test_resume_is_exact(tmp_path: Path) -> None:
    whole: list[float] = []
    first: list[float] = []
    straight = task(whole)
    loop.run(straight, config(tmp_path / "a", 10))
    loop.run(task(first), config(tmp_path / "b", 6))
    resumed = task(first)
    loop.run(resumed, config(tmp_path / "b", 10), resume=tmp_path / "b" / checkpoint.NAME)
    assert first == whole
    for a, b in zip(straight.modules["net"].parameters(), resumed.modules["net"].parameters(), strict=True):
        assert torch.equal(a, b)


def test_log_is_json_lines(tmp_path: Path) -> None:
    loop.run(task(), config(tmp_path, 3))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert all(line["kind"] == "train" and "loss" in line for line in lines)


def test_an_interrupted_run_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    broken = task()
    inner = broken.step

    def step(batch: torch.Tensor, at: int):
        if at == 5:
            raise KeyboardInterrupt
        return inner(batch, at)

    broken.step = step
    with pytest.raises(KeyboardInterrupt):
        loop.run(broken, config(tmp_path, 10))
    assert checkpoint.read(tmp_path / checkpoint.NAME)["step"] == 4
    assert [p.name for p in tmp_path.glob("*.part")] == []


def test_foreign_checkpoints_are_refused(tmp_path: Path) -> None:
    loop.run(task(), config(tmp_path, 1))
    saved = tmp_path / checkpoint.NAME
    other = loop.RunConfig("another", out=tmp_path / "x", max_steps=2)
    with pytest.raises(UsageError, match="task 'toy'"):
        loop.run(task(), other, resume=saved)
    wide = task()
    wide.modules["net"] = torch.nn.Linear(9, 9)
    with pytest.raises(UsageError, match="another shape"):
        loop.run(wide, config(tmp_path / "y", 2), resume=saved)
    (tmp_path / "junk.pt").write_bytes(b"junk")
    with pytest.raises(UnmaskError, match=r"junk\.pt"):
        checkpoint.read(tmp_path / "junk.pt")
    with pytest.raises(UnmaskError, match=r"none\.pt"):
        checkpoint.read(tmp_path / "none.pt")
