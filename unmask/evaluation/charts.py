"""Small charts of a report as SVG, drawn by matplotlib (the extra ``plots``)."""

from __future__ import annotations

import importlib.util
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import UnmaskError

__all__ = ["COLORS", "Axis", "Line", "chart", "need", "shares"]

COLORS = ("#222222", "#c23b22", "#1f77b4", "#2c8c3c", "#9467bd", "#e08b1d", "#17a2a8", "#8c6d4f")
WIDTH, HEIGHT, ROW = 5.4, 3.5, 0.22  # inches; a row of the legend
# words stay words, names are no formulas, and one chart is always the same text
_STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "unmask", "text.parse_math": False, "font.size": 8}
_NO_NOTES = {"Creator": None, "Date": None, "Format": None, "Type": None}


@dataclass(frozen=True)
class Axis:
    """One axis: its words, its ends, and whether it is logarithmic."""

    label: str
    low: float
    high: float
    log: bool = False

    @property
    def scale(self) -> str:
        """Matplotlib's word for it."""
        return "log" if self.log else "linear"


@dataclass(frozen=True)
class Line:
    """A curve: its name, points and color, and whether it is dashed; with one x more than y, an outline of bars."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    color: str
    dashed: bool = False


def need() -> None:
    """Raise UnmaskError where there is nothing to draw with."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UnmaskError("charts need matplotlib; install it with: pip install 'unmask[plots]'")


def chart(title: str, x: Axis, y: Axis, lines: Sequence[Line]) -> str:
    """An SVG picture of some curves with a legend below; curves without points are left out."""
    need()
    import matplotlib
    from matplotlib.figure import Figure

    lines = [line for line in lines if len(line.y)]
    stream = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        figure = Figure((WIDTH, HEIGHT + ROW * math.ceil(len(lines) / 3)), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(title, loc="left", fontweight="bold")
        axes.set(xlabel=x.label, xscale=x.scale, xlim=(x.low, x.high))
        axes.set(ylabel=y.label, yscale=y.scale, ylim=(y.low, y.high))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("")
        axes.grid(color="#ddd")
        for line in lines:
            style: dict[str, Any] = {"color": line.color, "linestyle": "--" if line.dashed else "-", "label": line.name}
            if len(line.x) > len(line.y):
                axes.stairs(line.y, line.x, **style)
            else:
                axes.plot(line.x, line.y, **style)
        if lines:
            figure.legend(loc="outside lower left", ncols=3, frameon=False)
        figure.savefig(stream, format="svg", metadata=_NO_NOTES)
    whole = stream.getvalue()
    return whole[whole.index("<svg") :].strip()


def shares(values: np.ndarray, low: float, high: float, bins: int = 60) -> tuple[list[float], list[float]]:
    """A histogram as a :class:`Line` takes it: the edges of the bins, and the share of the finite values in each."""
    values = values[np.isfinite(values)]
    if not len(values):
        return [], []
    counts, edges = np.histogram(values.clip(low, high), bins, (low, high))
    return edges.tolist(), (counts / len(values)).tolist()
