"""The documentation site builds without a warning and fetches nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from unmask.cli import COMMANDS
from unmask.training import TASKS

ROOT = Path(__file__).resolve().parents[2]
pytest.importorskip("mkdocs", reason="the extra 'docs' is not installed")
pytest.importorskip("material", reason="the extra 'docs' is not installed")
pytest.importorskip("mkdocstrings_handlers.python", reason="the extra 'docs' is not installed")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    env = os.environ | {"PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_command_and_option_is_in_the_reference(site: Path) -> None:
    page = (site / "reference" / "cli" / "index.html").read_text(encoding="utf-8")
    assert all(f">unmask {name}<" in page for name in COMMANDS)
    assert "--skip-existing" in page and "<!-- commands -->" not in page


def test_every_key_of_every_config_is_in_the_reference(site: Path) -> None:
    page = (site / "reference" / "configs" / "index.html").read_text(encoding="utf-8")
    assert all(f'<h2 id="{task}">' in page for task in TASKS)
    assert "checkpoint_every" in page and "adversarial_weight" in page and "<!-- configs -->" not in page


def test_the_api_reference_has_signatures(site: Path) -> None:
    page = (site / "reference" / "api" / "index.html").read_text(encoding="utf-8")
    for name in ("from_pretrained", "RestoredFace", "read_note", "upfirdn2d", "NoMaskError", "create_app"):
        assert name in page
    assert ":::" not in page


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        loads = re.findall(r"<(?:script|img|iframe)[^>]+src=[\"']?(https?:)?//", text)
        loads += re.findall(r"<link[^>]+rel=[\"']?(?:stylesheet|preconnect|icon)[\"']?[^>]+href=[\"']?https?://", text)
        assert not loads, path
    assert (site / "notebooks" / "unmask.ipynb").is_file() and (site / "examples" / "crop.py").is_file()
