"""The training loop: step, log, look, validate, checkpoint. It knows no task.

Everything random in a step follows from ``(seed, step)``: the batch, its augmentation and the noise inside the models.
So a resumed run takes the very steps that an uninterrupted one would have taken.
"""

from __future__ import annotations

import math
import sys
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

from .. import config as configs
from .. import progress
from ..config import BatchSize, Count, Minutes, Number, Rate, Seed, Threads, Workers
from ..errors import UnmaskError, UsageError
from . import checkpoint, distributed
from .log import Log

Batch = Any
M = TypeVar("M", bound=nn.Module)
Precision = Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True)
class RunConfig:
    """What every run has."""

    task: str
    """Which task runs."""
    data: Path = Path("data")
    """The folder that holds all sources."""
    out: Path = Path("runs")
    """The run's own folder: log, pictures, checkpoint."""
    sources: tuple[str, ...] = ()
    """Sets of aligned faces below ``data``, each a zip or a folder with an ``index.csv``."""
    seed: Seed = 0
    """What all random numbers follow from, together with the step."""
    batch_size: BatchSize = 32
    """Faces a step, of each process."""
    max_steps: Number = 1000
    """The last step; the learning rate falls towards it."""
    max_minutes: Minutes = 0.0
    """Stops earlier, after so many minutes; 0: never."""
    lr: Rate = 2e-3
    """Learning rate."""
    warmup_steps: Number = 100
    """Steps over which the learning rate rises from 0."""
    log_every: Count = 20
    """Steps from one line of the log to the next."""
    val_every: Count = 500
    """Steps from one validation to the next, with a picture where the task draws one."""
    checkpoint_every: Count = 200
    """Steps from one checkpoint to the next."""
    precision: Precision = "auto"
    """``fp32``, ``bf16``, or ``auto``: bf16 where the machine has arithmetic for it."""
    threads: Threads = 0
    """Threads of a process; 0 leaves torch's own choice."""
    workers: Workers = 2
    """Processes that render face masks."""

    @property
    def drawn(self) -> int:
        """How many pictures all steps of all processes draw together: no more have to be made ready."""
        return max(1, self.max_steps * self.batch_size * distributed.count())

    @property
    def measured(self) -> bool:
        """Whether the run is long enough to validate."""
        return self.max_steps >= self.val_every


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
    """Train ``task`` for ``config.max_steps`` steps and return the path of the last checkpoint.

    All processes stop, average their running statistics and save at the same steps.

    Raises:
        UnmaskError: a loss or a weight is not finite any more; the last checkpoint is left as it is.
    """
    first = _restore(task, config, resume) if resume else 0
    saved = config.out / checkpoint.NAME
    log = Log(config.out, first)
    deadline = time.monotonic() + 60 * config.max_minutes if config.max_minutes else float("inf")
    steps = progress.bar(
        range(first, config.max_steps),
        what=config.task,
        total=config.max_steps,
        unit="step",
        initial=first,
        shown=distributed.is_main(),
    )
    kept = first if resume else None
    try:
        for step, batch in zip(steps, prefetch(task, config, first), strict=False):
            torch.manual_seed(_seed(config.seed, step))
            losses = task.step(batch, step)
            done = step + 1
            over = done == config.max_steps or _any(task, time.monotonic() > deadline)
            saving = over or done % config.checkpoint_every == 0
            if saving or done % config.val_every == 0:
                distributed.average_buffers(task.modules.values())
            _check(task, losses, done, saving, kept, saved)
            if done % config.log_every == 0:
                log.write(done, "train", {k: float(v) for k, v in losses.items()})
                steps.set_postfix_str(" ".join(f"{k} {float(v):.3g}" for k, v in losses.items())[:100])
            if distributed.is_main():
                _look(task, config, done, log)
            if saving:
                _save(saved, task, config, done)
                kept = done
            if over:
                break
    finally:
        steps.close()
        log.close()
    if first >= config.max_steps:  # nothing was left to do
        _save(saved, task, config, first)
    return saved


def _look(task: Task, config: RunConfig, done: int, log: Log) -> None:
    """Validate and draw where the step is one for it."""
    if done % config.val_every:
        return
    if task.validate:
        log.write(done, "val", task.validate())
    if task.sheet:
        Image.fromarray(task.sheet()).save(config.out / f"sheet-{done:07d}.png")


