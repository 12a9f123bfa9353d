"""The training loop: step, log, look, validate, checkpoint. It knows no task.

Everything random in a step follows from ``(seed, step)``: the batch, its augmentation and the noise inside the models.
So a resumed run takes the very steps that an uninterrupted one would have taken.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from .. import config as configs
from ..errors import UsageError
from . import checkpoint, distributed

Batch = Any
M = TypeVar("M", bound=nn.Module)
Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class RunConfig:
    """What every run has. ``max_minutes`` stops early (0: never); ``sheet_every`` 0 writes no pictures."""

    task: str
    data: Path = Path("data")
    out: Path = Path("runs")
    seed: int = 0
    batch_size: int = 32
    max_steps: int = 1000
    max_minutes: float = 0.0
    log_every: int = 20
    val_every: int = 500
    sheet_every: int = 500
    checkpoint_every: int = 200
    precision: Precision = "auto"
    threads: int = 0


@dataclass
class Task:
    """One training task as the loop sees it.

    ``batch(rng, step)`` makes a batch on the CPU; ``step(batch, step)`` runs backward and the optimizers itself and
    returns named scalar losses; ``validate()`` returns named figures; ``sheet()`` a uint8 picture [H,W,3].
    """

    modules: Mapping[str, nn.Module]
    optimizers: Mapping[str, torch.optim.Optimizer]
    batch: Callable[[np.random.Generator, int], Batch]
    step: Callable[[Batch, int], Mapping[str, Tensor | float]]
    validate: Callable[[], Mapping[str, float]] | None = None
    sheet: Callable[[], np.ndarray] | None = None
    extra: dict[str, Any] = field(default_factory=dict)


def run(task: Task, config: RunConfig, resume: Path | None = None) -> Path:
    """Train ``task`` for ``config.max_steps`` steps and return the path of the last checkpoint."""
    folder = config.out
    folder.mkdir(parents=True, exist_ok=True)
    first = _restore(task, config, resume) if resume else 0
    log = Log(folder, first)
    saved = folder / checkpoint.NAME
    deadline = time.monotonic() + 60 * config.max_minutes if config.max_minutes else float("inf")
    steps = tqdm(
        range(first, config.max_steps),
        initial=first,
        total=config.max_steps,
        desc=config.task,
        disable=not distributed.is_main(),
        mininterval=5,
    )
    step = first
    try:
        for step, batch in zip(steps, prefetch(task, config, first), strict=False):
            torch.manual_seed(_seed(config.seed, step))
            losses = task.step(batch, step)
            done = step + 1
            if done % config.log_every == 0:
                log.write(done, "train", {k: float(v) for k, v in losses.items()})
                steps.set_postfix_str(" ".join(f"{k} {float(v):.3g}" for k, v in losses.items())[:100])
            if not distributed.is_main():
                continue
            if task.validate and done % config.val_every == 0:
                log.write(done, "val", task.validate())
            if task.sheet and config.sheet_every and done % config.sheet_every == 0:
                Image.fromarray(task.sheet()).save(folder / f"sheet-{done:07d}.png")
            if done % config.checkpoint_every == 0:
                _save(saved, task, config, done)
            if time.monotonic() > deadline:
                break
    finally:
        steps.close()
        log.close()
    if distributed.is_main():
        _save(saved, task, config, min(step + 1, config.max_steps) if config.max_steps > first else first)
    return saved


def prefetch(task: Task, config: RunConfig, first: int, ahead: int = 3) -> Iterator[Batch]:
    """Batches of the steps from ``first`` on, made a few steps ahead in background threads, always in order."""

    def make(step: int) -> Batch:
        return task.batch(np.random.default_rng([config.seed, step, distributed.rank()]), step)

    with ThreadPoolExecutor(ahead if torch.cuda.is_available() else 1) as pool:
        waiting: list[Future[Batch]] = [pool.submit(make, first + i) for i in range(ahead)]
        at = first + ahead
        while True:
            batch = waiting.pop(0).result()
            waiting.append(pool.submit(make, at))
            at += 1
            yield batch


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[Any]:
    """The mixed-precision context: ``auto`` means bfloat16 on CUDA and on CPUs that multiply it themselves."""
    if precision == "auto":
        own = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
        capable = device.type == "cuda" or (device.type == "cpu" and own)
        precision = "bf16" if capable else "fp32"
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)


def place(module: M, device: torch.device) -> M:
    """Move a module to a device, its kernels laid out channels last."""
    return cast(M, cast(Any, module).to(device, memory_format=torch.channels_last))


def _seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step, distributed.rank(), 1]).generate_state(1)[0])


def _save(path: Path, task: Task, config: RunConfig, step: int) -> None:
    checkpoint.save(
        path,
        {
            "task": config.task,
            "step": step,
            "config": configs.plain(config),
            "modules": {k: m.state_dict() for k, m in task.modules.items()},
            "optimizers": {k: o.state_dict() for k, o in task.optimizers.items()},
            "extra": dict(task.extra),
        },
    )


def _restore(task: Task, config: RunConfig, path: Path) -> int:
    content = checkpoint.read(path)
    if content["task"] != config.task:
        raise UsageError(f"{path}: a checkpoint of task {content['task']!r}, not {config.task!r}")
    for name, module in task.modules.items():
        try:
            module.load_state_dict(content["modules"][name])
        except (KeyError, RuntimeError):
            raise UsageError(
                f"{path}: its {name} has another shape than the config; resume with its own config"
            ) from None
    for name, optimizer in task.optimizers.items():
        optimizer.load_state_dict(content["optimizers"][name])
    task.extra.update(content.get("extra", {}))
    return int(content["step"])


class Log:
    """JSON lines in ``log.jsonl`` and, where tensorboard is installed, its event files."""

    def __init__(self, folder: Path, first: int) -> None:
        self.start = time.monotonic()
        self.main = distributed.is_main()
        self.stream = (folder / "log.jsonl").open("a", encoding="utf-8") if self.main else None
        self.board: Any = None
        if self.main:
            try:
                from torch.utils.tensorboard import SummaryWriter

                self.board = SummaryWriter(str(folder / "tb"), purge_step=first)
            except ImportError:
                pass

    def write(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        """Append one line: step, kind ("train" or "val"), seconds since the start, and the values."""
        if self.stream is None:
            return
        line = {
            "step": step,
            "kind": kind,
            "seconds": round(time.monotonic() - self.start, 1),
            **{k: round(v, 6) for k, v in values.items()},
        }
        self.stream.write(json.dumps(line) + "\n")
        self.stream.flush()
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Close the files."""
        if self.stream is not None:
            self.stream.close()
        if self.board is not None:
            self.board.close()
