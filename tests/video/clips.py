"""Small clips made on the spot, and a restorer of stand-ins that works on them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unmask.faces import align
from unmask.restore.restorer import Restorer

SIZE, HEIGHT, WIDTH = 32, 64, 96
Floats = NDArray[np.float32]


def still(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A soft pattern, uint8 [H,W,3]."""
    y, x = np.mgrid[:height, :width]
    return np.stack([110 + 40 * np.sin(x / 9), 110 + 40 * np.cos(y / 7), 90 + x / 2 + 0 * y], -1).astype(np.uint8)


def write(
    path: Path, frames: int = 24, sound: bool = True, size: tuple[int, int] = (HEIGHT, WIDTH), rate: int = 12
) -> np.ndarray:
    """A clip of a soft pattern that brightens slowly, with a tone; its frames uint8 [T,H,W,3] before encoding."""
    import av

    height, width = size
    pictures = np.stack([still(height, width) + np.uint8(t) for t in range(frames)])
    codec = "libvpx-vp9" if path.suffix == ".webm" else "libx264"
    with av.open(str(path), "w") as out:
        video = out.add_stream(codec, rate=rate, options={"crf": "10"})
        video.height, video.width = height, width
        video.pix_fmt = "yuv420p" if height % 2 == width % 2 == 0 else "yuv444p"
        audio = out.add_stream("libopus" if path.suffix == ".webm" else "aac", rate=48000) if sound else None
        for picture in pictures:
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(video.encode())
        if audio is not None:
            tone = (8000 * np.sin(np.arange(48000 * frames // rate) / 20)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
            out.mux(audio.encode(frame))
            out.mux(audio.encode())
    return pictures


class Detector:
    """One face in the middle, its points shaken a little anew in each frame; none in the frames of ``blind``."""

    def __init__(self, shake: float = 0.5, blind: tuple[int, ...] = ()) -> None:
        self.shake, self.blind, self.count, self.rng = shake, blind, 0, np.random.default_rng(0)

    def detect(self, image: np.ndarray, max_faces: int | None = None) -> list[Any]:
        """The face."""
        self.count += 1
        if self.count - 1 in self.blind:
            return []
        side = image.shape[0] - 8
        corner = np.array([(image.shape[1] - side) / 2, 4])
        points = align.template("ffhq", SIZE) * side / SIZE + corner + self.rng.normal(0, self.shake, (5, 2))
        return [SimpleNamespace(bbox=np.array([*corner, *(corner + side)]), kps=points, det_score=0.9)]


class Segmenter:
    """The lower half, its edge shaken."""

    def __init__(self, worn: float = 1.0) -> None:
        self.worn, self.rng = worn, np.random.default_rng(1)

    def predict(self, crops: Floats) -> tuple[Floats, Floats]:
        """Region and garment score."""
        region = np.zeros((len(crops), 1, SIZE, SIZE), np.float32)
        region[:, :, SIZE // 2 + int(self.rng.integers(-1, 2)) :] = 1
        return region, np.full(len(crops), self.worn, np.float32)


class Codes:
    """A fill by codes that are a gray level, drawn anew for each call: the worst of flickers."""

    def __init__(self, spread: float = 0.3) -> None:
        self.spread, self.rng = spread, np.random.default_rng(2)

    def codes(self, x: Floats, region: Floats) -> tuple[Floats, dict[int, Floats]]:
        """A level [N,1,1] and the same as a skip feature."""
        level = self.rng.normal(0, self.spread, (len(x), 1, 1)).astype(np.float32)
        return level, {4: np.broadcast_to(level[..., None], (len(x), 1, 4, 4))}

    def synthesis(self, ws: Floats, skips: dict[int, Floats]) -> Floats:
        """The level all over."""
        assert np.allclose(skips[4].mean((1, 2, 3)), ws.mean((1, 2)), atol=1e-5)
        return np.broadcast_to(ws[..., None], (len(ws), 3, SIZE, SIZE))

    def seeded(self, seed: int) -> Any:
        """It has no noise."""
        return self

    def __call__(self, x: Floats, region: Floats) -> Floats:
        """Both."""
        ws, skips = self.codes(x, region)
        return self.synthesis(ws, skips)


def restorer(**parts: Any) -> Restorer:
    """A restorer of these stand-ins."""
    fill, segmenter, detector = (parts.get(k) or make() for k, make in
                                 {"fill": Codes, "segmenter": Segmenter, "detector": Detector}.items())  # fmt: skip
    return Restorer(fill, segmenter, detector, size=SIZE)
