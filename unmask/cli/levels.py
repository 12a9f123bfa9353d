"""How much a command says: ``-q`` and ``-v``, which every command has."""

from __future__ import annotations

import os
from collections.abc import Callable

import click

from .. import progress


def talkative(command: click.Command) -> None:
    """Give a command, and those below it, ``-q`` and ``-v``."""
    if any(param.name == "quiet" for param in command.params):
        return
    for short, name, variable, text in (
        ("-q", "--quiet", progress.QUIET, "Say nothing but errors, and what was asked for."),
        (
            "-v",
            "--verbose",
            progress.VERBOSE,
            "Say more: warnings of libraries, your own defaults, where errors arose.",
        ),
    ):
        option = click.Option([short, name], is_flag=True, expose_value=False, is_eager=True, help=text)
        option.callback = _set(variable)
        command.params.append(option)
    if isinstance(command, click.Group):
        for below in command.commands.values():
            talkative(below)


def _set(variable: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    def callback(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        if value:
            os.environ[variable] = "1"  # so that worker processes know it too

    return callback
