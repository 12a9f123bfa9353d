"""landmarker.onnx with onnxruntime alone: is this a face, where are its points. Usage: onnx_landmarker.py PHOTO."""

import sys

import numpy as np
import onnxruntime
from crop import FFHQ, crop
from onnx_detector import WEIGHTS, detect
from PIL import Image

SIDE, INNER = 96, 96 / 1.3  # the crop is 1.3 times as wide as an aligned face
PLACE = FFHQ * (INNER / 128) + (SIDE - INNER) / 2


def predict(photo, points):
    """One look: face and garment probability, and the five points in pixels of the crop aligned by ``points``."""
    session = onnxruntime.InferenceSession(str(WEIGHTS / "landmarker.onnx"))
    face, _, found, garment = session.run(None, {"crops": crop(photo, points, PLACE, SIDE)})
    return float(face[0]), float(garment[0]), (found[0] * SIDE + SIDE - 1) / 2


if __name__ == "__main__":
    photo = Image.open(sys.argv[1])
    face, garment, points = predict(photo, detect(photo)[1])
    print(f"a face: {face:.2f}, a face mask: {garment:.2f}", np.round(points, 1).tolist())
