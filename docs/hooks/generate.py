"""Fills pages while the site is built: the command line from the click tree, the examples from their files.

A line ``<!-- commands -->`` becomes every command with its arguments and options; ``<!-- file: PATH -->`` becomes the
text of a file below ``docs`` as a block; ``<!-- configs -->`` the keys of every training task.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import config_fields  # beside this file, which mkdocs puts on the path while it reads hooks

from unmask.cli import cli

DOCS = Path(__file__).resolve().parents[1]
FILE = re.compile(r"^<!-- file: (\S+) -->$", re.M)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """What mkdocs calls for every page."""
    markdown = FILE.sub(lambda hit: f"```python\n{(DOCS / hit[1]).read_text(encoding='utf-8')}```", markdown)
    for place, made in (("<!-- commands -->", commands), ("<!-- configs -->", config_fields.tables)):
        markdown = markdown.replace(place, made()) if place in markdown else markdown
    return markdown


def commands() -> str:
    """The reference of all commands as Markdown."""
    return "\n\n".join(_described(click.Context(cli, info_name="unmask")))


def _described(context: click.Context, depth: int = 1) -> list[str]:
    command = context.command
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [f"{'#' * (depth + 1)} {context.command_path}", f"    {usage}", _prose(command.help)]
    rows = [_row(param) for param in command.params if isinstance(param, click.Option)]
    if rows:
        parts.append("\n".join(["| option | | default |", "|---|---|---|", *rows]))
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            parts += _described(click.Context(below, parent=context, info_name=name), depth + 1)
    return parts


def _row(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    kind = "" if option.is_flag else f" `{option.make_metavar(click.Context(cli))}`".replace("|", "\\|")
    shown = option.show_default and option.default is not None
    return f"| {names}{kind} | {_prose(option.help)} | {f'`{option.default}`' if shown else ''} |"


def _prose(text: str | None) -> str:
    return (text or "").replace("*", "\\*").replace("|", "\\|").replace("<", "\\<")
