"""From the checkpoint of a run to a row of the weights table: safetensors, ONNX version, license and source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from .. import models, weights
from ..errors import UsageError
from ..from_net import train
from ..g2d import recognizer
from ..g2d import train as g2d_task
from ..g2d.network import G2D
from ..models import landmarker
from ..training import checkpoint
from . import to_onnx

LICENSE = "as the photos and the weights that it was trained with allow"
RECOGNIZER = "recognizer_sha256"  # what an unmasker's run keeps of the recognizer whose embedding its styles take
BESIDE = "weights"  # the folder in a run's that holds what was made of it


@dataclass(frozen=True)
class Kind:
    """How one task's checkpoint becomes weights: the module to take, the kind of network, its alignment, its twin."""

    module: str
    kind: str
    template: Callable[[dict[str, Any]], str | None]
    size: Callable[[dict[str, Any]], int | None]
    twin: Callable[[nn.Module, Path, dict[str, Any]], Path]
    arch: Callable[[dict[str, Any]], dict[str, Any]] = lambda config: dict(config["model"])


def _fixed(name: str | None) -> Callable[[dict[str, Any]], str | None]:
    return lambda config: name


def _from_template(config: dict[str, Any]) -> str:
    """FROM's crop: the arcface one, or its middle columns where the network is narrower than high."""
    height, width = config["model"]["trunk"]["size"]
    return "arcface" if height == width else "from"


KINDS: dict[str, Kind] = {
    "detector": Kind("model", "detector", _fixed(None), lambda c: None, lambda m, p, c: to_onnx.detector_onnx(m, p)),
    "segmenter": Kind(
        "model",
        "segmenter",
        _fixed("ffhq"),
        lambda c: int(c["size"]),
        lambda m, p, c: to_onnx.segmenter_onnx(m, p, size=int(c["size"]), beside=_beside(p)),
    ),
    "landmarker": Kind(
        "model",
        "landmarker",
        _fixed("ffhq"),
        lambda c: landmarker.SIZE,
        lambda m, p, c: to_onnx.landmarker_onnx(m, p, size=landmarker.SIZE, beside=_beside(p)),
        lambda c: {"size": landmarker.SIZE},
    ),
    "recognizer": Kind(
        "average",
        "iresnet",
        _fixed("arcface"),
        lambda c: int(c["model"]["size"][0]),
        lambda m, p, c: to_onnx.recognizer_onnx(m, p, tuple(c["model"]["size"]), beside=_beside(p)),
    ),
    "generator": Kind(
        "average",
        "generator",
        _fixed("ffhq"),
        lambda c: int(c["model"]["img_resolution"]),
        lambda m, p, c: to_onnx.generator_onnx(m, p, int(c["model"]["z_dim"]), beside=_beside(p)),
    ),
    "unmasker": Kind(
        "average",
        "unmasker",
        _fixed("ffhq"),
        lambda c: int(c["model"]["img_resolution"]),
        lambda m, p, c: to_onnx.unmasker_onnx(
            m, p, int(c["model"]["img_resolution"]), beside=_beside(p), recognizer=c.get(RECOGNIZER, "")
        ),
    ),
    "from": Kind(
        "network",
        "from_net",
        _from_template,
        lambda c: int(c["model"]["trunk"]["size"][0]),
        lambda m, p, c: to_onnx.recognizer_onnx(
            m, p, tuple(c["model"]["trunk"]["size"]), template=_from_template(c), beside=_beside(p)
        ),
        train.architecture,
    ),
    "g2d": Kind(
        "network",
        "g2d",
        _fixed("ffhq"),
        lambda c: int(c["model"]["size"]),
        lambda m, p, c: to_onnx.recognizer_onnx(
            recognizer.segmented(cast(G2D, m)), p, (int(c["model"]["size"]),) * 2, template="ffhq", beside=_beside(p)
        ),
        g2d_task.architecture,
    ),
}


def _beside(twin: Path) -> Path:
    """The safetensors file of an ONNX version, which is written first."""
    return twin.with_suffix(".safetensors")


