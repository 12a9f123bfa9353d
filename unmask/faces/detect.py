"""Faces and their five points in photos of any size, by a network of SCRFD's kind in an ONNX file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from .. import weights
from ..errors import UnmaskError
from . import align
from .candidates import Pass, combined, suppress, turned_back
from .scrfd import Scrfd

COARSE = 320  # pixels of the longer side in the first pass: it finds faces from a tenth of the frame up to most of it
FINE = 2560  # and at most in the last one, which finds the small ones
_FINE_FROM = 400  # photos up to this size need the first pass only
_FRAMED = (160, 48)  # pixels of the longer side, and of a border on every side: a face then never fills the frame
_DOUBT = 0.1  # least score with which a pass may confirm what another one found
_TURNED = 0.6  # least score of a face on its side or upside down
_CELL = 32  # the coarsest stride of the network: canvas sides are multiples of it


@dataclass
class Face:
    """One face of a photo, in its pixels.

    Attributes:
        bbox: float64 ``[4]``: left, top, right, bottom; it may reach beyond the photo.
        kps: float64 ``[5, 2]`` (x, y): left eye, right eye, nose, left and right mouth corner as seen in the picture.
        det_score: confidence in [0, 1].

    Faces that lie on their side or upside down have their points as they lie.
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

    @property
    def roll(self) -> float:
        """By how many degrees the face is turned clockwise in the photo, in (-180, 180]; 0 is upright."""
        matrix = align.similarity(align.template("ffhq", 1), self.kps)
        return float(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))


class Detector(Protocol):
    """What finds faces."""

    def detect(self, image: NDArray[np.uint8], max_faces: int | None = None) -> list[Face]:
        """The faces of an RGB photo uint8 ``[H, W, 3]``, largest first, at most ``max_faces`` of them."""
        ...


