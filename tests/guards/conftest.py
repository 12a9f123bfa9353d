"""What the guards look at: the tree, its tracked files and its parsed modules."""

from __future__ import annotations

import ast
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Module:
    """One parsed source file of the package; ``name`` is dotted and never ends in ``__init__``."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def modules() -> list[Module]:
    """Every module of the package, parsed, never imported."""
    found = []
    for path in sorted((ROOT / "unmask").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(name, path, ast.parse(path.read_text(encoding="utf-8"), str(path))))
    return found


@pytest.fixture(scope="session")
def tracked() -> list[Path]:
    """Every file under version control that exists; in an unpacked sdist, every source file."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
        ).stdout.split("\0")
        files = [ROOT / name for name in listed if name]
    except (OSError, subprocess.CalledProcessError):
        tops = ("unmask", "tests", "docs", "benchmarks", "samples", "weights", "third_party")
        files = [path for top in tops for path in (ROOT / top).rglob("*")]
    return [path for path in files if path.is_file() and "__pycache__" not in path.parts]
