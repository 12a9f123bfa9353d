"""The embedded pack on photos of the size that people have: one face where there is one, none where there is none."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from unmask import images
from unmask.data.shapes import drawn
from unmask.errors import NoFaceError
from unmask.restore.restorer import Restorer
from unmask.restore.results import RestoredFace

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


@pytest.fixture(scope="module")
def restorer() -> Restorer:
    return Restorer.from_pretrained(device="cpu")


def painted(restorer: Restorer, pixels: NDArray[np.uint8]) -> list[RestoredFace]:
    """The faces that would be restored."""
    try:
        located = restorer.locate(pixels)
    except NoFaceError:
        return []
    return [located.chosen[i] for i in located.masked]


def enlarged(name: str, longer: int) -> tuple[NDArray[np.uint8], float]:
    """A bundled picture with ``longer`` pixels on the longer side, and by how much that enlarges it."""
    pixels = images.read(SAMPLES / name).pixels
    scale = longer / max(pixels.shape[:2])
    size = round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC), np.uint8), scale


@pytest.mark.parametrize("longer", [640, 1280, 2560])
def test_the_sample_has_one_face_at_any_size(restorer: Restorer, longer: int) -> None:
    pixels, _ = enlarged("astronaut-masked.png", 320)
    (small,) = painted(restorer, pixels)
    pixels, _ = enlarged("astronaut-masked.png", longer)
    (face,) = painted(restorer, pixels)
    side = float(small.bbox[2] - small.bbox[0])
    assert np.abs(face.kps * 320 / longer - small.kps).max() < 0.1 * side


def test_a_large_face_in_a_large_photo_is_restored_end_to_end(restorer: Restorer) -> None:
    """A smaller stand-in for 48 megapixels with a face of 1600: a fifth of the photo is face, and all else stays."""
    pixels, _ = enlarged("astronaut-masked.png", 1900)
    photo = np.full((1900, 2520, 3), 90, np.uint8)
    photo[: pixels.shape[0], 500 : 500 + pixels.shape[1]] = pixels[:, : 2520 - 500]
    done = restorer.restore(photo)
    (face,) = [one for one in done.faces if one.status == "restored"]
    assert done.warning is not None and "it will look soft" in done.warning
    changed = np.argwhere((done.pixels != photo).any(axis=2))
    left, top, right, bottom = face.bbox
    side = right - left
    assert side > 400 and len(changed) > 0.1 * side**2
    low, high = changed.min(0), changed.max(0)
    assert low[0] > top - 0.3 * side and high[0] < bottom + 0.5 * side
    assert low[1] > left - 0.4 * side and high[1] < right + 0.4 * side


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_the_sample_is_restored_as_it_lies(restorer: Restorer, quarters: int) -> None:
    pixels, _ = enlarged("astronaut-masked.png", 800)
    (upright,) = painted(restorer, pixels)
    (face,) = painted(restorer, np.ascontiguousarray(np.rot90(pixels, quarters)))
    height, width = pixels.shape[:2]
    back = face.kps
    for turned in range(quarters, 0, -1):
        back = np.stack([(width if turned % 2 else height) - 1 - back[:, 1], back[:, 0]], 1)
    assert np.abs(back - upright.kps).max() < 0.1 * float(upright.bbox[2] - upright.bbox[0])


def test_a_bare_face_stays_alone(restorer: Restorer) -> None:
    assert painted(restorer, enlarged("astronaut.png", 1280)[0]) == []


@pytest.mark.parametrize("seed", range(6))
def test_drawings_stay_alone(restorer: Restorer, seed: int) -> None:
    assert painted(restorer, drawn(700, np.random.default_rng([77, seed]))) == []


def test_textures_stay_alone(restorer: Restorer, rng: np.random.Generator) -> None:
    rows, columns = np.mgrid[:900, :1200]
    checks = ((rows // 60 + columns // 60) % 2 * 200 + 20).astype(np.uint8)
    noise = rng.integers(0, 256, (900, 1200), dtype=np.uint8)
    waves = (127 + 120 * np.sin(rows / 23.0) * np.sin(columns / 31.0)).astype(np.uint8)
    for texture in (checks, noise, waves, np.full_like(noise, 180)):
        assert painted(restorer, np.repeat(texture[..., None], 3, 2)) == []
