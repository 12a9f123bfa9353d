"""``unmask train``: run one training task from a config."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    "--config",
    "config_name",
    required=True,
    metavar="FILE",
    help="A YAML file, or the name of a shipped config such as mini-unmasker.",
)
@click.option("--resume", default=None, metavar="auto|FILE", help="Go on from the run's last checkpoint, or from FILE.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
def train(config_name: str, resume: str | None, device: str, overrides: tuple[str, ...]) -> None:
    """Train a model as a config says; KEY=VALUE overrides one of its keys (a.b=value for a nested one)."""
    from ..training import start

    path: Path = start(config_name, overrides, resume, device)
    click.echo(path)
