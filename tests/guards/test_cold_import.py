"""Importing compiles nothing, downloads nothing, opens no socket, starts no process and writes no file."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

# An audit hook sees every socket, process and file opened for writing, whoever asks for it.
PROBE = """
import importlib, json, os, sys, tempfile
from pathlib import Path
seen = []
cache = Path(sys.argv[1])
def hook(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.posix_spawn"):
        seen.append([event, str(args[:2])])
    elif event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        if not str(args[0]).endswith((".pyc", os.devnull)) and "__pycache__" not in str(args[0]):
            seen.append([event, str(args[0])])
# What the third-party packages do when imported is theirs; they go first, unwatched.
for name in json.loads(sys.argv[2]):
    try:
        importlib.import_module(name)
    except ImportError:
        pass
sys.addaudithook(hook)
for name in json.loads(sys.argv[3]):
    importlib.import_module(name)
left = [str(p) for p in cache.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
print("RESULT " + json.dumps({"seen": seen, "left": left, "modules": sorted(sys.modules)}))
"""
OTHERS = [
    *("numpy", "PIL.Image", "torch", "torch.utils.cpp_extension", "onnxruntime", "onnx", "insightface"),
    *("cv2", "scipy.stats", "skimage", "requests", "click", "tqdm", "yaml", "safetensors.torch"),
    *("fastapi", "fastapi.staticfiles", "python_multipart", "uvicorn"),
]
HEAVY = {"torch", "onnxruntime", "insightface", "cv2", "numpy", "PIL", "requests"}


def probe(names: list[str], others: list[str], tmp_path) -> dict:
    """Import ``names`` in a fresh process with an empty home and cache; what the hook saw."""
    home = tmp_path / "home"
    home.mkdir()
    places = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "TORCH_HOME": str(home / "torch")}
    env = os.environ | places | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(home), json.dumps(others), json.dumps(names)],
        capture_output=True, text=True, env=env, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    return json.loads(line.removeprefix("RESULT "))


def test_import_unmask_is_light(tmp_path):
    result = probe(["unmask", "unmask.cli"], [], tmp_path)
    assert result["seen"] == []
    assert result["left"] == []
    assert HEAVY.isdisjoint(result["modules"]), sorted(HEAVY & set(result["modules"]))


def test_importing_every_module_touches_nothing(modules, tmp_path):
    names = [m.name for m in modules if m.name != "unmask.__main__"]
    result = probe(names, OTHERS, tmp_path)
    assert result["seen"] == []
    assert not [path for path in result["left"] if "unmask" in path or path.endswith((".so", ".lock"))]


@pytest.mark.parametrize("argv", [["--version"], ["--help"]])
def test_answering_a_plain_question_is_quick_work(argv, tmp_path):
    """``--version`` and ``--help`` import neither torch nor any other heavy package."""
    code = (
        "import sys\nfrom unmask.cli import main\nassert main(sys.argv[1:]) == 0\n"
        f"heavy = {sorted(HEAVY)!r}\nassert not [n for n in heavy if n in sys.modules]"
    )
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
