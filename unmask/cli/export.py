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
    metavar="DIR",
    help="The weights folder to write to; the folder `weights` in the run's own if not given.",
)
@click.option("--name", default=None, help="The name of the row and of the files; the task's name if not given.")
@click.option("--overwrite", is_flag=True, help="Replace weights of that name.")
@click.option("--license", "terms", metavar="TEXT", help="The terms of use that the table states.")
@click.option(
    "--mix",
    type=click.Path(path_type=Path),
    default=None,
    metavar="RUN",
    help="Write the mean of the weights with those of this earlier checkpoint.",
)
@click.option("--share", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Of --mix in the mean.")
def export(
    run: Path, folder: Path | None, name: str | None, overwrite: bool, terms: str | None, mix: Path | None, share: float
) -> None:  # fmt: skip
    """Write the network of RUN (a run's folder or checkpoint) as safetensors and ONNX and register it.

    The weights lie beside the run, in RUN/weights, and the pack is left alone. `unmask restore --weights` takes that
    folder.
    """
    from ..export import release

    row = release.release(run, folder, name, mix, share, overwrite, terms or release.LICENSE)
    place = folder or release.beside(run)
    for file, size in ((row.file, row.bytes), (row.onnx, row.onnx_bytes or 0)):
        click.echo(f"{place / str(file)} ({size / 1e6:.1f} MB)")