def _check(
    task: Task, losses: Mapping[str, Tensor | float], done: int, saving: bool, kept: int | None, saved: Path
) -> None:
    """Stop all processes where one has a loss or weight that is not finite; before saving, the whole state counts."""
    fault = _not_finite(task, losses, saving)
    if not _any(task, bool(fault)):
        return
    left = "no checkpoint was written yet" if kept is None else f"{saved} still holds step {kept}"
    raise UnmaskError(
        f"step {done}: {fault or 'another process has a value that is not finite'}; {left}; lower lr, or set "
        "precision=fp32, and go on from there with --resume auto"
    )


def _not_finite(task: Task, losses: Mapping[str, Tensor | float], thorough: bool) -> str:
    """What is not finite: a loss, a weight, or (if ``thorough``) a buffer or a moment of an optimizer; or nothing."""
    for name, value in losses.items():
        if not math.isfinite(float(value)):
            return f"the loss {name} is {float(value)}"
    for name, optimizer in task.optimizers.items():
        weights = [p.detach() for group in optimizer.param_groups for p in group["params"]]
        moments = [v for state in optimizer.state.values() for v in state.values() if _is_float(v)] if thorough else []
        for what, tensors in (("weights", weights), ("moments", moments)):
            if not bool(nn.utils.get_total_norm(tensors, math.inf).isfinite()):
                return f"the {what} that the optimizer {name} trains are not finite"
    for name, module in task.modules.items() if thorough else ():
        for key, value in module.state_dict().items():
            if _is_float(value) and not bool(value.isfinite().all()):
                return f"{key} of {name} is not finite"
    return ""


def _is_float(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _any(task: Task, flag: bool) -> bool:
    """Whether a flag is set in any process."""
    place = next((p.device for module in task.modules.values() for p in module.parameters()), torch.device("cpu"))
    return distributed.any_of(flag, place)


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
    return torch.autocast(device.type, torch.bfloat16)


def place(module: M, device: torch.device) -> M:
    """Move a module to a device, its kernels laid out channels last."""
    return cast(M, cast(Any, module).to(device, memory_format=torch.channels_last))


def _seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step, distributed.rank(), 1]).generate_state(1)[0])


def _save(path: Path, task: Task, config: RunConfig, step: int) -> None:
    if not distributed.is_main():
        return
    checkpoint.save(
        path,
        {
            "task": config.task,
            "step": step,
            "config": configs.plain(config),
            "processes": distributed.count(),
            "modules": {k: m.state_dict() for k, m in task.modules.items()},
            "optimizers": {k: o.state_dict() for k, o in task.optimizers.items()},
            "extra": dict(task.extra),
        },
    )


def _restore(task: Task, config: RunConfig, path: Path) -> int:
    content = checkpoint.read(path)
    if content["task"] != config.task:
        raise UsageError(f"{path}: a checkpoint of task {content['task']!r}, not {config.task!r}")
    name = ""
    try:
        for name, module in task.modules.items():
            module.load_state_dict(content["modules"][name])
        for name, optimizer in task.optimizers.items():
            optimizer.load_state_dict(content["optimizers"][name])
    except (KeyError, RuntimeError, ValueError):
        raise UsageError(f"{path}: its {name} has another shape than the config; resume with its own config") from None
    task.extra.update(content.get("extra", {}))
    if distributed.is_main():
        now = {**configs.plain(config), "processes": distributed.count()}
        then = {"processes": 1, **content.get("config", {}), **{k: content[k] for k in ("processes",) if k in content}}
        told = [f"{key} {old} -> {new}" for key, old, new in changes(then, now)]
        if told:
            print(f"{path}: goes on with other settings: {', '.join(told)}", file=sys.stderr)
    return int(content["step"])


def changes(then: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any, Any]]:
    """Keys (dotted where nested) whose values differ, with both; where a run writes is no matter."""
    found: list[tuple[str, Any, Any]] = []
    for key in dict.fromkeys((*then, *now)):
        old, new = then.get(key, "none"), now.get(key, "none")
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += changes(old, new, f"{prefix}{key}.")
        elif old != new and key != "out":
            found.append((f"{prefix}{key}", old, new))
    return found
