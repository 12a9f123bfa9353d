"""Faces and their five points in photos of any size, through insightface's SCRFD over an ONNX file."""

from __future__ import annotations

import contextlib
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from unmask.errors import UnmaskError
from unmask.images import bgr

COARSE = 320  # pixels of the longer side in the first pass: it finds faces from a tenth of the frame up to all of it
FINE = 1280  # and at most in the second pass, which finds the small ones
_FINE_FROM = 400  # photos up to this size need no second pass
_PAD = 0.5  # of the longer side, added on every side when nothing was found: a face then never fills the frame
_PADDED = 384  # pixels of the longer side with that border: the photo in it has half
_NMS = 0.4
_STEP = 32  # the coarsest stride of the network: canvas sides are multiples of it


@dataclass
class Face:
    """One face of a photo, in its pixels.

    Attributes:
        bbox: float64 ``[4]``: left, top, right, bottom; it may reach beyond the photo.
        kps: float64 ``[5, 2]`` (x, y): left eye, right eye, nose, left and right mouth corner as seen in the picture.
        det_score: confidence in [0, 1].
    """

    bbox: NDArray[np.float64]
    kps: NDArray[np.float64]
    det_score: float

    @property
    def side(self) -> float:
        """The shorter side of the box, in pixels."""
        return float(min(self.bbox[2] - self.bbox[0], self.bbox[3] - self.bbox[1]))

    @property
    def area(self) -> float:
        """Area of the box, in pixels."""
        return float((self.bbox[2] - self.bbox[0]) * (self.bbox[3] - self.bbox[1]))


class Detector(Protocol):
    """What finds faces."""

    def detect(self, image: NDArray[np.uint8], max_faces: int | None = None) -> list[Face]:
        """The faces of an RGB photo uint8 ``[H, W, 3]``, largest first, at most ``max_faces`` of them."""
        ...


