"""What is installed, whether the weights are whole, and whether they work here: the checks of ``unmask doctor``."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from . import __version__
from .errors import UnmaskError

PACKAGES = ("numpy", "pillow", "onnxruntime", "opencv-python", "click")


class Check(NamedTuple):
    """One finding: what was looked at, whether it is well, and what was found."""

    what: str
    ok: bool
    found: str


def checks(weights: Path | None = None, ops: bool = False) -> list[Check]:
    """Every check of this installation, to the end whatever is wrong.

    Args:
        weights: another weights folder than the default one.
        ops: also build or load the native operators, which may take minutes.
    """
    looks: dict[str, Callable[[], str]] = {"python": _python, "torch": _torch}
    looks |= {name: _version(name) for name in PACKAGES}
    looks |= {"processor": _processor, "devices": _devices}
    looks |= {"weights": lambda: _weights(weights), "restoration": lambda: _restoration(weights)}
    if ops:
        looks["native ops"] = _ops
    return [_try(what, look) for what, look in looks.items()]


def _try(what: str, look: Callable[[], str]) -> Check:
    try:
        return Check(what, True, look())
    except Exception as error:  # whatever is wrong is a finding, not an end
        return Check(what, False, str(error) or type(error).__name__)


def _python() -> str:
    return f"unmask {__version__}, Python {platform.python_version()}, {platform.platform()}"


def _version(name: str) -> Callable[[], str]:
    def look() -> str:
        for one in (name, f"{name}-headless"):
            try:
                return importlib.metadata.version(one)
            except importlib.metadata.PackageNotFoundError:
                continue
        raise UnmaskError(f"not installed; pip install {name}")

    return look


def _processor() -> str:
    from . import engines

    text = f"{os.cpu_count()} cores, sessions and pictures take {engines.threads()}"
    if engines.has_torch():
        import torch

        text += f"; torch uses {torch.get_num_threads()} with {torch.backends.cpu.get_cpu_capability()}"
    return text


def _devices() -> str:
    import onnxruntime

    from . import engines

    gpus = ["not asked, torch is not installed"]
    if engines.has_torch():
        import torch

        gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] or ["no GPU"]
    return f"torch: {', '.join(gpus)}; onnxruntime: {', '.join(onnxruntime.get_available_providers())}"


def _torch() -> str:
    """The version of torch, which restoring does without."""
    from . import engines

    return _version("torch")() if engines.has_torch() else "not installed; restoring does without, training needs it"


def _weights(folder: Path | None) -> str:
    from . import weights

    where = folder or weights.default_folder()
    found = weights.verify(folder)
    bad = [f"{name} {state}" for name, state in found if state != "ok"]
    missing = {"detector", "segmenter", "recognizer", "unmasker"} - {row.name for row in weights.rows(folder)}
    if bad or missing:
        raise UnmaskError(
            f"{where}: {', '.join(bad + [f'no {name}' for name in sorted(missing)])}; restore the release"
        )
    return f"{len(found)} files in {where} are whole"


def _restoration(folder: Path | None) -> str:
    """Run every part of the pack on a drawn picture."""
    import numpy as np

    from .restore.restorer import Restorer

    start = time.perf_counter()
    restorer = Restorer.from_pretrained(folder)
    loaded = time.perf_counter()
    size = restorer.size
    crop = np.random.default_rng(0).uniform(-1, 1, (1, 3, size, size)).astype(np.float32)
    region = np.zeros((1, 1, size, size), np.float32)
    region[..., size // 2 :, :] = 1
    restorer.detector.detect(np.full((480, 640, 3), 128, np.uint8))
    restorer.segment(crop)
    restored = restorer.unmask(crop, region)
    if restored.shape != crop.shape or not np.isfinite(restored).all() or float(restored.std()) == 0:
        raise UnmaskError("the unmasker gives no picture here; run 'unmask models verify'")
    done, chosen = time.perf_counter() - loaded, restorer.choice
    assert chosen is not None
    took = f"loaded in {loaded - start:.1f} s, one face of {size} pixels in {done:.2f} s"
    return f"{took} by {chosen.engine} on {chosen.device} ({chosen.why})"


def _ops() -> str:
    """Build or load the native operators, also after an earlier failure, and hold them against their reference."""
    from .ops import build, state

    said = state()
    return f"{build.recipe().library}: {said}"
