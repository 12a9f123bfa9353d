"""``unmask doctor``: what is installed, whether the weights are whole, and whether they work here."""

from __future__ import annotations

import json
from pathlib import Path

import click

from .. import installation


@click.command()
@click.option("--weights", type=click.Path(path_type=Path), metavar="DIR", help="Another weights folder.")
@click.option("--ops", is_flag=True, help="Also build or load the native operators, which may take minutes.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(weights: Path | None, ops: bool, as_json: bool) -> int:
    """Check this installation; exits with 1 if something is wrong."""
    checks = installation.checks(weights, ops)
    if as_json:
        click.echo(json.dumps([check._asdict() for check in checks], indent=1))
    else:
        for what, well, found in checks:
            click.echo(f"{'ok ' if well else 'BAD'} {what:14} {found}")
    return 0 if all(check.ok for check in checks) else 1
