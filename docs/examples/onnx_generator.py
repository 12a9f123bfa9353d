"""generator.onnx with onnxruntime alone: faces of nobody. Usage: onnx_generator.py OUT.png [SEED]."""

import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

WEIGHTS = Path(__file__).resolve().parents[2] / "weights"


def faces(z):
    """Faces uint8 [N,128,128,3] of random numbers z [N,256]; generator.safetensors must lie beside the file."""
    made = onnxruntime.InferenceSession(str(WEIGHTS / "generator.onnx")).run(None, {"z": z})[0]
    return np.rint((made.clip(-1, 1) + 1) * 127.5).astype(np.uint8).transpose(0, 2, 3, 1)


if __name__ == "__main__":
    z = np.random.default_rng(int(sys.argv[2]) if len(sys.argv) > 2 else 0).standard_normal((8, 256))
    Image.fromarray(np.concatenate(faces(z.astype(np.float32)), axis=1)).save(sys.argv[1])
