"""recogniser.onnx with onnxruntime alone: how alike two faces are. Usage: onnx_recogniser.py PHOTO PHOTO."""

import sys

import numpy as np
import onnxruntime
from crop import ARCFACE, crop
from onnx_detector import WEIGHTS, detect
from PIL import Image


def embed(face):
    """The unit-length embedding [128] of an arcface crop [1,3,112,112]."""
    found = onnxruntime.InferenceSession(str(WEIGHTS / "recogniser.onnx")).run(None, {"input": face})[0][0]
    return found / np.linalg.norm(found)


if __name__ == "__main__":
    photos = [Image.open(name) for name in sys.argv[1:3]]
    a, b = (embed(crop(photo, detect(photo)[1], ARCFACE, 112)) for photo in photos)
    print(f"similarity {a @ b:.3f}")
