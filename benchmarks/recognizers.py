r"""The recognizers side by side, from two runs of ``unmask eval-verification`` and a clock.

    unmask eval-verification ... --recognizer mobilefacenet_128d.onnx --recognizer from-baseline.safetensors \
        --recognizer from --recognizer g2d-baseline.safetensors --recognizer g2d \
        --recognizer linear-map:mobilefacenet_128d.onnx --restorer unmask --json masked.json
    the same with --masks occlude --json occluded.json
    the same with --masks left_eye --json left_eye.json, and so on
    python benchmarks/recognizers.py masked.json occluded.json --box left_eye.json --data DATA \
        --out docs/results/recognizers.md

Writes one table of accuracy and TAR at FAR 1e-3 with 95 % intervals for each recognizer, alone and after unmasking, on
clean, masked and occluded probes (references clean), and the time for one aligned face; and one of the paired
differences asked for with ``--difference SECOND,FIRST`` (by default each method minus its baseline, and minus the
linear map). Runs on FROM's fixed boxes (``--box``) make two more: TAR at FAR 1e-3 of each recognizer alone and after
unmasking, and the same differences.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from unmask import recognition
from unmask.evaluation import baselines, tables
from unmask.evaluation.verification import linear_map
from unmask.faces.segment import Segmenter

UNMASK = "unmask"
ROUNDS = 30
VIEWS, FIGURES = ("clean", "masked", "occluded"), ("accuracy %", "TAR@1e-3")
HEADINGS = ["recognizer", *(f"{view} {what}" for view in VIEWS for what in FIGURES), "ms per face"]
METHODS = (("from", "from-baseline"), ("g2d", "g2d-baseline"))


def figure(found: dict[str, Any] | None, factor: float = 1.0, digits: int = 3, sign: str = "") -> str:
    """A value with its interval, or a dash."""
    if not found or found["value"] is None:
        return "-"
    value, low, high = (None if found[k] is None else factor * found[k] for k in ("value", "low", "high"))
    bounds = "" if low is None or high is None else f" [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"
    return f"{value:{sign}.{digits}f}{bounds}"


def measured(run: dict[str, Any], name: str, condition: str) -> dict[str, Any]:
    """All figures of one condition of one recognizer; empty where the run has none."""
    found: dict[str, Any] = run["results"].get(name, {"conditions": {}})["conditions"].get(condition, {"figures": {}})
    return dict(found["figures"])


def cells(run: dict[str, Any], name: str, condition: str, sign: str = "") -> list[str]:
    """Accuracy and TAR of one condition of one recognizer."""
    figures = measured(run, name, condition)
    return [figure(figures.get("accuracy"), 100, 2, sign), figure(figures.get("tar@0.001"), sign=sign)]


def milliseconds(work: Callable[[], object]) -> float:
    """The median time of a call after a warm-up."""
    for _ in range(3):
        work()
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return 1000 * statistics.median(taken)


@torch.inference_mode()
def costs(run: dict[str, Any], data: str | None) -> dict[str, float]:
    """Milliseconds of one aligned face for every recognizer of a run, and for finding the region and unmasking it."""
    found = {}
    for given, name in zip(dict.fromkeys(run["options"]["recognizers"]), run["results"], strict=True):
        mapped = given.partition(":")[0] == linear_map.NAME
        one = linear_map.load(given, data) if mapped else recognition.load(given)
        face = np.random.default_rng(0).uniform(-1, 1, (1, 3, *one.size)).astype(np.float32)
        found[name] = milliseconds(lambda one=one, face=face: one.embed(face))
    if UNMASK in run["restorers"]:
        (restorer,) = baselines.load([UNMASK], data, "cpu")
        segmenter = Segmenter()
        crop = np.random.default_rng(0).uniform(-1, 1, (1, 3, restorer.size, restorer.size)).astype(np.float32)
        found[UNMASK] = milliseconds(lambda: restorer(crop, segmenter.predict(crop)[0]))
    return found


def rows(masked: dict[str, Any], occluded: dict[str, Any], cost: dict[str, float]) -> list[list[str]]:
    """The table's body."""
    body = []
    for name in masked["results"]:
        clean = cells(masked, name, "clean/clean")
        covered = [*cells(masked, name, "masked/clean"), *cells(occluded, name, "masked/clean")]
        body.append([name, *clean, *covered, f"{cost[name]:.1f}"])
        if UNMASK in cost:
            after = [*cells(masked, name, f"{UNMASK}/clean"), *cells(occluded, name, f"{UNMASK}/clean")]
            body.append([f"{name} + unmasking", *clean, *after, f"{cost[name] + cost[UNMASK]:.1f}"])
    return body


