"""The examples that use onnxruntime alone give what the library gives."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from unmask import images, models, recognition, weights
from unmask.faces import align
from unmask.faces.detect import load_detector
from unmask.faces.landmarks import Landmarker
from unmask.faces.segment import Segmenter
from unmask.restore import identity
from unmask.restore.restorer import Restorer

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"
MASKED, BARE = (ROOT / "samples" / name for name in ("astronaut-masked.png", "astronaut.png"))


@pytest.fixture(autouse=True)
def _beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))


@pytest.fixture
def face() -> np.ndarray:
    """The sample's crop as the library makes it, [1,3,128,128]."""
    pixels = images.read(MASKED).pixels
    crop, _ = align.crop_face(pixels, load_detector().detect(pixels)[0].kps, "ffhq", 128)
    return images.to_tensor(crop).numpy()


def best(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The library's best box [5] and points [5,2] in its pass at 320 px, as the example looks once at that size."""
    coarse = load_detector().passes(image)[1]
    row = coarse.boxes[:, 4].argmax()
    return coarse.boxes[row], coarse.points[row]


def test_detector() -> None:
    from onnx_detector import detect

    found, kps = best(images.read(MASKED).pixels)
    box, points, score = detect(Image.open(MASKED))
    width = found[2] - found[0]
    assert np.abs(box - found[:4]).max() < 0.08 * width and np.abs(points - kps).max() < 0.08 * width
    assert score == pytest.approx(found[4], abs=0.03)


def test_detector_on_a_photo_of_another_shape(tmp_path: Path) -> None:
    from onnx_detector import detect

    wide = Image.new("RGB", (800, 600), (90, 90, 90))
    wide.paste(Image.open(BARE).resize((480, 480)), (300, 100))
    found, kps = best(np.asarray(wide))
    assert np.linalg.norm(detect(wide)[1] - kps, axis=1).max() < 0.08 * (found[2] - found[0])


def test_crop(face: np.ndarray) -> None:
    from crop import FFHQ, crop

    points = load_detector().detect(images.read(MASKED).pixels)[0].kps
    assert np.abs(crop(Image.open(MASKED), points, FFHQ, 128) - face).mean() < 0.02


def test_segmenter(face: np.ndarray) -> None:
    from onnx_segmenter import segment

    region, garment = segment(face)
    wanted, sure = Segmenter().predict(face, tidied=False)
    assert np.abs(region - wanted).max() < 0.02 and garment == pytest.approx(float(sure[0]), abs=0.01)


def test_unmasker(face: np.ndarray) -> None:
    from onnx_unmasker import unmask

    face = face.repeat(2, 2).repeat(2, 3)
    region = np.zeros((1, 1, 256, 256), np.float32)
    region[:, :, 140:230, 70:190] = 1
    restorer = Restorer.from_pretrained(device="cpu")
    whole = restorer.unmask(face, region)
    made = unmask(face, region, identity.embed(face, "ffhq", restorer.model.recognizer)[0])
    assert np.abs(made - whole)[np.broadcast_to(region, made.shape) > 0].max() < 0.03
    assert np.array_equal(made[:, :, :140], face[:, :, :140])


def test_recognizer() -> None:
    from crop import ARCFACE, crop
    from onnx_recognizer import embed

    points = load_detector().detect(images.read(BARE).pixels)[0].kps
    face = crop(Image.open(BARE), points, ARCFACE, 112)
    wanted = recognition.load().embed(face)[0]
    assert embed(face) @ wanted > 0.999
    masked_face_recognizer = recognition.load("from").embed(face)[0]
    assert embed(face, "from") @ masked_face_recognizer > 0.999


@pytest.mark.parametrize("name, arguments, words", [
    ("onnx_detector.py", [MASKED], "["),
    ("onnx_segmenter.py", [MASKED, "region.png"], "a face mask is worn: 1.00"),
    ("onnx_unmasker.py", [MASKED, "face.png"], ""),
    ("onnx_recognizer.py", [BARE, BARE], "similarity 1.000"),
    ("onnx_recognizer.py", [BARE, BARE, "from"], "similarity 1.000"),
])  # fmt: skip
def test_scripts_run(name: str, arguments: list[Any], words: str, tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(words)
    for made in arguments[1:]:
        if isinstance(made, str) and made.endswith(".png"):
            with Image.open(tmp_path / made) as picture:
                assert picture.size == ((256, 256) if name == "onnx_unmasker.py" else (128, 128))


def test_landmarker() -> None:
    from onnx_landmarker import PLACE, SIDE, predict

    photo, pixels = Image.open(MASKED), images.read(MASKED).pixels
    points = load_detector().detect(pixels)[0].kps
    face, garment, found = predict(photo, points)
    seen = Landmarker()
    (ours,) = seen.predict(pixels, [points], rounds=1)
    back = align.transform_points(found, align.invert(align.similarity(points, PLACE)))
    width = np.linalg.norm(points[1] - points[0])
    assert seen.size == SIDE and abs(face - ours.face) < 0.05 and abs(garment - ours.garment) < 0.1
    assert np.abs(back - ours.kps).max() < 0.12 * width  # the library's last predict is a mean of several


def test_every_embedded_onnx_file_has_an_example_without_torch() -> None:
    have = {path.stem.removeprefix("onnx_") for path in EXAMPLES.glob("onnx_*.py")}
    have |= {"from", "g2d"}  # names that onnx_recognizer.py takes
    assert {row.name for row in weights.rows() if row.onnx} <= have
    for path in EXAMPLES.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        plain = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
        roots = {alias.name.split(".")[0] for node in plain for alias in node.names}
        roots |= {(node.module or "").split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        allowed = {"sys", "pathlib", "numpy", "onnxruntime", "PIL", "crop"}
        assert roots <= allowed | {"onnx_detector", "onnx_recognizer", "onnx_segmenter"}
        assert sum(isinstance(node, ast.stmt) for node in ast.walk(tree)) <= 30


def test_generator() -> None:
    from onnx_generator import faces

    checkpoint = weights.read("generator", kind="generator")
    network = models.build(checkpoint.kind, **checkpoint.arch)
    weights.fill(network, checkpoint)
    z = np.random.default_rng(3).standard_normal((2, 256)).astype(np.float32)
    with torch.no_grad():
        wanted = images.to_uint8(network.eval()(torch.from_numpy(z), noise="const").clamp(-1, 1))
    assert np.abs(faces(z).astype(int) - wanted).max() <= 1
