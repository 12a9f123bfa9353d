"""``unmask train``: run one training task from a config."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from .. import config
from ..errors import UsageError


class ConfigName(click.ParamType):
    """A YAML file, or the name of a config that ships with the package."""

    name = "text"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The names that ship, then files."""
        names = [CompletionItem(name, help=what) for name, what in config.shipped().items()]
        return [item for item in names if item.value.startswith(incomplete)] or [CompletionItem(incomplete, "file")]


@click.command()
@click.option(
    "--config",
    "config_name",
    type=ConfigName(),
    metavar="FILE",
    help="A YAML file, or the name of a shipped config such as mini-unmasker.",
)
@click.option("--list", "listed", is_flag=True, help="List the configs that ship with the package.")
@click.option("--resume", default=None, metavar="auto|FILE", help="Go on from the run's last checkpoint, or from FILE.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
def train(config_name: str | None, listed: bool, resume: str | None, device: str, overrides: tuple[str, ...]) -> None:
    """Train a model as a config says; KEY=VALUE overrides one of its keys (a.b=value for a nested one)."""
    if listed:
        for name, what in config.shipped().items():
            click.echo(f"{name:22} {what}")
        return
    if config_name is None:
        raise UsageError("train: no config; give --config NAME or FILE (`unmask train --list` names those that ship)")
    from ..training import start

    path: Path = start(config_name, overrides, resume, device)
    click.echo(path)
