"""How far the generator's samples are from faces: Fréchet distance, precision and recall in a recognizer's features.

    python benchmarks/samples.py --data DATA --recognizer FILE [--count 1000] [--sheet FILE] [--json FILE]

Compared with held-out faces of the sets that the generator was trained on. The references, in the same run, are other
held-out faces (the best there is) and the mean face. ``--sheet`` shows samples at truncation 0.7, and at 1.0 below.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from restore import machine

SOURCES = ("faces128/celebw", "faces256/meb", "faces256/aaf")
BATCH = 32


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of face data")
    parser.add_argument("--recognizer", required=True, help="recognizer that measures: a name or a path")
    parser.add_argument("--weights", default="generator", help="a name or a path")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", type=Path, help="write samples here")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    import numpy as np
    import torch
    from PIL import Image

    from unmask import images, models, recognition, weights
    from unmask.data import face_sets
    from unmask.evaluation.restoration import quality
    from unmask.faces import align

    recognizer = recognition.load(given.recognizer)
    checkpoint = weights.read(given.weights, kind="generator")
    generator: Any = models.build(checkpoint.kind, **checkpoint.arch)
    weights.fill(generator, checkpoint)
    generator.eval()
    size = generator.synthesis.img_resolution
    matrix = align.between("ffhq", size, recognizer.template, recognizer.size)

    @torch.no_grad()
    def features(pictures: torch.Tensor) -> np.ndarray:
        parts = [
            recognizer.embed(align.warp_batch(p.cpu().numpy(), matrix, recognizer.size)) for p in pictures.split(BATCH)
        ]
        return np.concatenate(parts)

    @torch.no_grad()
    def drawn(psi: float) -> torch.Tensor:
        z = torch.randn(given.count, checkpoint.arch["z_dim"], generator=torch.Generator().manual_seed(given.seed))
        made = [generator(part, truncation_psi=psi, noise="const").float() for part in z.split(BATCH)]
        return torch.cat(made).clamp(-1, 1)

    held = face_sets.load(given.data, SOURCES, size=size, split="val")
    faces = images.to_tensor(held.images[np.random.default_rng(given.seed).permutation(len(held))])
    half = min(given.count, len(faces) // 2)
    true = features(faces[:half])
    sets = {
        "samples, truncation 1.0": drawn(1.0),
        "samples, truncation 0.7": drawn(0.7),
        "mean face": faces.mean(0, keepdim=True).expand(given.count, -1, -1, -1),
        "other held-out faces": faces[half : 2 * half],
    }
    found = {}
    print(machine(torch.get_num_threads()))
    for name, pictures in sets.items():
        seen = features(pictures)
        precision, recall = quality.precision_recall(seen, true)
        found[name] = {"frechet": quality.frechet(seen, true), "precision": precision, "recall": recall}
        print(f"{name:26}Frechet {found[name]['frechet']:.3f}  precision {precision:.2f}  recall {recall:.2f}")
    ratio = found["samples, truncation 1.0"]["frechet"] / found["mean face"]["frechet"]
    print(f"the samples are {ratio:.2f} times as far from held-out faces as the mean face is")
    if given.sheet:
        rows = [list(images.to_uint8(sets[f"samples, truncation {psi}"][i : i + 12]))
                for psi in (0.7, 1.0) for i in (0, 12)]  # fmt: skip
        Image.fromarray(images.sheet(rows)).save(given.sheet)
    if given.json:
        given.json.write_text(json.dumps({"machine": machine(torch.get_num_threads()), **found}, indent=1))


if __name__ == "__main__":
    main()
