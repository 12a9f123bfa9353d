"""detector.onnx with onnxruntime alone: box and five points of the surest face. Usage: onnx_detector.py PHOTO."""

import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

WEIGHTS = Path(__file__).resolve().parents[2] / "weights"


def detect(photo):
    """Box [4], points [5,2] and score of the surest face of a Pillow photo, in its pixels."""
    scale = 320 / max(photo.size)
    canvas = np.zeros((320, 320, 3), np.float32)
    small = np.asarray(photo.convert("RGB").resize([round(side * scale) for side in photo.size]))
    canvas[: small.shape[0], : small.shape[1]] = small
    session = onnxruntime.InferenceSession(str(WEIGHTS / "detector.onnx"))
    out = session.run(None, {"input": ((canvas - 127.5) / 128).transpose(2, 0, 1)[None]})
    level = max(range(3), key=lambda i: out[i].max())  # three strides: scores, then boxes, then points
    stride, best = (8, 16, 32)[level], int(out[level].argmax())
    cell = best // 2  # two anchors a cell
    center = np.array([cell % (320 // stride), cell // (320 // stride)]) * stride
    left_top, right_bottom = out[3 + level][best].reshape(2, 2) * stride * [[-1], [1]]
    points = out[6 + level][best].reshape(5, 2) * stride
    box = np.concatenate([center + left_top, center + right_bottom])
    return box / scale, (center + points) / scale, out[level].max()


if __name__ == "__main__":
    for found in detect(Image.open(sys.argv[1])):
        print(np.round(found, 2).tolist())
