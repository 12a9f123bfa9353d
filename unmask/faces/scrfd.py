"""A face detector in SCRFD's layout (Guo et al. 2021, arXiv:2105.04714) through ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..engines import networks
from ..errors import UnmaskError

STRIDES = (8, 16, 32)
ANCHORS = 2  # in each cell
WIDTHS = (1, 4, 10)  # of the outputs: score, distances to the sides of the box, five points

Found = tuple[list[NDArray[np.float32]], list[NDArray[np.float32]], list[NDArray[np.float32]]]


class Scrfd:
    """The network of an ONNX file with nine outputs: scores, boxes and points, each at three strides.

    Attributes:
        static_input_size: (width, height), if the file takes pictures of one size only.
    """

    def __init__(self, path: Path) -> None:
        """Open a file; UnmaskError where it is no face detector with five points."""
        self.path, self.session = path, networks.opened(path, "cpu")
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        widths = tuple(one.shape[-1] for one in outputs if one.shape)
        wanted = tuple(width for width in WIDTHS for _ in STRIDES)
        alike = len(widths) == len(wanted) and all(
            a in (b, None) or isinstance(a, str) for a, b in zip(widths, wanted, strict=True)
        )
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or not alike:
            raise UnmaskError(f"{path}: not a face detector with five points; use an SCRFD model that ends in 'kps'")
        self.input, (height, width) = inputs[0].name, inputs[0].shape[2:]
        fixed = isinstance(height, int) and isinstance(width, int) and min(height, width) > 0
        self.static_input_size = (width, height) if fixed else None

    def forward(self, image: NDArray[np.uint8], threshold: float) -> Found:
        """Scores [N,1], boxes [N,4] and points [N,5,2] above a score, in pixels of the image.

        Each is a list of one array a stride.

        Args:
            image: RGB uint8 [H,W,3], its sides multiples of the coarsest stride.
            threshold: the least score.
        """
        blob = cv2.dnn.blobFromImage(image, 1 / 128, image.shape[1::-1], (127.5, 127.5, 127.5))
        out = networks.run(self.session, self.path, None, {self.input: blob})
        found: Found = ([], [], [])
        for level, stride in enumerate(STRIDES):
            scores, sides, points = (
                np.asarray(out[level + kind * len(STRIDES)]).reshape(-1, width) for kind, width in enumerate(WIDTHS)
            )
            rows = np.flatnonzero(scores[:, 0] >= threshold)
            cells = rows // ANCHORS
            across = image.shape[1] // stride
            anchors = np.stack([cells % across, cells // across], 1).astype(np.float32) * np.float32(stride)
            reach = sides[rows].reshape(-1, 2, 2) * np.array([[-stride], [stride]], np.float32)
            found[0].append(scores[rows])
            found[1].append((anchors[:, None] + reach).reshape(-1, 4).astype(np.float32))
            found[2].append((anchors[:, None] + points[rows].reshape(-1, 5, 2) * stride).astype(np.float32))
        return found
