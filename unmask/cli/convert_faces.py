"""``unmask convert-faces``: published face sets into the layout that training reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command("convert-faces")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--unaligned", is_flag=True, help="Find the faces; by default pictures are taken as arcface crops.")
@click.option("--detector", default="embedded", show_default=True, metavar="NAME", help="For --unaligned.")
def convert_faces(source: Path, out: Path, unaligned: bool, detector: str) -> None:
    """Write images.zip and index.csv into OUT from SOURCE: train.rec, an LMDB, or a folder of people's folders."""
    from ..data.conversion import convert

    found = convert(source, out, _finder(detector) if unaligned else None)
    left = f", {found.without_face} without a face left out" if found.without_face else ""
    click.echo(f"{out}: {found.pictures} pictures of {found.people} people{left}")


def _finder(name: str) -> Any:
    """The points of the largest face that a detector finds."""
    from ..faces.detect import load_detector

    detector = load_detector(name)

    def find(pixels: Any) -> Any:
        faces = detector.detect(pixels)
        if not faces:
            return None
        return max(faces, key=lambda face: (face.bbox[2] - face.bbox[0]) * (face.bbox[3] - face.bbox[1])).kps

    return find
