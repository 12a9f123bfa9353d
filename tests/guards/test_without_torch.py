"""Restoring does without torch: its rooms are imported, and its commands run, where importing torch raises."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "samples" / "astronaut-masked.png"
ROOMS = {"errors", "files", "formats", "images", "engines", "weights", "faces", "recognition", "restore", "batch"}
ROOMS |= {"video", "web", "cli", "config", "devices", "pickles", "unmask"}
# What trains, reads files of torch, or is torch's side of a choice.
TORCHS = {
    *("unmask.engines.torch_side", "unmask.recognition.arcface", "unmask.recognition.trunk"),
    *("unmask.weights.convert", "unmask.weights.official_pickle", "unmask.weights.torch_file"),
}
BLOCK = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "insightface"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name.partition(".")[0])
sys.meta_path.insert(0, Blocked())
"""
IMPORT = "import importlib\nfor name in sys.argv[1:]:\n    importlib.import_module(name)\n"
RUN = "from unmask.cli import main\nsys.exit(main(sys.argv[1:]))\n"


def blocked(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run code in a process in which torch cannot be imported."""
    env = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-c", BLOCK + code, *map(str, arguments)],
        capture_output=True, text=True, env=env, timeout=300,
    )  # fmt: skip


def test_the_rooms_of_a_restoration_do_without_torch(modules):
    pytest.importorskip("fastapi", reason="the extra 'web' is not installed")
    names = [m.name for m in modules if m.name.split(".")[1:2] in ([], *([room] for room in ROOMS))]
    names += [m.name for m in modules if m.name.startswith("unmask.evaluation.verification")]
    wanted = [name for name in names if name not in TORCHS and not name.endswith("__main__")]
    assert len(wanted) > 60
    done = blocked(IMPORT, *wanted)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("name", sorted(TORCHS))
def test_the_block_works(name):
    done = blocked(IMPORT, name)
    assert done.returncode == 1 and "No module named 'torch'" in done.stderr


def test_a_photo_is_restored_without_torch(tmp_path):
    done = blocked(RUN, "restore", SAMPLE, "-o", tmp_path / "out.png", "--samples", 2)
    assert done.returncode == 0, done.stderr
    assert "1 face restored" in done.stdout
    assert (tmp_path / "out.png").is_file() and (tmp_path / "out.sample-02.png").is_file()


def test_other_commands_without_torch():
    assert blocked(RUN, "models", "list").returncode == 0
    done = blocked(RUN, "doctor")
    assert done.returncode == 0, done.stdout
    assert "restoring does without" in done.stdout and "by onnx on cpu" in done.stdout
    for command in (["train", "--config", "mini-unmasker"], ["export", "runs/none"]):
        done = blocked(RUN, *command)
        assert done.returncode == 1
        assert done.stderr == "unmask: this needs torch, which is not installed; pip install torch\n"
