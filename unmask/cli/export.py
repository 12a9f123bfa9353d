"""``unmask export``: a training run's network as weights that `unmask restore` can use."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--weights",
    "folder",
    type=click.Path(path_type=Path),
    default=None,
    help="The weights folder to write to; the default one if not given.",
)
@click.option("--name", default=None, help="The name of the row and of the files; the task's name if not given.")
@click.option(
    "--mix",
    type=click.Path(path_type=Path),
    default=None,
    metavar="RUN",
    help="Write the mean of the weights with those of this earlier checkpoint.",
)
@click.option("--share", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Of --mix in the mean.")
def export(run: Path, folder: Path | None, name: str | None, mix: Path | None, share: float) -> None:
    """Write the network of RUN (a run's folder or checkpoint) as safetensors and ONNX and register it."""
    from ..export.release import release

    row = release(run, folder, name, mix, share)
    click.echo(f"{row.name}: {row.file} ({row.bytes / 1e6:.1f} MB), {row.onnx} ({(row.onnx_bytes or 0) / 1e6:.1f} MB)")
