"""The pictures of a list as they are, with face masks on, and restored: what a recognizer would be shown.

A view is made as a deployed system would make it: the masked and the restored picture go through the detector
again, and the region is what the segmenter finds, unless the true points or the true region are asked for.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ... import images
from ...errors import NoFaceError, UnmaskError
from ...faces import align
from ...faces.detect import Detector
from ...faces.landmarks import Landmarker
from ...restore import RestoredFace, Restorer
from ...restore.located import SegmenterLike
from ...simulation import patches
from ...simulation.shape3d import fit_pose
from ...simulation.simulate import Garment, simulate
from ..baselines import FaceRestorer, through
from ..pairs.pictures import Pictures

__all__ = ["CLEAN", "MASKED", "RenderedView", "ViewRenderer", "color_name"]

CLEAN, MASKED = "clean", "masked"
SIMULATE, OCCLUDE = "simulate", "occlude"  # ways to cover a face, beside the boxes of faces.patches
MIN_FACE = 10.0  # pixels between the eyes and the mouth; less cannot be aligned

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class RenderedView:
    """One picture in one view; ``kps`` is None where no face was found."""

    pixels: Image
    kps: NDArray[np.float64] | None
    note: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ViewRenderer:
    """Makes every view of a picture.

    ``masks`` are pictures of the same names with face masks on, or None to cover the faces here as ``cover`` says:
    "simulate" face masks, "occlude" by FROM's protocol, or a name of ``patches.BOXES``. ``aligned`` is the
    template that all pictures already have, or None where faces have to be found. With ``points`` "clean" the
    points of the bare face serve for all views. ``segmenter`` finds the region in crops; where it is None the
    simulator's own is used. ``landmarker`` takes a second look before a face is restored. Restored
    views come of the :class:`Restorer` that people run.
    """

    pictures: Pictures
    detector: Detector | None
    restorers: Sequence[FaceRestorer]
    seed: int = 0
    masks: Pictures | None = None
    cover: str = SIMULATE
    aligned: str | None = None
    points: Literal["detected", "clean"] = "detected"
    segmenter: SegmenterLike | None = None
    landmarker: Landmarker | None = None

    def views(self) -> list[str]:
        """The names of all views, restored ones being named after their restorer."""
        return [CLEAN, MASKED, *(r.name for r in self.restorers)]

    def render(self, keys: Sequence[str], wanted: Sequence[str]) -> dict[str, list[RenderedView]]:
        """The wanted views of some pictures, in the order of the keys."""
        out = {CLEAN: [self._clean(key) for key in keys]}
        if any(view != CLEAN for view in wanted):
            covered = [self._masked(key, clean) for key, clean in zip(keys, out[CLEAN], strict=True)]
            out[MASKED] = [image for image, _ in covered]
            for restorer in self.restorers:
                if restorer.name in wanted:
                    out[restorer.name] = self._restored(restorer, out[CLEAN], covered)
        return {view: out[view] for view in wanted}

    def _clean(self, key: str) -> RenderedView:
        pixels = _opened(self.pictures, key)
        return self._posed(pixels, self._find(pixels))

    def _posed(self, pixels: Image, kps: NDArray[np.float64] | None) -> RenderedView:
        if kps is None:
            return RenderedView(pixels, None)
        try:
            pose = fit_pose(kps)
        except ValueError:
            return RenderedView(pixels, None)
        return RenderedView(pixels, kps, {"yaw": round(pose.yaw, 1), "eyes": round(pose.scale, 1)})

    def _find(self, pixels: Image) -> NDArray[np.float64] | None:
        """The points of the face that the picture is of: large and near the middle."""
        if self.aligned is not None:
            return align.template(self.aligned, pixels.shape[:2])
        assert self.detector is not None
        faces = self.detector.detect(pixels)
        if not faces:
            return None
        middle = (np.array(pixels.shape[1::-1]) - 1) / 2

        def rank(index: int) -> float:
            left, top, right, bottom = faces[index].bbox[:4]
            away = np.square([(left + right) / 2, (top + bottom) / 2] - middle).sum()
            return float((right - left) * (bottom - top) - 2 * away)

        kps = np.asarray(faces[max(range(len(faces)), key=rank)].kps, np.float64)
        tall = np.linalg.norm(kps[3:].mean(0) - kps[:2].mean(0))
        return kps if np.isfinite(kps).all() and tall >= MIN_FACE else None

    def _again(self, pixels: Image, clean: RenderedView) -> NDArray[np.float64] | None:
        """The points used for a picture made from a clean one."""
        if self.points == "clean":
            return clean.kps
        return self._find(pixels)

    def _masked(self, key: str, clean: RenderedView) -> tuple[RenderedView, NDArray[np.float32] | None]:
        """The masked picture, and the true region where it is known."""
        if self.masks is not None:
            name = self.masks.find(key) or self.masks.find(key.rsplit(".", 1)[0])
            if name is None:
                raise UnmaskError(f"{self.masks.name}: no masked picture of {key}; add it under the same name")
            pixels = _opened(self.masks, name)
            same = pixels.shape == clean.pixels.shape
            kps = self._again(pixels, clean) if same else self._find(pixels)
            return RenderedView(pixels, kps, clean.note), None
        if clean.kps is None:
            return RenderedView(clean.pixels, None, clean.note), None
        rng = np.random.default_rng([self.seed, zlib.crc32(key.encode())])
        if self.cover == SIMULATE:
            worn = simulate(clean.pixels, clean.kps, rng)
        else:
            box = None if self.cover == OCCLUDE else self.cover
            worn = patches.cover(clean.pixels, clean.kps, rng, box)
        note = {**clean.note, **_garment_note(worn.garment)}
        return RenderedView(worn.image, self._again(worn.image, clean), note), worn.region

    def _restored(
        self,
        restorer: FaceRestorer,
        clean: Sequence[RenderedView],
        covered: Sequence[tuple[RenderedView, NDArray[np.float32] | None]],
    ) -> list[RenderedView]:
        """Each covered picture as :class:`Restorer` gives it back, the face looked for again; else as it is."""
        out = [image for image, _ in covered]
        exact = self.segmenter is None
        if exact and any(true is None for image, true in covered if image.kps is not None):
            raise UnmaskError("the true region of given masked pictures is not known; use the region 'auto'")
        one = through(restorer, self.segmenter, self.detector, self.landmarker)
        located = {}
        for i, (image, true) in enumerate(covered):
            if image.kps is not None and (faces := self._faces(one, image)):
                located[i] = one.locate(image.pixels, region=true if exact else None, faces=faces)
        one.fill(list(located.values()), exact=exact)
        for i, found in located.items():
            if found.error is None:
                pixels = one.paste(found).pixels
                out[i] = replace(out[i], pixels=pixels, kps=self._again(pixels, clean[i]))
        return out

    def _faces(self, restorer: Restorer, image: RenderedView) -> list[RestoredFace]:
        """The face to restore: where its points are given that one, else the restorer's own find nearest to it."""
        assert image.kps is not None
        given = RestoredFace(np.concatenate([image.kps.min(0), image.kps.max(0)]), image.kps, 1.0, "found")
        if self.points == "clean" or self.aligned is not None:
            return [given]
        try:
            faces = restorer.find(image.pixels)
        except NoFaceError:
            return []
        nearest = min(faces, key=lambda face: float(np.abs(face.kps - given.kps).mean()))
        return [nearest] if nearest.status == "found" else []


def _opened(pictures: Pictures, key: str) -> Image:
    content = pictures.read(key)
    try:
        return images.read(content).pixels
    except UnmaskError as error:
        raise UnmaskError(f"{pictures.name}: {key}: {error}") from error


def _garment_note(garment: Garment | None) -> dict[str, Any]:
    if garment is None:
        return {}
    words = {"kind": garment.kind, "coverage": garment.coverage, "color": color_name(garment.color)}
    return {**words, "rgb": [int(c) for c in garment.color]}


def color_name(rgb: Sequence[int]) -> str:
    """A plain word for a color: white, gray, black, or the nearest hue."""
    red, green, blue = (float(c) for c in rgb)
    high, low = max(red, green, blue), min(red, green, blue)
    if high < 60:
        return "black"
    if high - low < 0.16 * high:
        return "white" if high > 200 else "gray"
    sector = (high - low) / 60
    if high == red:
        hue = ((green - blue) / sector) % 360
    elif high == green:
        hue = (blue - red) / sector + 120
    else:
        hue = (red - green) / sector + 240
    for limit, name in ((20, "red"), (70, "yellow"), (165, "green"), (260, "blue"), (350, "pink")):
        if hue < limit:
            return name
    return "red"
