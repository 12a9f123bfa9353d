"""dlib's face recognizer of 2017, a witness from outside: nothing here was taught by it or by what taught it.

Davis King's ResNet-29 on 150 x 150 pixels, 128 numbers, weights in the public domain (CC0), as the package
``face_recognition_models`` has them. Two faces are one person for its author at a distance of at most 0.6; here its
vectors are brought to unit length like all others, which keeps nearly the same order, as they are of nearly one length.
"""

from __future__ import annotations

import importlib.util
import threading
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .. import files
from ..errors import UnmaskError
from . import array_of, like, unit

NAME = "dlib"
_WEIGHTS = "models/dlib_face_recognition_resnet_model_v1.dat"
_MISSING = "dlib: needs the packages dlib-bin (or dlib) and face_recognition_models; pip install 'unmask[dlib]'"


class DlibRecognizer:
    """See the module; not differentiable. Raises UnmaskError where its packages are missing."""

    name, template, size, differentiable = NAME, NAME, (150, 150), False

    def __init__(self) -> None:
        package = importlib.util.find_spec("face_recognition_models")  # not imported: it needs old setuptools
        try:
            import dlib
        except ImportError:
            raise UnmaskError(_MISSING) from None
        if package is None or not package.submodule_search_locations:
            raise UnmaskError(_MISSING)
        self.path = Path(package.submodule_search_locations[0]) / _WEIGHTS
        if not self.path.is_file():
            raise UnmaskError(f"{self.path}: is missing; install face_recognition_models anew")
        self._network, self._lock = dlib.face_recognition_model_v1(str(self.path)), threading.Lock()

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 of the weights."""
        return files.sha256(self.path)

    def embed(self, faces: Any) -> Any:
        """Embed ``faces`` [N,3,150,150] RGB in [-1,1] as [N,128] of unit length; ValueError on another shape."""
        if faces.ndim != 4 or tuple(faces.shape[1:]) != (3, *self.size):
            raise ValueError(f"{self.name} takes faces [N,3,150,150], not {list(faces.shape)}")
        if not len(faces):
            return like(faces, np.zeros((0, 128), np.float32))
        levels = np.rint((array_of(faces) + 1) * 127.5).clip(0, 255).astype(np.uint8)
        pictures = [np.ascontiguousarray(one) for one in levels.transpose(0, 2, 3, 1)]
        with self._lock:
            found = self._network.compute_face_descriptor(pictures)
        return like(faces, unit(np.array(found, np.float32)))
