"""How far the patch is off the tone of toned photos: the same masked faces in gray, sepia, cyanotype, and so on.

    python benchmarks/toning.py --data FOLDER_OR_ZIP [--limit 24] [--sheet toned.png]

FOLDER_OR_ZIP holds aligned bare faces (ffhq template), which get simulated face masks. Each tone is a known function of
the lightness of a photo. A restored pixel is off by the largest difference of its channels from the nearest color on
that curve. For stage light, a factor for each channel, the truth is the untoned photo's restoration, toned.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unmask import Restorer, images
from unmask.evaluation.pairs.pictures import open_pictures
from unmask.faces import align, blend
from unmask.simulation.simulate import simulate

Floats = NDArray[np.float64]


def curve(name: str, g: Floats) -> Floats:
    """Colors [...,3] in levels of lightness [...] in [0,1]."""
    parts = {
        "gray": (255 * g, 255 * g, 255 * g),
        "sepia": (255 * g**0.9, 230 * g**1.05, 190 * g**1.3),
        "cyanotype": (20 + 210 * g**1.3, 50 + 200 * g, 90 + 160 * g**0.8),
        "amber": (255 * np.minimum(1, 1.2 * g), 180 * g, 40 * g),
        "red": (255 * g, 18 * g, 14 * g),
        "green": (30 * g, 220 * g, 40 * g),
        "night green": (60 * g**2, 255 * np.minimum(1, 1.3 * g), 70 * g**2),
    }[name]
    return np.stack(parts, -1)


TONES = ("gray", "sepia", "cyanotype", "amber", "red", "green", "night green")
LIGHTS = {"magenta light": (0.9, 0.15, 0.8), "blue light": (0.15, 0.3, 1.0), "green light": (0.2, 0.9, 0.25)}


def toned(photo: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """A photo [H,W,3] in one of the tones or lights."""
    if name in LIGHTS:
        return np.rint(photo * np.array(LIGHTS[name])).astype(np.uint8)
    light = photo @ np.array([0.299, 0.587, 0.114]) / 255
    return np.rint(curve(name, light).clip(0, 255)).astype(np.uint8)


def off(patch: NDArray[np.uint8], name: str) -> Floats:
    """Levels off the curve, for pixels [K,3]."""
    colors = curve(name, np.linspace(0, 1, 256)).clip(0, 255)
    return np.abs(patch[:, None].astype(float) - colors[None]).max(axis=2).min(axis=1)


def main() -> None:
    """Print a row a tone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--limit", type=int, default=24)
    parser.add_argument("--sheet")
    given = parser.parse_args()
    restorer = Restorer.from_pretrained()
    pictures = open_pictures(given.data)
    keys = sorted(set(pictures._keys.values()))
    size, rows = restorer.size, []
    errors: dict[str, list[Floats]] = {name: [] for name in (*TONES, *LIGHTS)}
    for n, k in enumerate(np.linspace(0, len(keys) - 1, given.limit).astype(int)):
        face = np.asarray(Image.fromarray(images.read(pictures.read(keys[k])).pixels).resize((size, size)))
        covered = simulate(face, align.template("ffhq", size), np.random.default_rng(n))
        region = covered.region
        row = []
        for name in ("plain", *errors):
            photo = covered.image if name == "plain" else toned(covered.image, name)
            found = _painted(restorer, photo, region)
            row.append(found)
            if name in LIGHTS:
                truth = toned(row[0], name).astype(float)
                errors[name].append(np.abs(found - truth).max(axis=2)[region > 0.5])
            elif name != "plain":
                errors[name].append(off(found[region > 0.5], name))
        rows.append([covered.image, *row])
    print("| tone | median | p90 |\n|---|---|---|")
    for name, parts in errors.items():
        every = np.concatenate(parts)
        print(f"| {name} | {np.median(every):.1f} | {np.percentile(every, 90):.1f} |")
    if given.sheet:
        Image.fromarray(images.sheet(rows[:8], ["masked", "plain", *errors])).save(given.sheet)


def _painted(restorer: Restorer, photo: NDArray[np.uint8], region: NDArray[np.float32]) -> NDArray[np.uint8]:

    hidden = np.asarray(region, np.float32)[None, None]
    painted = blend.paint(images.to_float(photo), hidden, lambda x, wide: restorer.unmask(x, wide))
    return painted.onto(photo, 0, np.eye(2, 3))


if __name__ == "__main__":
    main()