def release(
    run: str | Path,
    folder: str | Path | None = None,
    name: str | None = None,
    mix: str | Path | None = None,
    share: float = 0.5,
    overwrite: bool = False,
    license: str = LICENSE,
) -> weights.Row:
    """Write the network of a run's checkpoint into a weights folder (safetensors and ONNX) and register it there.

    Args:
        run: the checkpoint (``last.pt``) of ``unmask train``, or the folder that holds it.
        folder: the weights folder; :func:`beside` the run if None, never the pack by itself.
        name: the row's name and the files' stem; the task's name if None.
        mix: an earlier checkpoint of the same run, or one that went on from the same weights: the network written is
            the mean of both, weight by weight (stochastic weight averaging, Izmailov et al. 2018).
        share: of ``mix`` in that mean.
        overwrite: replace the row and the files of that name where there are any.
        license: what the table says of it.

    Raises:
        UsageError: a run of another task, a ``mix`` of another network, or weights of that name are there.
        UnmaskError: no readable checkpoint, or the folder cannot be written.
    """
    content = _read(run)
    task = content["task"]
    if task not in KINDS:
        raise UsageError(f"{run}: a checkpoint of task {task!r}; this writes {', '.join(KINDS)}")
    how, config = KINDS[task], content["config"]
    home, stem = Path(folder) if folder else beside(run), name or task
    if not overwrite:
        _refuse(home, stem)
    arch, size, template = how.arch(config), how.size(config), how.template(config)
    known = {key: content["extra"][key] for key in (RECOGNIZER,) if content.get("extra", {}).get(key)}
    meta = {"steps": content["step"], "batch_size": config["batch_size"], "size": size, "template": template, **known}
    model = models.build(how.kind, **arch)
    model.load_state_dict(_state(content, how.module, mix, share))
    path = weights.save(home / f"{stem}.safetensors", how.kind, arch, model.state_dict(), meta)
    source = f"unmask train, task {task}, {content['step']} steps"
    if mix is not None:
        source += f", {share:g} of the weights from step {_read(mix)['step']}"
    row = partial(
        weights.register, stem, path, license=license, source=source, template=template, size=size, folder=home
    )
    row()  # the table must know the new file before it is read
    weights.fill(model, weights.read(path))  # the ONNX version holds the same rounded numbers
    return row(onnx=how.twin(model.eval(), home / f"{stem}.onnx", {**config, **known}))


def beside(run: str | Path) -> Path:
    """The weights folder of a run, given by its folder or its checkpoint."""
    place = Path(run)
    return (place if place.is_dir() else place.parent) / BESIDE


def _refuse(home: Path, stem: str) -> None:
    """UsageError where a weights folder has a row or files of that name."""
    there = [path for suffix in (".safetensors", ".onnx") if (path := home / f"{stem}{suffix}").exists()]
    if there or any(row.name == stem for row in weights.rows(home)):
        raise UsageError(
            f"{there[0] if there else home / stem}: is there already; replace it with --overwrite, or give another "
            "--name or --weights"
        )


def _read(run: str | Path) -> dict[str, Any]:
    place = Path(run)
    return checkpoint.read(place / checkpoint.NAME if place.is_dir() else place)


def _state(content: dict[str, Any], module: str, mix: str | Path | None, share: float) -> dict[str, Tensor]:
    """The weights of a checkpoint's module, or their mean with another's; raises UsageError where these do not fit."""
    own: dict[str, Tensor] = content["modules"][module]
    if mix is None:
        return own
    found = _read(mix)
    other: dict[str, Tensor] = found["modules"].get(module, {}) if found["task"] == content["task"] else {}
    if {k: v.shape for k, v in own.items()} != {k: v.shape for k, v in other.items()}:
        raise UsageError(f"{mix}: another network than the run's; give an earlier checkpoint of it")
    return {k: v.lerp(other[k], share) if v.is_floating_point() else v for k, v in own.items()}
