"""From the checkpoint of a run to rows of the weights table: safetensors, ONNX twin, licence and source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from .. import weights
from ..errors import UsageError
from ..models.detector import Detector
from ..models.onnx_export import detector_onnx, segmenter_onnx
from ..models.segmenter import Segmenter
from . import checkpoint

LICENCE = "research, non-commercial use (trained on faces of public research sets)"
KINDS = ("detector", "segmenter")


def release(run: str | Path, folder: str | Path | None = None, name: str | None = None) -> weights.Row:
    """Write the detector or segmenter of a run's checkpoint into a weights folder and register it there.

    Args:
        run: the checkpoint (``last.pt``) of ``unmask train``.
        folder: the weights folder; the default one if None.
        name: the row's name and the files' stem; the task's name if None.
    """
    content = checkpoint.read(Path(run))
    kind = content["task"]
    if kind not in KINDS:
        raise UsageError(f"{run}: a checkpoint of task {kind!r}; this writes {' and '.join(KINDS)}")
    config: dict[str, Any] = content["config"]
    home, stem = Path(folder) if folder else weights.default_folder(), name or kind
    arch = dict(config["model"])
    size = int(config["size"]) if kind == "segmenter" else None
    template = "ffhq" if kind == "segmenter" else None
    meta = {"steps": content["step"], "batch_size": config["batch_size"], "size": size, "template": template}
    model: nn.Module = Segmenter(**arch) if kind == "segmenter" else Detector(**arch)
    model.load_state_dict(content["modules"]["model"])
    path = weights.save(home / f"{stem}.safetensors", kind, arch, model.state_dict(), meta)
    weights.fill(model, weights.read(path))  # the ONNX twin holds the same rounded numbers
    twin = home / f"{stem}.onnx"
    if kind == "segmenter":
        segmenter_onnx(model, twin, size=int(config["size"]))
    else:
        detector_onnx(model, twin)
    source = f"trained by this project: unmask train --config mini-{kind}, {content['step']} steps"
    return weights.register(
        stem, path, licence=LICENCE, source=source, onnx=twin, template=template, size=size, folder=home
    )
