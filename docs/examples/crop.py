"""An aligned crop by numpy and Pillow alone: what all models but the detector take."""

import numpy as np
from PIL import Image

# Eyes, nose, mouth corners: ffhq in a crop of 128 pixels (twice that in one of 256), arcface in one of 112.
FFHQ = np.array([(192.98, 239.95), (318.90, 240.19), (256.63, 314.02), (201.26, 371.41), (313.09, 371.15)]) / 4
ARCFACE = np.array([(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)])


def crop(photo, points, template, size):
    """The face with five points [5,2] in a Pillow photo, brought to a template: float32 [1,3,size,size] in [-1,1]."""
    a, b = (np.asarray(p) @ (1, 1j) for p in (points, template))  # points as complex numbers
    da, db = a - a.mean(), b - b.mean()
    turn = np.vdot(da, da) / np.vdot(da, db)  # from the crop to the photo
    shift = a.mean() - turn * b.mean() + (0.5 + 0.5j) * (1 - turn)  # Pillow counts from pixel corners
    way = (turn.real, -turn.imag, shift.real, turn.imag, turn.real, shift.imag)
    face = photo.convert("RGB").transform((size, size), Image.Transform.AFFINE, way, Image.Resampling.BICUBIC)
    return np.asarray(face, np.float32).transpose(2, 0, 1)[None] / 127.5 - 1