class ScrfdDetector:
    """SCRFD in two passes over the photo, a coarse and a fine one, and a third with a wide border if both find nothing.

    A network of this kind finds faces of a certain span of sizes. Few pixels show it the large faces (on photos of
    masked people up to 400 pixels wide, 320 pixels found 95 % of the faces and 640 found 64 %), many the small ones.
    """

    def __init__(self, model: Any, name: str, min_score: float = 0.5, min_size: float = 0.0, fine: int = FINE):
        """Wrap a model of ``insightface.model_zoo``.

        Args:
            model: with ``forward(bgr image, threshold)``, ``nms(boxes)`` and ``use_kps``, as insightface's SCRFD.
            name: for messages.
            min_score: faces below this confidence are dropped.
            min_size: faces whose shorter side has fewer pixels are dropped.
            fine: pixels of the longer side in the second pass, at most; less is faster and misses smaller faces.
        """
        self.model = model
        self.name = name
        self.min_score = min_score
        self.min_size = min_size
        self.fine = fine
        self.model.nms_thresh = _NMS

    def detect(self, image: NDArray[np.uint8], max_faces: int | None = None) -> list[Face]:
        """The faces of an RGB photo uint8 ``[H, W, 3]``, largest first, at most ``max_faces`` of them."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"expected uint8 [H, W, 3], got {image.dtype} {list(image.shape)}")
        longer = max(image.shape[:2])
        found = [self._pass(image, COARSE)]
        if longer > _FINE_FROM and self.fine > COARSE:
            found.append(self._pass(image, min(longer, self.fine)))
        if not any(len(boxes) for boxes, _ in found):
            found = [self._padded(image)]
        boxes, points = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.argsort(-boxes[:, 4], kind="stable")
        boxes, points = boxes[order], points[order]
        faces = [
            Face(boxes[i, :4].astype(np.float64), points[i].astype(np.float64), float(boxes[i, 4]))
            for i in (self.model.nms(boxes) if len(boxes) else ())
        ]
        faces = [face for face in faces if face.side >= max(self.min_size, 1.0) and _in_frame(face, image.shape)]
        faces.sort(key=lambda face: -face.area)
        return faces if max_faces is None else faces[:max_faces]

    def _padded(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        # shrink first: what is padded is small then, whatever the photo's size
        scale = min(1.0, COARSE / max(image.shape[:2]))
        small = _resized(image, scale)
        pad = round(_PAD * max(small.shape[:2]))
        framed = np.pad(small, ((pad, pad), (pad, pad), (0, 0)))
        boxes, points = self._pass(framed, _PADDED)
        boxes[:, :4] = (boxes[:, :4] - pad) / scale
        return boxes, (points - pad) / scale

    def _pass(self, image: NDArray[np.uint8], longer: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Boxes ``[N, 5]`` (with the score) and points ``[N, 5, 2]`` found at one size, in pixels of ``image``."""
        fixed = getattr(self.model, "static_input_size", None)
        height, width = image.shape[:2]
        if fixed is not None:
            canvas_w, canvas_h = fixed
            scale = min(canvas_w / width, canvas_h / height)
        else:
            scale = longer / max(height, width)
        small = _resized(image, scale)
        if fixed is None:
            canvas_h, canvas_w = (-(-side // _STEP) * _STEP for side in small.shape[:2])
        canvas = np.zeros((canvas_h, canvas_w, 3), np.uint8)
        canvas[: small.shape[0], : small.shape[1]] = small[:canvas_h, :canvas_w]
        scores, boxes, points = (np.concatenate(part) for part in self.model.forward(bgr(canvas), self.min_score))
        found = np.concatenate([boxes / scale, scores.reshape(-1, 1)], axis=1).astype(np.float32)
        return found, (points / scale).astype(np.float32)


def _resized(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if size == (width, height):
        return image
    return np.asarray(
        cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR), np.uint8
    )


def _in_frame(face: Face, shape: tuple[int, ...]) -> bool:
    x, y = (face.bbox[:2] + face.bbox[2:]) / 2
    return bool(0 <= x < shape[1] and 0 <= y < shape[0] and np.isfinite(face.kps).all())


def load_detector(
    name_or_path: str | os.PathLike[str] = "embedded", min_score: float = 0.5, min_size: float = 0.0, fine: int = FINE
) -> ScrfdDetector:
    """A face detector by name or by path.

    Args:
        name_or_path: "embedded" for the project's own, "insightface:PACK" for one of an installed pack, or the path
            of an ONNX file in SCRFD's output layout (strides 8, 16 and 32, two anchors, with five points).
        min_score, min_size, fine: see :class:`ScrfdDetector`.

    Raises:
        UnmaskError: the file is missing, is no ONNX model, or is no face detector with five points.
    """
    path = _locate(os.fspath(name_or_path))
    if not path.is_file():
        raise UnmaskError(f"{path}: there is no such detector; give the path of an ONNX file, or 'embedded'")
    if path.suffix.lower() != ".onnx":
        raise UnmaskError(f"{path}: a detector is an ONNX file; give one that ends in .onnx")
    model = _open(path)
    if getattr(model, "taskname", None) != "detection" or not getattr(model, "use_kps", False):
        raise UnmaskError(f"{path}: not a face detector with five points; use an SCRFD model that ends in 'kps'")
    return ScrfdDetector(model, str(path), min_score, min_size, fine)


def _locate(name: str) -> Path:
    if name == "embedded":
        from unmask import weights

        return weights.find("detector", form="onnx")
    if name.startswith("insightface:"):
        from unmask.weights import packs

        pack = name.partition(":")[2]
        folder = packs.folder() / pack
        if not folder.is_dir():
            raise UnmaskError(f"{folder}: this pack is not installed; run 'unmask models install {pack}'")
        found = sorted(folder.glob("det_*.onnx")) or sorted(folder.glob("scrfd*.onnx"))
        if not found:
            raise UnmaskError(f"{folder}: no detector in this pack; use one that has it, such as buffalo_l")
        return found[0]
    return Path(name).expanduser()


def _open(path: Path) -> Any:
    """The model as insightface loads it, without its prints, after a look at its sha256 where a table has one."""
    import onnxruntime
    import torch

    from unmask import weights

    weights.check(path)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # leave the cores to others meanwhile
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            from insightface.model_zoo import get_model

            # one session for all sizes: one per size would pile up in memory, photo by photo
            return get_model(
                str(path), providers=["CPUExecutionProvider"], sess_options=options, static_shape_sessions=False
            )
    except Exception as error:  # protobuf, onnxruntime and insightface each raise their own
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise UnmaskError(f"{path}: cannot be loaded as an ONNX detector ({reason}); fetch it again") from error
