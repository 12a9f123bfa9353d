"""Make the bundled sample: NASA's portrait of Eileen Collins with a simulated face mask on.

Run from the top of a checkout, in its environment (insightface brings scikit-image):
``python samples/make_sample.py``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

from unmask.simulation.simulate import sample_garment, simulate

HERE = Path(__file__).resolve().parent
LEFT, TOP, SIDE = 60, 0, 320
# Eyes, nose tip and mouth corners in the 512 x 512 picture, as SCRFD finds them.
POINTS = np.array([[204.4, 100.8], [247.3, 103.1], [223.5, 128.4], [201.2, 138.5], [246.4, 140.6]])


def main() -> None:
    """Write the bare and the masked portrait beside this script."""
    bare = np.ascontiguousarray(skimage.data.astronaut()[TOP : TOP + SIDE, LEFT : LEFT + SIDE])
    rng = np.random.default_rng(1)
    garment = sample_garment(rng, kind="surgical", coverage="high", color=(150, 198, 226), pattern="plain", loops="ear")
    masked = simulate(bare, POINTS - [LEFT, TOP], rng, garment)
    Image.fromarray(bare).save(HERE / "astronaut.png", optimize=True)
    Image.fromarray(masked.image).save(HERE / "astronaut-masked.png", optimize=True)


if __name__ == "__main__":
    main()