def differences(masked: dict[str, Any], occluded: dict[str, Any], wanted: list[tuple[str, str]]) -> list[list[str]]:
    """Paired differences ``second - first`` on clean, masked and occluded pairs."""
    views = ((masked, "clean/clean"), (masked, "masked/clean"), (occluded, "masked/clean"))
    return [
        [f"{second} - {first}", *(
            figure(between(run, second, first, condition, name), factor, digits, "+")
            for run, condition in views
            for name, factor, digits in (("accuracy", 100, 2), ("tar@0.001", 1, 3))
        )]
        for second, first in wanted
    ]  # fmt: skip


def between(run: dict[str, Any], second: str, first: str, condition: str, name: str) -> dict[str, Any] | None:
    """The paired difference ``second - first`` of a figure, whichever way round the run has it."""
    there: dict[str, Any] | None = run["between"].get(f"{second} - {first}", {}).get(condition, {}).get(name)
    back = run["between"].get(f"{first} - {second}", {}).get(condition, {}).get(name)
    if there is not None or back is None:
        return there
    value, low, high = (None if back[k] is None else -back[k] for k in ("value", "high", "low"))
    return {"value": value, "low": low, "high": high}


def boxes(runs: list[dict[str, Any]], wanted: list[tuple[str, str]]) -> list[str]:
    """The tables of the fixed boxes: every recognizer alone / after unmasking, and the paired differences alone."""
    names = list(dict.fromkeys(name for run in runs for name in run["results"]))
    alone, apart = [], []
    for run in runs:
        row = [run["options"]["masks"]]
        for name in names:
            tars = [measured(run, name, f"{kind}/clean").get("tar@0.001") for kind in ("masked", UNMASK)]
            row.append(" / ".join("-" if tar is None else f"{tar['value']:.3f}" for tar in tars))
        alone.append(row)
        apart.append([row[0], *(figure(between(run, *pair, "masked/clean", "tar@0.001"), sign="+") for pair in wanted)])
    return [
        "## FROM's fixed boxes",
        "TAR at FAR 1e-3, alone / after unmasking.",
        tables.markdown(["box", *names], alone),
        "Paired differences, alone.",
        tables.markdown(["box", *(f"{second} - {first}" for second, first in wanted)], apart),
    ]


def default_differences(names: list[str]) -> list[tuple[str, str]]:
    """Each method and its baseline, and each method and the linear map, as far as they were run."""
    mapped = [name for name in names if name.startswith(linear_map.NAME)]
    pairs = [*METHODS, *((method, rival) for method, _ in METHODS for rival in mapped)]
    return [(second, first) for second, first in pairs if second in names and first in names]


def page(
    masked: dict[str, Any],
    occluded: dict[str, Any],
    cost: dict[str, float],
    wanted: list[tuple[str, str]],
    boxed: list[dict[str, Any]],
) -> str:
    """The whole page in Markdown; folders of this machine are left out of the commands."""
    listed = masked["pairs"]
    commands = [re.sub(r"(?<=[\s:])/\S*/", "", run["command"]) for run in (masked, occluded, *boxed)]
    parts = [
        "# Recognizers side by side",
        f"{listed['pairs']} pairs of {listed['name']} ({listed['pictures']} pictures), references clean; 95 % "
        "intervals by a bootstrap over people. Time: one aligned face, batch of one, "
        f"{torch.get_num_threads()} thread(s), "
        f"{platform.processor() or platform.machine()}, {time.strftime('%d %B %Y')}; with unmasking it includes "
        "finding the region.",
        tables.markdown(HEADINGS, rows(masked, occluded, cost)),
        "## Paired differences",
        tables.markdown(["difference", *HEADINGS[1:-1]], differences(masked, occluded, wanted)),
        *(boxes(boxed, wanted) if boxed else []),
        "## How to get them",
        "\n".join(f"    {command}" for command in commands),
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("masked", type=Path)
    parser.add_argument("occluded", type=Path)
    parser.add_argument("--data", help="the folder of face data, if the linear map was run")
    parser.add_argument("--difference", action="append", metavar="SECOND,FIRST")
    parser.add_argument("--box", type=Path, action="append", default=[], metavar="JSON", help="a run on a fixed box")
    parser.add_argument("--out", type=Path, help="a Markdown file; stdout if not given")
    options = parser.parse_args()
    paths = (options.masked, options.occluded, *options.box)
    masked, occluded, *boxed = (json.loads(path.read_text(encoding="utf-8")) for path in paths)
    if options.difference:
        wanted = [tuple(text.split(",", 1)) for text in options.difference]
    else:
        wanted = default_differences(list(masked["results"]))
    torch.set_num_threads(1)
    text = page(masked, occluded, costs(masked, options.data), wanted, boxed)  # type: ignore[arg-type]
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
