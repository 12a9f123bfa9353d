"""What a simulated face mask is: kind, cut, color and pattern, and how they are drawn at random.

The shares follow what people wear in street and shop photos: dark stretch cloth and pleated surgical masks most, then
white folded respirators, printed cloth, cups with valves.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

Color = tuple[int, int, int]

KINDS = ("surgical", "n95", "kn95", "cloth")
COVERAGES = ("high", "medium", "low")
#: Cuts a kind comes in; the outline and the relief depend on the cut.
STYLES: dict[str, tuple[str, ...]] = {
    "surgical": ("pleated",),
    "n95": ("cup", "duckbill"),
    "kn95": ("fold", "boat"),
    "cloth": ("contour", "pleated", "flat", "sport", "bandana"),
}
PATTERNS = ("plain", "heather", "weave", "stripes", "plaid", "dots", "flowers", "print", "camo")

_KIND_SHARE = {"surgical": 0.36, "cloth": 0.38, "kn95": 0.16, "n95": 0.10}
_STYLE_SHARE = {
    "surgical": (1.0,),
    "n95": (0.75, 0.25),
    "kn95": (0.75, 0.25),
    "cloth": (0.45, 0.16, 0.16, 0.13, 0.10),
}
_PATTERN_SHARE = (0.46, 0.10, 0.08, 0.06, 0.06, 0.07, 0.07, 0.06, 0.04)

_SURGICAL: tuple[tuple[float, Color], ...] = (
    (0.27, (152, 198, 222)),
    (0.06, (118, 178, 220)),
    (0.13, (172, 212, 220)),
    (0.24, (238, 240, 240)),
    (0.10, (32, 33, 37)),
    (0.06, (238, 186, 200)),
    (0.08, (140, 208, 190)),
    (0.03, (190, 176, 220)),
    (0.03, (240, 226, 150)),
)
_RESPIRATOR: tuple[tuple[float, Color], ...] = (
    (0.66, (236, 236, 232)),
    (0.08, (226, 224, 210)),
    (0.12, (34, 34, 38)),
    (0.06, (120, 124, 128)),
    (0.04, (226, 190, 120)),
    (0.04, (176, 206, 226)),
)
_CLOTH: tuple[tuple[float, Color], ...] = (
    (0.34, (28, 28, 31)),
    (0.14, (34, 40, 62)),
    (0.12, (92, 96, 102)),
    (0.06, (150, 152, 154)),
    (0.09, (232, 230, 226)),
    (0.04, (120, 30, 44)),
    (0.04, (196, 44, 54)),
    (0.04, (214, 178, 52)),
    (0.04, (60, 84, 60)),
    (0.04, (224, 160, 164)),
    (0.05, (64, 110, 170)),
)


@dataclass(frozen=True)
class Garment:
    """One face mask.

    Attributes:
        kind: "surgical", "n95", "kn95" or "cloth".
        color: main color, sRGB as it looks under white light.
        coverage: "high" (bridge of the nose), "medium" (middle of the nose) or "low" (the tip of the nose or less).
        style: the cut, one of `STYLES[kind]`.
        pattern: one of `PATTERNS`; respirators and surgical masks are mostly plain.
        accent: second color: print, hems, valves.
        loops: "ear", "head" or "none" (hidden by hair, or tied out of sight).
        loop_color: color of the straps.
        valve: number of exhalation valves, 0 to 2.
        size: factor on the usual size of the garment.
        slack: 0 (tight) to 1 (baggy): how far the cloth stands off the face.
        tilt: degrees by which it sits askew.
        wrinkles: 0 (smooth) to 1 (crumpled).
    """

    kind: str
    color: Color
    coverage: str
    style: str
    pattern: str = "plain"
    accent: Color = (240, 240, 240)
    loops: str = "ear"
    loop_color: Color = (240, 240, 240)
    valve: int = 0
    size: float = 1.0
    slack: float = 0.3
    tilt: float = 0.0
    wrinkles: float = 0.3

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind of face mask {self.kind!r}: one of {', '.join(KINDS)}")
        for name, value, known in (
            ("coverage", self.coverage, COVERAGES),
            ("style", self.style, STYLES[self.kind]),
            ("pattern", self.pattern, PATTERNS),
            ("loops", self.loops, ("ear", "head", "none")),
        ):
            if value not in known:
                raise ValueError(f"unknown {name} {value!r} of a {self.kind} face mask: one of {', '.join(known)}")


def sample_garment(rng: np.random.Generator, **fixed: Any) -> Garment:
    """A random garment; keyword arguments fix any of its fields (`kind="surgical"`, `coverage="low"`, ...).

    Raises:
        ValueError: a fixed field is unknown or has an unknown value.
    """
    unknown = set(fixed) - {field.name for field in fields(Garment)}
    if unknown:
        raise ValueError(f"a garment has no {', '.join(sorted(unknown))}")
    kind = fixed.get("kind")
    if kind is None and "style" in fixed:
        kind = next((k for k, styles in STYLES.items() if fixed["style"] in styles), None)
    if kind is None:
        kind = _choice(rng, tuple(_KIND_SHARE), tuple(_KIND_SHARE.values()))
    if kind not in KINDS:
        raise ValueError(f"unknown kind of face mask {kind!r}: one of {', '.join(KINDS)}")
    style = fixed.get("style") or _choice(rng, STYLES[kind], _STYLE_SHARE[kind])
    base = {"surgical": _surgical, "n95": _respirator, "kn95": _respirator, "cloth": _cloth}[kind](rng, kind, style)
    garment = replace(
        base,
        coverage=_choice(rng, COVERAGES, (0.62, 0.28, 0.10)),
        size=float(np.clip(rng.normal(1.0, 0.06), 0.85, 1.18)),
        slack=float(rng.beta(1.6, 3.0)),
        tilt=float(rng.normal(0.0, 2.0)),
        wrinkles=float(rng.beta(1.5, 2.5) if style != "bandana" else rng.beta(3.0, 2.0)),
    )
    return replace(garment, **fixed)


def _choice(rng: np.random.Generator, options: tuple[Any, ...], share: tuple[float, ...]) -> Any:
    weights = np.asarray(share, np.float64)
    return options[int(rng.choice(len(options), p=weights / weights.sum()))]


def _pick(rng: np.random.Generator, table: tuple[tuple[float, Color], ...], spread: float = 7.0) -> Color:
    color = _choice(rng, tuple(c for _, c in table), tuple(s for s, _ in table))
    jitter = rng.normal(0.0, spread) + rng.normal(0.0, spread * 0.6, 3)
    r, g, b = np.clip(np.asarray(color) + jitter, 6, 250).astype(int).tolist()
    return (r, g, b)


def any_color(rng: np.random.Generator) -> Color:
    """A random color: mostly muted, now and then vivid."""
    base = rng.uniform(20, 235)
    spread = rng.choice([10.0, 40.0, 90.0], p=[0.3, 0.4, 0.3])
    r, g, b = np.clip(base + rng.normal(0.0, spread, 3), 8, 248).astype(int).tolist()
    return (r, g, b)


def _surgical(rng: np.random.Generator, kind: str, style: str) -> Garment:
    color = _pick(rng, _SURGICAL) if rng.random() < 0.93 else any_color(rng)
    dark = sum(color) < 200
    loop: Color = color if dark or rng.random() < 0.1 else (238, 238, 238)
    pattern = "plain" if rng.random() < 0.95 else _choice(rng, ("flowers", "dots", "print", "weave"), (1, 1, 1, 1))
    return Garment(
        kind, color, "high", style, pattern, accent=any_color(rng), loop_color=loop,
        loops=_choice(rng, ("ear", "head", "none"), (0.72, 0.06, 0.22)),
    )  # fmt: skip


def _respirator(rng: np.random.Generator, kind: str, style: str) -> Garment:
    color = _pick(rng, _RESPIRATOR, 5.0) if rng.random() < 0.95 else any_color(rng)
    straps: tuple[tuple[float, Color], ...] = (
        (0.7, (236, 236, 232)),
        (0.15, (30, 30, 32)),
        (0.15, (222, 190, 60)),
    )
    return Garment(
        kind, color, "high", style,
        "plain" if rng.random() < 0.96 else "print",
        accent=_choice(rng, ((225, 225, 225), (60, 60, 64), (110, 130, 180), any_color(rng)), (0.5, 0.2, 0.15, 0.15)),
        loops=_choice(rng, ("ear", "head", "none"), (0.2, 0.6, 0.2) if kind == "n95" else (0.75, 0.05, 0.2)),
        loop_color=_pick(rng, straps, 4.0),
        valve=int(rng.random() < (0.45 if kind == "n95" else 0.15)),
    )  # fmt: skip


def _cloth(rng: np.random.Generator, kind: str, style: str) -> Garment:
    pattern = _choice(rng, PATTERNS, _PATTERN_SHARE)
    if style == "contour" and rng.random() < 0.6:
        pattern = "plain"
    elif style == "bandana" and rng.random() < 0.5:
        pattern = _choice(rng, ("dots", "flowers", "print", "plaid"), (1, 1, 1, 1))
    colored = pattern in ("plain", "heather", "weave") and rng.random() < 0.85
    color = _pick(rng, _CLOTH) if colored or rng.random() < 0.4 else any_color(rng)
    loop = color if rng.random() < 0.6 else _pick(rng, ((0.5, (30, 30, 32)), (0.5, (236, 236, 236))))
    loops = "none" if style == "bandana" else _choice(rng, ("ear", "none"), (0.7, 0.3))
    valve = int(rng.choice([1, 2], p=[0.5, 0.5])) if style == "sport" else int(rng.random() < 0.05)
    return Garment(
        kind,
        color,
        "high",
        style,
        pattern,
        accent=any_color(rng),
        loops=loops,
        loop_color=loop,
        valve=valve,
    )
