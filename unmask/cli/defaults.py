"""Defaults of a person's own: ``unmask.toml`` in the working folder, or in ``~/.config/unmask``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from .. import files, progress
from ..errors import UnmaskError, UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAME = "unmask.toml"
MAX_BYTES = 100_000
NEVER = ("help", "quiet", "verbose", "accept_license")


def places() -> list[Path]:
    """The files that are looked for, the one that counts more first."""
    base = os.environ.get("XDG_CONFIG_HOME")
    try:
        home = Path(base) if base else files.home("XDG_CONFIG_HOME") / ".config"
    except UnmaskError:  # nobody's home
        return [Path(NAME)]
    return [Path(NAME), home / "unmask" / NAME]


class Lazy(Mapping[str, Any]):
    """The defaults of one command by the names of its parameters, read when they are first asked for."""

    def __init__(self, command: click.Command) -> None:
        self.command = command
        self.found: dict[str, Any] | None = None

    def _read(self) -> dict[str, Any]:
        if self.found is None:
            self.found = of(self.command)
        return self.found

    def __getitem__(self, key: str) -> Any:
        return self._read()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())


def of(command: click.Command) -> dict[str, Any]:
    """What the files say for a command. Raises UsageError naming the file and the key that is wrong."""
    found: dict[str, Any] = {}
    for path in reversed(places()):
        if path.is_file():
            taken = _checked(path, command)
            if taken and progress.verbose():
                progress.say(f"{path}: {', '.join(f'{key}={value}' for key, value in taken.items())}")
            found |= taken
    return found


def _checked(path: Path, command: click.Command) -> dict[str, Any]:
    from .group import COMMANDS

    try:
        content = tomllib.loads(files.read(path, MAX_BYTES).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not TOML ({error})") from None
    for section, values in content.items():
        if section not in COMMANDS or not isinstance(values, dict):
            raise UsageError(f"{path}: {section}: not a section for a command, such as [restore]")
    options = {
        name.lstrip("-"): param
        for param in command.params
        if isinstance(param, click.Option) and param.name not in NEVER
        for name in param.opts
        if name.startswith("--")
    }
    taken: dict[str, Any] = {}
    context = click.Context(command)
    for key, value in content.get(str(command.name), {}).items():
        option = options.get(key.replace("_", "-"))
        if option is None or option.name is None:
            raise UsageError(f"{path}: [{command.name}] {key}: no such option; known: {', '.join(options)}")
        if isinstance(value, list) != bool(option.multiple) or isinstance(value, bool) != bool(option.is_flag):
            kind = "a list" if option.multiple else "true or false" if option.is_flag else "one value"
            raise UsageError(f"{path}: [{command.name}] {key} is {value!r}; it is {kind}")
        try:
            taken[option.name] = option.type_cast_value(context, value)
        except click.BadParameter as error:
            raise UsageError(f"{path}: [{command.name}] {key}: {error.message}") from None
    return taken
