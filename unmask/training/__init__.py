"""Training tasks and the loop that runs them.

A task module has a frozen dataclass ``Config`` (a subclass of :class:`unmask.training.loop.RunConfig`) and
``build(config, device) -> Task``. The table below is all there is to registering one.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import torch

from .. import config
from ..devices import keep_memory, pick_device
from ..errors import UsageError
from .loop import RunConfig

TASKS: dict[str, str] = {
    "recognizer": "training.tasks.recognizer",
    "generator": "training.tasks.generator",
    "unmasker": "training.tasks.unmasker",
    "detector": "training.tasks.detector",
    "segmenter": "training.tasks.segmenter",
    "landmarker": "training.tasks.landmarker",
    "from": "from_net.train",
    "g2d": "g2d.train",
}


def read_config(name: str, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a config (a file or a shipped name) into the Config class of the task it names."""
    path = config.find(name)
    task = config.override(config.read(path), overrides).get("task")
    if task not in TASKS:
        raise UsageError(f"{path}: task is {task!r}; it can be {', '.join(TASKS)}")
    schema: type[RunConfig] = _module(task).Config
    return config.load(path, schema, overrides)


def start(name: str, overrides: Sequence[str] = (), resume: str | None = None, device: str = "auto") -> Path:
    """Run the training task of a config; ``resume`` is None, "auto" or a checkpoint. Returns the last checkpoint."""
    from . import checkpoint, distributed, loop

    settings = read_config(name, overrides)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    place = distributed.start(pick_device(device))
    if place.type == "cpu":
        keep_memory()
    found = checkpoint.latest(settings.out) if resume == "auto" else Path(resume) if resume else None
    if found is None and resume is None and checkpoint.latest(settings.out):
        raise UsageError(f"{settings.out}: holds a run already; go on with --resume auto, or choose another out=FOLDER")
    try:
        task = _module(settings.task).build(settings, place)
    except ValueError as error:  # what a network says of a shape that it cannot have
        raise UsageError(f"{name}: {error}; change the config") from error
    for module in task.modules.values():
        distributed.broadcast(module)
    saved = loop.run(task, settings, found)
    distributed.stop()
    return saved


def _module(task: str) -> ModuleType:
    return importlib.import_module(f"unmask.{TASKS[task]}")
