"""The loop: a resumed run takes the steps of an uninterrupted one, bit for bit; checkpoints are refused clearly."""

from __future__ import annotations

import json
import time
from dataclasses import replace
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
    return loop.RunConfig("toy", out=folder, max_steps=steps, log_every=1, checkpoint_every=4)


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


@pytest.mark.parametrize("broken", ["loss", "weight", "buffer"])
def test_a_value_that_is_not_finite_stops_and_keeps_the_last_good_state(broken: str, tmp_path: Path) -> None:
    sick = task()
    inner, net = sick.step, sick.modules["net"]
    net.register_buffer("count", torch.zeros(()))

    def step(batch: torch.Tensor, at: int):
        found = dict(inner(batch, at))
        if at == 5 and broken == "loss":
            found["loss"] = torch.tensor(float("nan"))
        if at == 5 and broken == "weight":
            net[0].weight.data[0, 0] = float("inf")
        if at == 5 and broken == "buffer":
            net.count += float("nan")
        return found

    sick.step = step
    noticed = {"loss": "step 6: the loss loss is nan", "weight": "step 6: the weights", "buffer": "step 8: count of"}
    with pytest.raises(UnmaskError, match=noticed[broken]) as caught:
        loop.run(sick, config(tmp_path, 10))
    assert "last.pt still holds step 4; lower lr" in str(caught.value) and caught.value.exit_code == 1
    kept = checkpoint.read(tmp_path / checkpoint.NAME)
    assert kept["step"] == 4 and all(t.isfinite().all() for t in kept["modules"]["net"].values())


def test_a_rate_far_too_high_stops(tmp_path: Path) -> None:
    wild = task()
    wild.optimizers["all"].param_groups[0]["lr"] = 1e30
    with pytest.raises(UnmaskError, match=r"step \d: .* no checkpoint was written yet; lower lr"):
        loop.run(wild, config(tmp_path, 10))
    assert not (tmp_path / checkpoint.NAME).exists()
    for line in (tmp_path / "log.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_figures_that_are_not_finite_are_null_in_the_log(tmp_path: Path) -> None:
    blank = task()
    blank.validate = lambda: {"ap": float("nan"), "iou": 0.5}
    loop.run(blank, replace(config(tmp_path, 2), val_every=2))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["ap"] for line in lines if line["kind"] == "val"] == [None]


def test_a_flipped_bit_in_a_checkpoint_is_noticed(tmp_path: Path) -> None:
    """Wherever it is: refused, or (in what is not read, such as a date) without any effect."""
    loop.run(task(), config(tmp_path, 1))
    saved = tmp_path / checkpoint.NAME
    whole, before = saved.read_bytes(), checkpoint.read(saved)
    wanted = [t.clone() for t in before["modules"]["net"].values()]
    refused = 0
    for at in np.random.default_rng(0).integers(0, len(whole), 200):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << int(at) % 8
        saved.write_bytes(flipped)
        try:
            found = checkpoint.read(saved)
        except UnmaskError as error:
            refused += 1
            assert "last.pt" in str(error)
        else:
            assert found["step"] == 1 and found["config"] == before["config"]
            assert all(torch.equal(a, b) for a, b in zip(found["modules"]["net"].values(), wanted, strict=True))
    assert refused > 20
    spot = whole.index(wanted[0].numpy().tobytes()) + 5
    saved.write_bytes(whole[:spot] + bytes([whole[spot] ^ 4]) + whole[spot + 1 :])
    with pytest.raises(UnmaskError, match=r"altered since it was written \(.* has another checksum or kind\)"):
        checkpoint.read(saved)
    saved.write_bytes(whole[:-100])
    with pytest.raises(UnmaskError, match="not a readable checkpoint"):
        checkpoint.read(saved)


def test_other_settings_are_told_on_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loop.run(task(), config(tmp_path, 2))
    saved = tmp_path / checkpoint.NAME
    loop.run(task(), config(tmp_path, 2), resume=saved)
    assert "other settings" not in capsys.readouterr().err
    loop.run(task(), replace(config(tmp_path, 3), seed=5, batch_size=8), resume=saved)
    told = capsys.readouterr().err
    assert "last.pt: goes on with other settings: seed 0 -> 5, batch_size 32 -> 8, max_steps 2 -> 3" in told
    assert loop.changes({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}) == [("a.c", 2, 3)]


def test_a_run_stops_in_time_and_saves(tmp_path: Path) -> None:
    slow = task()
    inner = slow.step
    slow.step = lambda batch, at: (time.sleep(0.03), inner(batch, at))[1]
    loop.run(slow, replace(config(tmp_path, 1000), max_minutes=0.1 / 60))
    assert 1 <= checkpoint.read(tmp_path / checkpoint.NAME)["step"] < 100
