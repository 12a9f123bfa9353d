"""``unmask explain``: what FROM masks away in a face, and where it sees an occlusion."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import NoFaceError, UnmaskError, printable


@click.command()
@click.argument("photo", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="FILE", help="By default NAME.explain.png.")
@click.option(
    "--recognizer", default="from", show_default=True, metavar="NAME",
    help="from, or a safetensors checkpoint of kind from_net.",
)  # fmt: skip
@click.option("--detector", default="embedded", show_default=True, metavar="NAME", help="Face detector, name or path.")
@click.option("--overwrite", is_flag=True, help="Replace a file that exists.")
def explain(photo: Path, out: Path | None, recognizer: str, detector: str, overwrite: bool) -> None:
    """Draw the feature mask and the predicted occlusion pattern over each face of PHOTO."""
    import numpy as np

    from .. import images
    from ..batch import jobs
    from ..faces import align
    from ..faces.detect import load_detector
    from ..from_net import explain as explaining
    from ..from_net import recognizer as from_recognizer

    target = out or photo.with_name(f"{photo.stem}.explain.png")
    if target.suffix.lower() != ".png":
        raise UnmaskError(f"{target}: the drawing is a PNG; give -o NAME.png")
    jobs.refuse_existing([target], overwrite)
    network = from_recognizer.load(recognizer)
    pixels = images.read(photo).pixels
    faces = load_detector(detector).detect(pixels)
    if not faces:
        raise NoFaceError(f"{photo}: no face found; give a photo in which the eyes can be seen")
    crops = [align.crop_face(pixels, face.kps, network.template, network.size)[0] for face in faces]
    x = images.to_tensor(np.stack(crops))
    found = explaining.explained(network.explain(x), network.grid, network.size)
    jobs.make_room(target)
    picture = images.read(explaining.panel(x, found))
    images.write(picture, picture.pixels, target)
    for face, one in zip(faces, found, strict=True):
        where = "face at {:.0f},{:.0f}".format(*face.bbox[:2])
        seen = "no occlusion"
        if one.box is not None:
            seen = "occlusion at x {}-{}, y {}-{} of the crop".format(*one.box[::2], *one.box[1::2])
        click.echo(printable(f"{photo} -> {target}  {where}: {seen} ({one.probability:.0%})"))
