"""Every shipped config loads and trains: its task is built at full size on drawn faces and takes a step."""

from __future__ import annotations

import csv
import dataclasses
import importlib
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from unmask import config, weights
from unmask.data.face_sets import POINT_NAMES
from unmask.errors import UsageError
from unmask.training import TASKS, read_config
from unmask.training.tasks import detector, landmarker, segmenter

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "unmask" / "configs").glob("*.yaml"))
FACES = 24
# The ffhq template at 128 px, to a pixel; faces are drawn on it so that no alignment moves them.
POINTS = np.array([[48, 60], [80, 60], [64, 78], [50, 93], [78, 93]], float)
# What is turned down so that a step takes seconds: sizes of pools and batches, never of networks.
SMALL = {
    "batch_size": 2, "teacher": "", "hint_channels": [], "label_weight": 0.1, "recognizer": "", "start": "",
    "pool": 6, "val_faces": 4,
    "threads": 0,
    "crowds": 2, "worn": "[]", "precision": "fp32", "per_source": 6, "crops": 8,
    "miner": "",
}  # fmt: skip
SMALL_CONSTANTS = [
    (detector, "VAL_SCENES", 2), (segmenter, "VAL_FACES", 4), (landmarker, "VAL_CROPS", 4), (landmarker, "THINGS", 4),
    (landmarker, "POOL", 6),
]  # fmt: skip


def face(rng: np.random.Generator, size: int = 128) -> Image.Image:
    """A drawn face on the template: an oval, eyes, a nose and a mouth, in random colors."""
    skin = tuple(int(v) for v in rng.integers(90, 230, 3))
    picture = Image.new("RGB", (128, 128), tuple(int(v) for v in rng.integers(0, 255, 3)))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((24, 16, 104, 120), fill=skin)
    for x, y in POINTS[:2]:
        draw.ellipse((x - 5, y - 3, x + 5, y + 3), fill=(30, 30, 40))
    draw.line((64, 62, 64, 80), fill=tuple(v * 3 // 4 for v in skin), width=3)
    draw.line((50, 93, 78, 93), fill=(160, 60, 60), width=4)
    return picture.resize((size, size))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """A data folder in the documented layout with a few drawn faces in every source a config may name."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    header = ["file", "identity", *(f"{p}_{axis}" for p in POINT_NAMES for axis in "xy")]
    small = [f"faces128/{name}" for name in ("celebw", "meb", "aaf", "utk", "ffhq")]
    for source in (*small, "faces256/meb", "faces256/aaf", "celeba_small/images", "casia/images", "mine", "ffhq1024"):
        folder = root / source
        folder.mkdir(parents=True)
        with (folder / "index.csv").open("w", newline="") as stream:
            rows = csv.writer(stream)
            rows.writerow(header)
            for i in range(FACES):
                face(rng).save(folder / f"{i:03d}.png")
                rows.writerow([f"{i:03d}.png", f"person{i % 6}", *POINTS.ravel()])
    (root / "wild").mkdir()
    with (
        zipfile.ZipFile(root / "wild" / "images.zip", "w") as archive,
        (root / "wild" / "faces.csv").open("w", newline="") as stream,
    ):
        rows = csv.writer(stream)
        rows.writerow(["file", "x1", "y1", "x2", "y2", "score", *header[2:]])
        for i in range(FACES):
            with archive.open(f"{i:03d}.png", "w") as file:
                face(rng, 256).save(file, "PNG")
            rows.writerow([f"{i:03d}.png", 48, 32, 208, 240, 0.9, *(2 * POINTS).ravel()])
    (root / "scenes").mkdir()
    with zipfile.ZipFile(root / "scenes" / "images.zip", "w") as archive:
        for i in range(4):
            with archive.open(f"{i:03d}.png", "w") as file:
                Image.fromarray(rng.integers(0, 255, (160, 200, 3), dtype=np.uint8)).save(file, "PNG")
    return root


def overrides(path: Path, data: Path, out: Path) -> list[str]:
    """Assignments that make one step of a config quick, those of them that its task knows."""
    config = read_config(str(path))
    found = [f"data={data}", f"out={out}"]
    # g2d cannot do without a teacher
    small = SMALL | ({"teacher": "embedded", "model.embedding": 128} if config.task == "g2d" else {})
    if path.stem.startswith("ffhq"):
        small |= {"max_steps": 2}  # few faces are made ready for it
    if path.stem.startswith("detail-"):  # it goes on from weights
        small |= {"start": "unmasker", "max_steps": 2}
    if getattr(getattr(config, "model", None), "identity", 0):  # the styles take its embedding
        small |= {"recognizer": "recognizer"}
    if path.stem.startswith("adapt-"):  # they start from a file
        small |= {"teacher": str(weights.find("recognizer", "onnx"))}
    for key, value in small.items():
        holder, _, last = key.rpartition(".")
        place = getattr(config, holder, None) if holder else config
        known = dataclasses.is_dataclass(place) and last in {f.name for f in dataclasses.fields(place)}
        if known and not dataclasses.is_dataclass(getattr(place, last)):
            found.append(f"{key}={value}")
    return found


def test_configs_come_in_two_sizes():
    names = {path.stem for path in CONFIGS}
    assert names >= {f"mini-{task}" for task in TASKS}
    assert any(name.startswith("ffhq256-") for name in names)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_config_trains(path, drawn, tmp_path, monkeypatch):
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "cache"))
    for module, name, value in SMALL_CONSTANTS:
        monkeypatch.setattr(module, name, value)
    config = read_config(str(path), overrides(path, drawn, tmp_path / "run"))
    module = importlib.import_module(f"unmask.{TASKS[config.task]}")
    task = module.build(config, torch.device("cpu"))
    assert all(sum(p.numel() for p in m.parameters()) for m in task.modules.values())
    task.batch(np.random.default_rng(0), 0)
    # a step of the other large ones is for a GPU
    if path.stem.startswith(("mini-", "adapt-", "smoke-")) or path.stem.endswith("-casia"):
        lengths = [getattr(config, f"{stage}_steps", 0) for stage in ("clean", "encoder", "reformer")]
        for at in sorted({0, *np.cumsum(lengths).tolist()} - {config.max_steps}):  # the first step of every stage
            losses = task.step(task.batch(np.random.default_rng(0), at), at)
            assert losses and all(math.isfinite(float(value)) for value in losses.values()), losses


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_unknown_keys_name_themselves(path):
    with pytest.raises(UsageError, match="no_such_key"):
        read_config(str(path), ["no_such_key=1"])


def test_shipped_configs_go_by_name():
    for path in CONFIGS:
        assert config.find(path.stem) == path
