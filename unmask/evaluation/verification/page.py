"""The verification report as one self-contained HTML page with curves, histograms and pictured pairs."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .. import charts
from .assess import Assessment
from .benchmark import Evaluation
from .metrics import roc
from .report import Rows, condition_table, difference_table, group_table, recognizer_table, threshold_table
from .views import CLEAN, MASKED, ViewRenderer

__all__ = ["PicturedPair", "html", "notable"]

SHOWN_PAIRS = 6


@dataclass(frozen=True)
class PicturedPair:
    """One pair for the page: what to say of it, and its pictures with captions."""

    text: str
    pictures: list[tuple[str, NDArray[np.uint8]]]


def notable(evaluation: Evaluation, renderer: ViewRenderer, restorer: str) -> dict[str, list[PicturedPair]]:
    """The pairs that gained and lost most by a restorer, and the most alike of different people."""
    masked, restored = evaluation.against_clean(MASKED), evaluation.against_clean(restorer)
    same = evaluation.assessor.issame
    gain = np.where(same, restored.scores - masked.scores, np.nan)
    alike = np.where(~same, restored.scores, np.nan)
    chosen = {
        "One person, helped most": _top(gain),
        "One person, harmed most": _top(-gain),
        "Different people, most alike after restoring": _top(alike),
    }
    return {title: [_pictured(evaluation, renderer, restorer, i) for i in rows] for title, rows in chosen.items()}


def _top(values: NDArray[np.float64]) -> list[int]:
    order = np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")[:SHOWN_PAIRS]
    return [int(i) for i in order if np.isfinite(values[i])]


def _pictured(evaluation: Evaluation, renderer: ViewRenderer, restorer: str, row: int) -> PicturedPair:
    pair = evaluation.assessor.pairs.pairs[row]
    reference = renderer.render([pair.a], [CLEAN])[CLEAN][0]
    views = renderer.render([pair.b], [CLEAN, MASKED, restorer])
    scores = {view: float(evaluation.against_clean(view).scores[row]) for view in (CLEAN, MASKED, restorer)}
    pictures = [("reference", reference.pixels)]
    pictures += [(f"{view} {scores[view]:.3f}", rendered[0].pixels) for view, rendered in views.items()]
    return PicturedPair(f"{pair.a} - {pair.b}", pictures)


def html(
    facts: dict[str, Any],
    results: dict[str, dict[str, Any]],
    evaluations: Sequence[Evaluation],
    restorers: Sequence[str],
    pictured: dict[str, list[PicturedPair]],
) -> str:
    """The whole report as one page without outside parts."""
    parts = [_HEAD, "<h1>Face verification before and after unmasking</h1>"]
    parts.append(f"<p>{escape(facts['headline'])}</p>")
    for name in restorers:
        parts.append(f"<h2>The recognizers side by side: {escape(name)}</h2>")
        parts.append(_table(*recognizer_table(results, name, facts.get("dependence", {}))))
    for one in evaluations:
        name = one.recognizer.name
        parts.append(f"<h2>{escape(name)}</h2><p>{escape(facts['relations'][name])}</p>")
        parts.append(_table(*condition_table(results[name])))
        parts.append("<h3>Thresholds from all cross-identity pairs, and from the list's own impostors</h3>")
        parts.append(_table(*threshold_table(results[name])))
        parts.append("<h3>Restored minus masked, same resamples</h3>" + _table(*difference_table(results[name])))
        parts.append(f'<div class="row">{_curves(one)}</div><div class="row">{_histograms(one)}</div>')
        parts.append("<h3>TAR at FAR 1e-3 by probe</h3>" + _table(*group_table(results[name], restorers)))
        parts.append(_lost(results[name]))
    for title, pairs in pictured.items():
        parts.append(f"<h2>{escape(title)}</h2>" + "".join(_pair(pair) for pair in pairs))
    parts.append(f"<h2>To repeat it</h2><pre>{escape(json.dumps(facts, indent=1))}</pre></body></html>")
    return "\n".join(parts)


_HEAD = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Verification</title><style>
body{font-family:sans-serif;max-width:1150px;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;font-size:13px;margin:.6em 0}td,th{padding:3px 8px;border-bottom:1px solid #ddd;
text-align:right;white-space:nowrap}td:first-child,th:first-child{text-align:left}.row{display:flex;flex-wrap:wrap}
figure{display:inline-block;margin:4px;font-size:12px;text-align:center}figure img{height:130px;display:block}
.scroll{overflow-x:auto}pre{background:#f5f5f5;padding:1em;overflow-x:auto}</style></head><body>"""


