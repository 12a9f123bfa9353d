"""Small charts drawn as SVG: lines over a logarithmic or plain axis, and histograms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

__all__ = ["COLORS", "Axis", "Line", "chart", "steps"]

COLORS = ("#222222", "#c23b22", "#1f77b4", "#2c8c3c", "#9467bd", "#e08b1d", "#17a2a8", "#8c6d4f")
WIDTH, HEIGHT = 520, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 22, 44


@dataclass(frozen=True)
class Axis:
    """One axis: its words, its ends, and whether it is logarithmic."""

    label: str
    low: float
    high: float
    log: bool = False

    def place(self, value: float) -> float:
        """Where a value lies, 0 to 1 (held to that)."""
        if self.log:
            value = math.log10(max(value, 1e-300))
            low, high = math.log10(self.low), math.log10(self.high)
        else:
            low, high = self.low, self.high
        return min(1.0, max(0.0, (value - low) / (high - low)))

    def ticks(self) -> list[float]:
        """Round values: powers of ten, or about five steps of 1, 2 or 5."""
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            return [10.0**power for power in range(first, last + 1)]
        rough = (self.high - self.low) / 5
        unit = 10 ** math.floor(math.log10(rough))
        step = next(unit * m for m in (1, 2, 5, 10) if unit * m >= rough)
        first = math.ceil(self.low / step - 1e-9)
        return [step * i for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


@dataclass(frozen=True)
class Line:
    """A curve: its name, its points, its color, and whether it is dashed."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    color: str
    dashed: bool = False


def chart(title: str, x: Axis, y: Axis, lines: Sequence[Line]) -> str:
    """An SVG picture of some curves with a legend below; curves without points are left out."""
    lines = [line for line in lines if len(line.x)]
    rows = math.ceil(len(lines) / 3)
    height = HEIGHT + 18 * rows
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
        f'xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="11">',
        f"<title>{escape(title)}</title>",
        f'<text x="{_LEFT}" y="{_TOP - 6}" font-weight="bold">{escape(title)}</text>',
        *_frame(x, y),
    ]
    for line in lines:
        points = " ".join(
            f"{_across(x, a):.1f},{_up(y, b):.1f}" for a, b in zip(line.x, line.y, strict=True) if _finite(a, b)
        )
        dash = ' stroke-dasharray="5 3"' if line.dashed else ""
        parts.append(f'<polyline points="{points}" fill="none" stroke="{line.color}" stroke-width="1.6"{dash}/>')
    for i, line in enumerate(lines):
        left, top = _LEFT + 155 * (i % 3), HEIGHT + 18 * (i // 3) + 4
        dash = ' stroke-dasharray="5 3"' if line.dashed else ""
        parts.append(
            f'<line x1="{left}" x2="{left + 20}" y1="{top}" y2="{top}" stroke="{line.color}" '
            f'stroke-width="2"{dash}/><text x="{left + 25}" y="{top + 4}">{escape(line.name)}</text>'
        )
    return "".join([*parts, "</svg>"])


def steps(values: np.ndarray, low: float, high: float, bins: int = 60) -> tuple[list[float], list[float]]:
    """The outline of a histogram, as a share per bin."""
    values = values[np.isfinite(values)]
    if not len(values):
        return [], []
    counts, edges = np.histogram(values.clip(low, high), bins, (low, high))
    share = np.repeat(counts / len(values), 2)
    return np.repeat(edges, 2)[1:-1].tolist(), share.tolist()


def _across(axis: Axis, value: float) -> float:
    return _LEFT + axis.place(value) * (WIDTH - _LEFT - _RIGHT)


def _up(axis: Axis, value: float) -> float:
    return HEIGHT - _BOTTOM - axis.place(value) * (HEIGHT - _TOP - _BOTTOM)


def _finite(*values: float) -> bool:
    return all(math.isfinite(value) for value in values)


def _text(value: float, log: bool) -> str:
    return f"1e{round(math.log10(value))}" if log else f"{value:.10g}"


def _frame(x: Axis, y: Axis) -> list[str]:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    parts = []
    for value in x.ticks():
        at = _across(x, value)
        parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{bottom}" stroke="#ddd"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 14}" text-anchor="middle">{_text(value, x.log)}</text>')
    for value in y.ticks():
        at = _up(y, value)
        parts.append(f'<line x1="{_LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 5}" y="{at + 4:.1f}" text-anchor="end">{_text(value, y.log)}</text>')
    middle_x, middle_y = (_LEFT + right) / 2, (_TOP + bottom) / 2
    parts.append(
        f'<rect x="{_LEFT}" y="{_TOP}" width="{right - _LEFT}" height="{bottom - _TOP}" fill="none" stroke="#888"/>'
        f'<text x="{middle_x}" y="{bottom + 31}" text-anchor="middle">{escape(x.label)}</text>'
        f'<text transform="translate(13,{middle_y}) rotate(-90)" text-anchor="middle">{escape(y.label)}</text>'
    )
    return parts
