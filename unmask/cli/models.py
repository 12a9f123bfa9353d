"""``unmask models``: what weights there are, whether they are whole, and packs of others."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from .. import progress
from ..errors import UnmaskError


@click.group()
def models() -> None:
    """List and verify the weights, or install a model pack of others."""


@models.command("list")
@click.option("--weights", type=click.Path(path_type=Path), metavar="DIR", help="Another weights folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
def list_(weights: Path | None, as_json: bool) -> None:
    """List the weights of the table and the packs that can be installed."""
    from .. import weights as table
    from ..weights import packs

    rows = table.rows(weights)
    known = [{**asdict(pack), "installed": (packs.folder() / pack.name).is_dir()} for pack in packs.PACKS.values()]
    if as_json:
        click.echo(json.dumps({"weights": [asdict(row) for row in rows], "packs": known}, indent=1))
        return
    click.echo(f"weights in {weights or table.default_folder()}")
    for row in rows:
        size = (row.bytes + (row.onnx_bytes or 0)) / 1e6
        click.echo(f"  {row.name:12} {row.kind:12} {size:6.1f} MB  {row.file}{f', {row.onnx}' if row.onnx else ''}")
        click.echo(f"  {'':12} {row.license}; {row.source}; sha256 {row.sha256[:16]}")
    if not rows:
        click.echo("  none")
    click.echo("packs of others ('unmask models install NAME')")
    for pack in known:
        state = "installed" if pack["installed"] else "not installed"
        click.echo(f"  {pack['name']:12} {pack['bytes'] / 1e6:6.1f} MB  {state}; {pack['license']}")


@models.command()
@click.option("--weights", type=click.Path(path_type=Path), metavar="DIR", help="Another weights folder.")
def verify(weights: Path | None) -> None:
    """Compare every file of the table with its sha256."""
    from .. import weights as table

    found = table.verify(weights)
    folder = weights or table.default_folder()
    if not found:
        raise UnmaskError(f"{folder}: no table of weights here; give --weights DIR")
    for name, state in found:
        click.echo(f"{state:13} {name}")
    bad = [name for name, state in found if state != "ok"]
    if bad:
        raise UnmaskError(f"{folder}: {', '.join(bad)} missing or altered; copy it from the release")


@models.command()
@click.argument("name")
@click.option("--accept-license", is_flag=True, help="You have read and accept the terms of the pack.")
@click.option(
    "--from",
    "archive",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A zip archive you have, instead of a download.",
)
@click.option("--url", metavar="URL", help="Where a pack that is not in the table lies.")
@click.option("--sha256", metavar="HEX", help="What that pack must hash to, as its publisher states it.")
def install(
    name: str, accept_license: bool, archive: Path | None, url: str | None, sha256: str | None
) -> None:  # fmt: skip
    """Install a model pack of others, such as buffalo_l of insightface, where insightface looks for it."""
    from tqdm import tqdm

    from ..weights import packs

    if accept_license and name in packs.PACKS:
        click.echo(packs.PACKS[name].license, err=True)
    with tqdm(unit="B", unit_scale=True, file=sys.stderr, disable=True if progress.quiet() else None, desc=name) as bar:

        def told(done: int, total: int) -> None:
            bar.total = total or None
            bar.update(done - bar.n)

        target = packs.install(name, accepted=accept_license, archive=archive, url=url, sha256=sha256, progress=told)
    click.echo(f"{name}: installed in {target}")
