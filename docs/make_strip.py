"""Make a strip for the first pages: six faces with a simulated face mask, restored, and as they are.

Run from the top of a checkout, with the Face Research Lab London Set's photos in a ZIP archive under their own names
(``001_neutral.jpg`` ...; DeBruine & Jones 2017, doi 10.6084/m9.figshare.5047666, CC BY 4.0):
``python docs/make_strip.py images.zip``. The people were chosen for variety and not for how they came out (one place
went to another man with a beard, as the detector saw a second face on the first one's cheek); the seeds are the first.
The README and the first page of the documentation show it, with the credit.
"""

from __future__ import annotations

import argparse
import tempfile
import zipfile
from pathlib import Path

from PIL import Image

from unmask.cli import main as unmask

FACES = ("001", "008", "025", "034", "070", "082")
LEFT, TOP, WIDTH, HEIGHT = 230, 180, 440, 520  # of the 900 x 900 photos, pixel for pixel
CELL, GAP = 150, 4  # of the strip: the width of a face on a page, and what lies between two
HERE = Path(__file__).resolve().parent


def run(*argv: object) -> None:
    """One command of the command line; SystemExit where it fails."""
    if code := unmask([str(arg) for arg in argv]):
        raise SystemExit(code)


def main() -> None:
    """Write ``faces.jpg`` beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path)
    parser.add_argument("--weights", help="instead of the pack, as `unmask restore` takes them")
    parser.add_argument("--cell", type=int, default=CELL, help="pixels a face is wide; 440 shows the photos 1:1")
    parser.add_argument("-o", "--out", type=Path, default=HERE / "faces.jpg")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        bare, masked, restored = (Path(work) / name for name in ("bare", "masked", "restored"))
        bare.mkdir()
        with zipfile.ZipFile(asked.archive) as archive:
            for face in FACES:
                with archive.open(f"{face}_neutral.jpg") as stream:
                    Image.open(stream).convert("RGB").save(bare / f"{face}.png")
        run("simulate", bare, "-o", masked)
        run("restore", masked, "-o", restored, *(["--weights", asked.weights] if asked.weights else []))
        rows = (masked, restored, bare)
        width, height = asked.cell, round(asked.cell * HEIGHT / WIDTH)
        size = len(FACES) * (width + GAP) - GAP, len(rows) * (height + GAP) - GAP
        strip = Image.new("RGB", size, "white")
        for y, folder in enumerate(rows):
            for x, face in enumerate(FACES):
                with Image.open(next(folder.glob(f"{face}*.png"))) as photo:
                    part = photo.crop((LEFT, TOP, LEFT + WIDTH, TOP + HEIGHT))
                small = part.resize((width, height), Image.Resampling.LANCZOS)
                strip.paste(small, (x * (width + GAP), y * (height + GAP)))
    strip.save(asked.out, quality=86, optimize=True, progressive=True)
    print(f"{asked.out}: {size[0]} x {size[1]} pixels")


if __name__ == "__main__":
    main()
