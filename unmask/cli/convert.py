"""``unmask convert``: a generator that others published, as weights of this project."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    default=None,
    metavar="FILE",
    help="The file to write; FILE with the ending .safetensors, beside it, if not given.",
)
@click.option("--overwrite", is_flag=True, help="Replace the file to write where there is one.")
def convert(file: Path, out: Path | None, overwrite: bool) -> None:
    """Convert the generator in FILE (.pkl of StyleGAN2-ADA; .pt of rosinality, pSp, e4e, BasicSR) to safetensors.

    Nothing in FILE is run. The result can be named as `generator` in a config of the unmasker. The license of the
    weights stays that of their publisher.
    """
    from ..errors import UsageError
    from ..weights import convert as converter

    target = out or file.with_suffix(".safetensors")
    if target.suffix != ".safetensors":
        raise UsageError(f"{target}: weights are written as .safetensors; give -o FILE.safetensors")
    if target.exists() and not overwrite:
        raise UsageError(f"{target}: is there already; give --overwrite or another -o")
    found = converter.read(file)
    found.save(target, file.name)
    side, clamp = found.arch["img_resolution"], found.arch.get("conv_clamp")
    click.echo(f"{target}: a {found.layout} generator of {side} px, conv_clamp {clamp or 'none'}")
