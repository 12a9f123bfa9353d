"""The commands and their flags are a promise: ``flags.json`` holds them, and a change shows in a diff.

After a wanted change: ``python tests/guards/test_command_line.py`` writes the file anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from unmask.cli import COMMANDS, cli

GOLDEN = Path(__file__).with_name("flags.json")


def describe(command: click.Command) -> dict[str, Any]:
    """What a person can type: arguments and options with their kind, and the subcommands of a group."""
    found: dict[str, Any] = {}
    for param in command.params:
        kind = param.type.name
        if isinstance(param.type, click.Choice):
            kind = "|".join(str(choice) for choice in param.type.choices)
        facts = {
            "kind": "flag" if getattr(param, "is_flag", False) else kind,
            "required": param.required or None,
            "multiple": getattr(param, "multiple", False) or param.nargs != 1 or None,
        }
        name = param.name or "" if isinstance(param, click.Argument) else " ".join(sorted(param.opts))
        found[name] = {key: value for key, value in facts.items() if value is not None}
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            subcommand = command.get_command(context, name)
            assert subcommand is not None
            found[f"{name}:"] = describe(subcommand)
    return found


def test_flags_are_frozen():
    assert describe(cli) == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_every_command_says_what_it_does():
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None and command.help, name
        assert all(p.help for p in command.params if isinstance(p, click.Option)), name


def test_an_unknown_command_is_a_usage_error(capsys):
    from unmask.cli import main

    assert main(["restorre"]) == 2
    assert "restorre" in capsys.readouterr().err


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(describe(cli), indent=1) + "\n", encoding="utf-8")
