"""unmasker.onnx with onnxruntime alone: a guess at the face. Usage: onnx_unmasker.py PHOTO FACE.png."""

import sys

import numpy as np
import onnxruntime
from crop import ARCFACE, FFHQ, crop
from onnx_detector import WEIGHTS, detect
from onnx_recognizer import embed
from onnx_segmenter import segment
from PIL import Image


def unmask(face, region, person):
    """The crop [1,3,256,256] in [-1,1] with its region [1,1,256,256] repainted; person: the recognizer's view [128]."""
    session = onnxruntime.InferenceSession(str(WEIGHTS / "unmasker.onnx"))
    inputs = {"faces": face, "region": region, "identity": person[None]}
    restored = session.run(None, inputs)[0].clip(-1, 1)
    return face + region * (restored - face)


if __name__ == "__main__":
    photo = Image.open(sys.argv[1])
    points = detect(photo)[1]
    face = crop(photo, points, 2 * FFHQ, 256)
    region = segment(crop(photo, points, FFHQ, 128))[0].repeat(2, 2).repeat(2, 3)
    person = embed(crop(photo, points, ARCFACE, 112))
    levels = (unmask(face, region, person)[0].transpose(1, 2, 0) + 1) * 127.5
    Image.fromarray(levels.round().astype(np.uint8)).save(sys.argv[2])
