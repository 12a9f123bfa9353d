"""A run that is interrupted at a step and resumed, for the tests of exact resumption."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from unmask.training import checkpoint, loop


def resumed(build: Callable[[], loop.Task], config: loop.RunConfig, stop: int) -> loop.Task:
    """The task after a run that was interrupted at step ``stop`` and another that went on from its checkpoint."""
    first = build()
    inner = first.step

    def step(batch: loop.Batch, at: int) -> object:
        if at == stop:
            raise KeyboardInterrupt
        return inner(batch, at)

    first.step = step  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        loop.run(first, config)
    assert checkpoint.read(config.out / checkpoint.NAME)["step"] == stop - stop % config.checkpoint_every
    second = build()
    loop.run(second, config, resume=config.out / checkpoint.NAME)
    return second
