"""A recognizer with onnxruntime alone: how alike two faces are. Usage: onnx_recognizer.py PHOTO PHOTO [from|g2d]."""

import sys

import numpy as np
import onnxruntime
from crop import ARCFACE, FFHQ, crop
from onnx_detector import WEIGHTS, detect
from PIL import Image


def embed(face, name="recognizer"):
    """The unit-length embedding [128] of an arcface crop [1,3,112,112]; g2d takes an ffhq crop [1,3,128,128]."""
    found = onnxruntime.InferenceSession(str(WEIGHTS / f"{name}.onnx")).run(None, {"input": face})[0][0]
    return found / np.linalg.norm(found)


if __name__ == "__main__":
    name = sys.argv[3] if len(sys.argv) > 3 else "recognizer"
    template, size = (FFHQ, 128) if name == "g2d" else (ARCFACE, 112)
    photos = [Image.open(path) for path in sys.argv[1:3]]
    a, b = (embed(crop(photo, detect(photo)[1], template, size), name) for photo in photos)
    print(f"similarity {a @ b:.3f}")
