"""What the pages tell people to type: blocks marked ``<!-- run -->`` run, every other command is parsed."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from PIL import Image

from tests.guards.test_docs import PAGES, commands
from unmask.cli import cli
from unmask.recognition import Recognizer

ROOT = Path(__file__).resolve().parents[2]
RUN = re.compile(r"^<!-- run -->\n```(sh|python)\n(.*?)^```", re.S | re.M)
RUNNABLE = [page for page in PAGES if RUN.search(page.read_text(encoding="utf-8"))]


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def bare_photos(folder: Path) -> None:
    """The bare sample in other lights and mirrored, which makes other faces of it for `unmask prepare`."""
    folder.mkdir()
    bare = np.asarray(Image.open(ROOT / "samples" / "astronaut.png").convert("RGB")).astype(float)
    y, x = np.mgrid[0 : 1 : 1j * bare.shape[0], 0 : 1 : 1j * bare.shape[1]]
    lights = (1 + 0 * x, 0.35 + 1.1 * x, 1.4 - x, 0.4 + 0.9 * y, 1.3 - 0.9 * y)
    for number, (light, step) in enumerate(itertools.product(lights, (1, -1))):
        lit = np.clip(bare * light[..., None], 0, 255).astype(np.uint8)[:, ::step]
        Image.fromarray(lit).save(folder / f"{number}.jpg", quality=92)


@pytest.fixture
def shell(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A folder as a reader has it, with photos of the sample, and an environment in which ``unmask`` is this one."""
    here, bin = tmp_path / "here", tmp_path / "bin"
    for folder in (here / "holiday", bin):
        folder.mkdir(parents=True)
    for name in ("samples", "docs", "weights"):
        (here / name).symlink_to(ROOT / name)
    bare_photos(here / "photos")
    sample = Image.open(ROOT / "samples" / "astronaut-masked.png")
    for name in ("photo.jpg", "photo.png", "holiday/beach.jpg"):
        sample.save(here / name)
    for name, command in {"unmask": "-m unmask ", "python": ""}.items():
        script = bin / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {command}"$@"\n')
        script.chmod(0o755)
    extra = {"PATH": f"{bin}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    extra["UNMASK_CACHE"] = str(tmp_path / "cache")
    return here, os.environ | extra


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNABLE, ids=named)
def test_marked_blocks_run(page: Path, shell: tuple[Path, dict[str, str]]) -> None:
    here, env = shell
    for language, block in RUN.findall(page.read_text(encoding="utf-8")):
        if "unmask serve" in block:
            pytest.importorskip("fastapi", reason="the extra 'web' is not installed")
            pytest.importorskip("uvicorn", reason="the extra 'web' is not installed")
        if "curl" in block and shutil.which("curl") is None:
            pytest.skip("no curl on PATH")
        if language == "python":
            for made in here.glob("*.unmasked.*"):  # an earlier block of the page may have written it
                made.unlink()
        argv = ["bash", "-euo", "pipefail", "-c", block] if language == "sh" else [sys.executable, "-c", block]
        done = subprocess.run(argv, cwd=here, env=env, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_parse(page: Path) -> None:
    """Every ``unmask ...`` line, with the values of its options, is one that the commands accept."""
    for words in commands(page):
        if "unmask" not in words[:2] or (words[0] != "unmask" and "=" not in words[0]):
            continue
        rest = words[words.index("unmask") + 1 :]
        rest = rest[: next((i for i, word in enumerate(rest) if word in (">", "|", "&", "&&")), len(rest))]
        context, command = click.Context(cli, info_name="unmask"), cli
        while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
            _, command, rest = command.resolve_command(context, rest)
        if isinstance(command, click.Group):
            continue
        try:
            command.make_context(command.name, list(rest))
        except click.exceptions.Exit:
            pass  # --help
        except click.ClickException as error:
            raise AssertionError(f"{named(page)}: {' '.join(words)}: {error.format_message()}") from None


def test_most_of_the_first_pages_runs() -> None:
    """The blocks a newcomer meets are run, not only parsed."""
    assert {"quickstart.md", "own-model.md", "web.md", "onnx.md", "troubleshooting.md"} <= {
        page.name for page in RUNNABLE
    }


def test_troubleshooting_quotes_real_messages() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "unmask").rglob("*.py"))
    elsewhere = {"libGL.so.1: cannot open shared object file", "operator torchvision::nms does not exist"}
    for title in re.findall(r"^## `(.+)`$", page, re.M):
        fragments = [title] if title in source or title in elsewhere else title.split("; ")
        assert all(fragment in source or fragment in elsewhere for fragment in fragments), title


def test_the_recognizer_of_the_docs_is_one() -> None:
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- test: recognizer -->\n```python\n(.*?)```", page, re.S)
    assert block is not None
    space: dict[str, Any] = {}
    exec(block[1], space)
    one = space["Brightness"]()
    assert isinstance(one, Recognizer)
    found = one.embed(np.random.default_rng(0).uniform(-1, 1, (3, 3, *one.size)).astype(np.float32))
    assert np.allclose(np.linalg.norm(found, axis=1), 1)
