"""segmenter.onnx with onnxruntime alone: where the face mask is. Usage: onnx_segmenter.py PHOTO REGION.png."""

import sys

import numpy as np
import onnxruntime
from crop import FFHQ, crop
from onnx_detector import WEIGHTS, detect
from PIL import Image


def segment(face):
    """The region [1,1,128,128] in [0,1] of an ffhq crop [1,3,128,128], and how sure it is that there is one."""
    region, garment = onnxruntime.InferenceSession(str(WEIGHTS / "segmenter.onnx")).run(None, {"faces": face})
    return region, float(garment[0])


if __name__ == "__main__":
    photo = Image.open(sys.argv[1])
    region, garment = segment(crop(photo, detect(photo)[1], FFHQ, 128))
    Image.fromarray((region[0, 0] * 255).astype(np.uint8)).save(sys.argv[2])
    print(f"a face mask is worn: {garment:.2f}")
