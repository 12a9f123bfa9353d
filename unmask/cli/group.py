"""The group of all commands: imported when they are used, listed by what people want, and found in spite of a typo."""

from __future__ import annotations

import difflib
import importlib

import click

from . import defaults
from .levels import talkative

SECTIONS: dict[str, dict[str, str]] = {
    "Photos": {
        "restore": "restore:restore",
        "serve": "serve:serve",
        "simulate": "simulate:simulate",
        "explain": "explain:explain",
    },
    "Models of your own": {
        "prepare": "prepare:prepare",
        "train": "train:train",
        "export": "export:export",
        "convert": "convert:convert",
        "convert-faces": "convert_faces:convert_faces",
    },
    "Measuring": {
        "eval-restoration": "eval_restoration:eval_restoration",
        "eval-verification": "eval_verification:eval_verification",
    },
    "This installation": {"models": "models:models", "doctor": "doctor:doctor"},
}
COMMANDS = {name: place for section in SECTIONS.values() for name, place in section.items()}


class LazyGroup(click.Group):
    """A group that imports the module of a subcommand when that subcommand is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command, imported now; one's own defaults come in where an option is not given."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(importlib.import_module(f"{__package__}.{module}"), attribute)
        talkative(command)
        if not isinstance(command, click.Group):
            command.context_settings = {**command.context_settings, "default_map": defaults.Lazy(command)}
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant; a wrong name ends with those that are near."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            near = difflib.get_close_matches(name, COMMANDS, 2, 0.6)
            near += [known for known in COMMANDS if known.startswith(name) and known not in near]
            meant = f" Did you mean {' or '.join(repr(one) for one in near)}?" if near else ""
            ctx.fail(f"No such command {name!r}.{meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, in sections."""
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, _sentence(self.get_command(ctx, name))) for name in section])


def _sentence(command: click.Command | None) -> str:
    """The first sentence of what a command says of itself."""
    text = " ".join((command.help or "").split("\n\n")[0].split()) if command else ""
    return f"{text.split('. ')[0].rstrip('.')}."
