"""Plain and Markdown tables of the same cells."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from importlib import metadata

from .. import __version__

__all__ = ["cell", "markdown", "plain", "versions"]


def cell(value: float | int | str | None, digits: int = 3) -> str:
    """A value as a table shows it; a dash for what is not known."""
    if value is None or (isinstance(value, float) and value != value):
        return "-"
    if isinstance(value, float):
        return f"{value:.{digits}f}"
    return str(value)


def plain(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table for the terminal: first column to the left, the others to the right."""
    widths = [max(len(line[i]) for line in (header, *rows)) for i in range(len(header))]
    lines = []
    for line in (header, *rows):
        first, *others = (
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        lines.append("  ".join((first, *others)).rstrip())
    return "\n".join(lines)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same table in Markdown."""
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def versions() -> dict[str, str]:
    """What a result depends on besides data and weights."""
    found = {
        "unmask": __version__,
        "python": sys.version.split()[0],
        "machine": f"{platform.system()} {platform.machine()}",
    }
    for package in (
        "torch",
        "numpy",
        "onnxruntime",
        "insightface",
        "opencv-python-headless",
        "opencv-python",
    ):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