def _table(header: Sequence[str], rows: Rows) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _curve(one: Assessment, same: NDArray[np.bool_]) -> tuple[list[float], list[float]]:
    """FAR and TAR, from all cross-identity pairs where there are such."""
    genuine = np.nan_to_num(one.scores[same], nan=-np.inf)
    if one.impostor_scores is None:
        far, tar, _ = roc(one.scores[same], one.scores[~same])
        return far.tolist(), tar.tolist()
    fars = np.logspace(-5, np.log10(0.12), 80)
    thresholds = np.array([one.impostor_scores.threshold(far) for far in fars])
    there = np.isfinite(thresholds)
    tar = (genuine[None] >= thresholds[there, None]).mean(1)
    return fars[there].tolist(), tar.tolist()


def _styles(evaluation: Evaluation) -> dict[str, tuple[str, bool]]:
    """Color and dash of every condition: a color for each probe, dashed where the reference is not clean."""
    probes = list(dict.fromkeys(one.condition.probe for one in evaluation.assessments.values()))
    color = {probe: charts.COLORS[i % len(charts.COLORS)] for i, probe in enumerate(probes)}
    return {
        name: (color[one.condition.probe], one.condition.reference != CLEAN)
        for name, one in evaluation.assessments.items()
    }


def _curves(evaluation: Evaluation) -> str:
    lines, mirrored = [], []
    for name, style in _styles(evaluation).items():
        far, tar = _curve(evaluation.assessments[name], evaluation.assessor.issame)
        lines.append(charts.Line(name, far, tar, *style))
        mirrored.append(charts.Line(name, far, [1 - t for t in tar], *style))
    across = charts.Axis("false accept rate (all cross-identity pairs)", 1e-5, 1e-1, log=True)
    accept = charts.Axis("true accept rate", 0, 1)
    reject = charts.Axis("false reject rate", 1e-3, 1, log=True)
    return charts.chart("ROC", across, accept, lines) + charts.chart("DET", across, reject, mirrored)


def _histograms(evaluation: Evaluation) -> str:
    """Scores against clean references; the other conditions would only hide them."""
    same = evaluation.assessor.issame
    across = charts.Axis("score", -0.4, 1.0)
    out = ""
    for title, wanted in (("genuine pairs", same), ("impostor pairs", ~same)):
        lines = [
            charts.Line(name, *charts.shares(evaluation.assessments[name].scores[wanted], -0.4, 1.0, bins=35), *style)
            for name, style in _styles(evaluation).items()
            if not style[1]
        ]
        top = max((max(line.y) for line in lines if len(line.y)), default=1.0)
        out += charts.chart(title, across, charts.Axis(f"share of {title}", 0, top * 1.05), lines)
    return out


def _lost(result: dict[str, Any]) -> str:
    lost = {view: keys for view, keys in result["faces_not_found"].items() if keys}
    if not lost:
        return "<p>A face was found in every picture.</p>"
    lines = "".join(f"<li>{escape(view)}: {escape(', '.join(keys))}</li>" for view, keys in lost.items())
    out = f"<details><summary>Pictures in which no face was found</summary><ul>{lines}</ul></details>"
    pairs = {name: one["pairs_not_scored"] for name, one in result["conditions"].items() if one["pairs_not_scored"]}
    lines = "".join(
        f"<li>{escape(name)}: {escape('; '.join(_named(pair) for pair in own))}</li>" for name, own in pairs.items()
    )
    return out + f"<details><summary>Pairs that count as errors for it</summary><ul>{lines}</ul></details>"


def _named(pair: dict[str, Any]) -> str:
    return f"line {pair['line']} {pair['a']} - {pair['b']}"


def _pair(pair: PicturedPair) -> str:
    figures = "".join(
        f'<figure><img alt="" src="data:image/jpeg;base64,{_jpeg(pixels)}">'
        f"<figcaption>{escape(text)}</figcaption></figure>"
        for text, pixels in pair.pictures
    )
    return f"<div><small>{escape(pair.text)}</small><br>{figures}</div>"


def _jpeg(pixels: NDArray[np.uint8]) -> str:
    """A thumbnail as base64."""
    shrink = 160 / pixels.shape[0]
    if shrink < 1:
        size = (max(1, round(pixels.shape[1] * shrink)), 160)
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=85)
    return base64.b64encode(stream.getvalue()).decode()
