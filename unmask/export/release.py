"""From the checkpoint of a run to a row of the weights table: safetensors, ONNX version, license and source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from .. import weights
from ..errors import UsageError
from ..from_net import train as from_task
from ..g2d import recognizer
from ..g2d import train as g2d_task
from ..g2d.network import G2D
from ..models.landmarker import SIZE
from ..training import checkpoint
from . import to_onnx

LICENSE = "as the photos and the weights that it was trained with allow"
BESIDE = "weights"  # the folder in a run's that holds what was made of it


@dataclass(frozen=True)
class Kind:
    """How one task's checkpoint becomes weights."""

    module: str
    """Of the checkpoint's modules, the network to take."""
    kind: str
    """What :func:`unmask.models.build` calls it."""
    size: Callable[[Mapping[str, Any]], Any]
    """Height of its faces, or their height and width, from the run's config; None for any."""
    onnx: Callable[..., Path]
    """Writes the ONNX version: ``onnx(network, path, size=..., beside=...)``, all after :mod:`.to_onnx`."""
    template: Callable[[Any], str | None] = lambda size: "ffhq"
    """What its faces are aligned to, from their size."""
    arch: Callable[[Mapping[str, Any]], dict[str, Any]] = lambda config: dict(config["model"])
    """The network's arguments, from the run's config."""


def _resolution(config: Mapping[str, Any]) -> Any:
    return config["model"]["img_resolution"] * (2 if config["model"].get("detail") else 1)


def _arcface(size: Sequence[int]) -> str:
    """The arcface template, or its middle columns (FROM's crop) where faces are narrower than high."""
    height, width = size
    return "arcface" if height == width else "from"


def _detector(network: nn.Module, path: Path, size: None, beside: Path) -> Path:
    """Without ``beside``: its normalizations are folded, as insightface's own files have it."""
    return to_onnx.detector_onnx(network, path)


def _generator(network: Any, path: Path, size: int, beside: Path) -> Path:
    return to_onnx.generator_onnx(network, path, network.z_dim, beside=beside)


def _unmasker(network: nn.Module, path: Path, size: int, beside: Path) -> Path:
    known = weights.read(beside).meta.get(weights.RECOGNIZER, "")
    return to_onnx.unmasker_onnx(network, path, size, beside=beside, recognizer=known)


def _recognizer(network: nn.Module, path: Path, size: Sequence[int], beside: Path) -> Path:
    return to_onnx.recognizer_onnx(network, path, (size[0], size[1]), template=_arcface(size), beside=beside)


def _g2d(network: G2D, path: Path, size: int, beside: Path) -> Path:
    whole = recognizer.segmented(network)
    return to_onnx.recognizer_onnx(whole, path, (size, size), template="ffhq", beside=beside)


KINDS: dict[str, Kind] = {
    "detector": Kind("model", "detector", lambda c: None, _detector, lambda size: None),
    "segmenter": Kind("model", "segmenter", lambda c: c["size"], to_onnx.segmenter_onnx),
    "landmarker": Kind(
        "model", "landmarker", lambda c: SIZE, to_onnx.landmarker_onnx, arch=lambda config: {"size": SIZE}
    ),
    "recognizer": Kind("average", "iresnet", lambda c: c["model"]["size"], _recognizer, _arcface),
    "generator": Kind("average", "generator", _resolution, _generator),
    "unmasker": Kind("average", "unmasker", _resolution, _unmasker),
    "from": Kind(
        "network", "from_net", lambda c: c["model"]["trunk"]["size"], _recognizer, _arcface, from_task.architecture
    ),
    "g2d": Kind("network", "g2d", lambda c: c["model"]["size"], _g2d, arch=g2d_task.architecture),
}


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
    size = how.size(config)
    height, template = size[0] if isinstance(size, Sequence) else size, how.template(size)
    meta = {"steps": content["step"], "batch_size": config["batch_size"], "size": height, "template": template}
    if known := content.get("extra", {}).get(weights.RECOGNIZER):
        meta[weights.RECOGNIZER] = known
    made = weights.Checkpoint(how.kind, how.arch(config), _state(content, how.module, mix, share), meta, Path(run), "")
    weights.build(made)  # refuses what does not fit before anything is written
    path = weights.save(home / f"{stem}.safetensors", made.kind, made.arch, made.tensors, meta)
    source = f"unmask train, task {task}, {content['step']} steps"
    if mix is not None:
        source += f", {share:g} of the weights from step {_read(mix)['step']}"
    row = partial(
        weights.register, stem, path, license=license, source=source, template=template, size=height, folder=home
    )
    row()  # the table must know the new file before it is read
    network = weights.build(weights.read(path)).eval()  # the ONNX version holds the same rounded numbers
    return row(onnx=how.onnx(network, home / f"{stem}.onnx", size=size, beside=path))


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