class ScrfdDetector:
    """SCRFD in several passes over the photo, from coarse to fine, mirrored, and on its sides and upside down.

    A network of this kind finds faces of a certain span of sizes. Few pixels show it the large faces, many the small
    ones; of a large face it takes parts for faces if it sees nothing else. So each pass answers for its own span, and
    faces that several passes ought to see need the word of all (see :func:`unmask.faces.candidates.combined`).
    """

    def __init__(
        self,
        model: Any,
        name: str,
        min_score: float = 0.5,
        min_size: float = 0.0,
        fine: int = FINE,
        turned: bool = True,
    ):
        """Wrap a network.

        Args:
            model: with ``forward(image, threshold)``, as :class:`unmask.faces.scrfd.Scrfd`.
            name: for messages.
            min_score: faces below this confidence are dropped.
            min_size: faces whose shorter side has fewer pixels are dropped.
            fine: pixels of the longer side in the last pass, at most; less is faster and misses smaller faces.
            turned: whether faces on their side or upside down are looked for.
        """
        self.model = model
        self.name = name
        self.min_score = min_score
        self.min_size = min_size
        self.fine = fine
        self.turned = turned
        self._fixed: tuple[int, int] | None = getattr(model, "static_input_size", None)  # width, height

    def detect(self, image: NDArray[np.uint8], max_faces: int | None = None) -> list[Face]:
        """The faces of an RGB photo uint8 ``[H, W, 3]``, largest first, at most ``max_faces`` of them."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"expected uint8 [H, W, 3], got {image.dtype} {list(image.shape)}")
        boxes, points = combined(self.passes(image), self.min_score, max(self.min_score, _TURNED))
        faces = [
            Face(box[:4], kps, float(box[4])) for box, kps in zip(boxes, points, strict=True) if np.isfinite(kps).all()
        ]
        faces = [face for face in faces if face.side >= max(self.min_size, 1.0) and _in_frame(face, image.shape)]
        faces.sort(key=lambda face: -face.area)
        return faces if max_faces is None else faces[:max_faces]

    def passes(self, image: NDArray[np.uint8]) -> list[Pass]:
        """What the network sees in an RGB photo uint8 ``[H, W, 3]``, from coarse to fine, turned and mirrored."""
        longer = max(image.shape[:2])
        small = _resized(image, min(1.0, COARSE / longer))
        found = [self._framed(small, image.shape), self._pass(small, COARSE, image.shape)]
        found += [self._pass(image, side, image.shape) for side in self._finer(longer)]
        for quarters in (1, 2, 3) if self.turned else ():
            found.append(self._pass(np.rot90(small, quarters), COARSE, image.shape, quarters))
        return [*found, self._mirrored(small, image.shape)]

    def _finer(self, longer: int) -> list[int]:
        """Pixels of the longer side in the passes after the coarse one, each about twice that of the one before."""
        finest = min(longer, self.fine)
        if longer <= _FINE_FROM or finest <= COARSE or self._fixed is not None:
            return []
        steps = max(1, round(np.log2(finest / COARSE)))
        return [round(COARSE * (finest / COARSE) ** (k / steps)) for k in range(1, steps + 1)]

    def _framed(self, image: NDArray[np.uint8], shape: tuple[int, ...]) -> Pass:
        """A pass with a border around the photo."""
        longer, border = _FRAMED
        small = _resized(image, min(1.0, longer / max(image.shape[:2])))
        framed = np.pad(small, ((border, border), (border, border), (0, 0)))
        boxes, points = self._see(framed, max(framed.shape[:2]))
        boxes[:, :4] -= border
        return _in_photo(boxes, points - border, small.shape, shape)

    def _mirrored(self, image: NDArray[np.uint8], shape: tuple[int, ...]) -> Pass:
        """The coarse pass over the picture's mirror image, whose points err otherwise than those of the picture."""
        boxes, points = self._see(image[:, ::-1], COARSE)
        edge = image.shape[1] - 1
        boxes[:, [0, 2]] = edge - boxes[:, [2, 0]]
        found = _in_photo(boxes, points[:, [1, 0, 2, 4, 3]] * [-1, 1] + [edge, 0], image.shape, shape)
        return Pass(found.boxes, found.points, COARSE / max(shape[:2]))

    def _pass(self, image: NDArray[np.uint8], longer: int, shape: tuple[int, ...], quarters: int = 0) -> Pass:
        """A pass over ``image``, the photo of ``shape`` at any size, turned by quarters."""
        boxes, points = self._see(image, longer)
        sides = image.shape[:2] if quarters % 2 == 0 else image.shape[1::-1]
        found = _in_photo(*turned_back(boxes, points, quarters, sides), sides, shape)
        return Pass(found.boxes, found.points, longer / max(shape[:2]), quarters)

    def _see(self, image: NDArray[np.uint8], longer: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Boxes ``[N, 5]`` (with the score) and points ``[N, 5, 2]`` found at one size, in pixels of ``image``."""
        height, width = image.shape[:2]
        if self._fixed is not None:
            canvas_w, canvas_h = self._fixed
            scale = min(canvas_w / width, canvas_h / height)
        else:
            scale = longer / max(height, width)
        small = _resized(image, scale)
        if self._fixed is None:
            canvas_h, canvas_w = (-(-side // _CELL) * _CELL for side in small.shape[:2])
        canvas = np.zeros((canvas_h, canvas_w, 3), np.uint8)
        canvas[: small.shape[0], : small.shape[1]] = small[:canvas_h, :canvas_w]
        scores, boxes, points = (np.concatenate(part) for part in self.model.forward(canvas, _DOUBT))
        found = np.concatenate([boxes / scale, scores.reshape(-1, 1)], axis=1).astype(np.float64)
        keep = suppress(found)
        return found[keep], points[keep].astype(np.float64) / scale


def _in_photo(
    boxes: NDArray[np.float64], points: NDArray[np.float64], seen: tuple[int, ...], shape: tuple[int, ...]
) -> Pass:
    """Boxes and points in a picture of the size ``seen`` [H, W, ...] as a pass over the photo of ``shape``."""
    scale = max(seen[:2]) / max(shape[:2])
    boxes = np.concatenate([boxes[:, :4] / scale, boxes[:, 4:]], 1)
    return Pass(boxes, points / scale, scale)


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
    name_or_path: str | os.PathLike[str] = "embedded",
    min_score: float = 0.5,
    min_size: float = 0.0,
    fine: int = FINE,
    turned: bool = True,
) -> ScrfdDetector:
    """A face detector by name or by path.

    Args:
        name_or_path: "embedded" for the project's own, "insightface:PACK" for one of an installed pack, or the path
            of an ONNX file in SCRFD's output layout (strides 8, 16 and 32, two anchors, with five points).
        min_score, min_size, fine, turned: see :class:`ScrfdDetector`.

    Raises:
        UnmaskError: the file is missing, is no ONNX model, or is no face detector with five points.
    """
    path = _locate(os.fspath(name_or_path))
    if not path.is_file():
        raise UnmaskError(f"{path}: there is no such detector; give the path of an ONNX file, or 'embedded'")
    if path.suffix.lower() != ".onnx":
        raise UnmaskError(f"{path}: a detector is an ONNX file; give one that ends in .onnx")
    weights.check(path)
    return ScrfdDetector(Scrfd(path), str(path), min_score, min_size, fine, turned)


def _locate(name: str) -> Path:
    if name == "embedded":
        return weights.find("detector", form="onnx")
    if name.startswith("insightface:"):
        from ..weights import packs

        pack = name.partition(":")[2]
        folder = packs.folder() / pack
        if not folder.is_dir():
            raise UnmaskError(f"{folder}: this pack is not installed; run 'unmask models install {pack}'")
        found = sorted(folder.glob("det_*.onnx")) or sorted(folder.glob("scrfd*.onnx"))
        if not found:
            raise UnmaskError(f"{folder}: no detector in this pack; use one that has it, such as buffalo_l")
        return found[0]
    return Path(name).expanduser()
