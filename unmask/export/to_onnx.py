"""Modules to ONNX files whose weights may be stored as float16 (half the size) and are computed with as float32."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from .. import files
from ..models.detector import STRIDES, ScrfdLayout
from ..models.landmarker import Likely
from ..models.layers import freeze
from ..models.segmenter import Probabilities
from ..models.small import fuse
from ..models.unmasker import Unmasker, noise_buffers
from ..weights import RECOGNIZER

OPSET = 17
SMALLEST_SHARED = 1024  # bytes; smaller ones are not worth a reference
SMALLEST_HALVED = 64  # tensors with fewer elements stay as they are: shapes, scales, biases


def to_onnx(
    module: nn.Module,
    example: Tensor | tuple[Tensor, ...],
    path: str | Path,
    inputs: Sequence[str],
    outputs: Sequence[str],
    dynamic: Mapping[str, Mapping[int, str]],
    half: bool = True,
    note: Mapping[str, str] | None = None,
    beside: str | Path | None = None,
    given: Mapping[str, str] | None = None,
) -> Path:
    """Trace ``module`` on ``example`` and write an ONNX file in one step (never half a file under ``path``).

    ``dynamic`` names the free axes of inputs and outputs; ``half`` stores large weights as float16 with a cast before
    their use (runtimes fold it when they load); ``note`` becomes the file's metadata. ``beside`` is the safetensors
    file of the same weights in the same folder: the graph then refers to its tensors instead of holding copies
    (:func:`share`). ``given`` are buffers of the module that may be given as inputs too, and under which names.
    """
    import onnx

    path = Path(path)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that sizes become numbers, and that there is another exporter: as wanted
        traced = Path(folder) / "traced.onnx"
        torch.onnx.export(
            module.eval(),
            example if isinstance(example, tuple) else (example,),
            traced,
            dynamo=False,
            do_constant_folding=beside is None,  # folded weights would be no tensors of the file any more
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: dict(axes) for name, axes in dynamic.items()},
        )
        model = onnx.load_model(traced)
    del model.graph.value_info[:]
    if half:
        halve(model)
    for buffer, name in (given or {}).items():
        offer(model, buffer, name)
    for key, value in (note or {}).items():
        model.metadata_props.add(key=key, value=value)
    model.producer_name = "unmask"
    onnx.checker.check_model(model)
    if beside is not None:
        share(model, beside)
    files.write(path, model.SerializeToString())
    return path


def halve(model: Any) -> None:
    """Store the float32 weights of an ONNX model as float16, each followed by a cast back, in place."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if weight.data_type != TensorProto.FLOAT or values.size < SMALLEST_HALVED or not np.isfinite(values).all():
            continue
        if np.abs(values).max() > np.finfo(np.float16).max:
            continue
        stored = f"{weight.name}.half"
        casts.append(helper.make_node("Cast", [stored], [weight.name], f"{weight.name}.cast", to=TensorProto.FLOAT))
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), stored))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])


def offer(model: Any, buffer: str, name: str) -> None:
    """Let a stored tensor of an ONNX model, halved or not, be given as an input ``name`` as well, in place."""
    from onnx import helper

    stored = next(t for t in model.graph.initializer if t.name in (buffer, f"{buffer}.half"))
    for node in model.graph.node:
        node.input[:] = [name if one == stored.name else one for one in node.input]
    stored.name = name
    model.graph.input.append(helper.make_tensor_value_info(name, stored.data_type, list(stored.dims)))


def share(model: Any, weights: str | Path) -> None:
    """Let an ONNX model's large weights refer to equal bytes in a safetensors file (ONNX external data), in place.

    Both files have to stay in one folder; ONNX Runtime and :func:`onnx.load` read the tensors from there.
    """
    import onnx

    path = Path(weights)
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")  # of the tensors: the file begins with the length of its header
    header = json.loads(data[8:start])
    spans = [entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"]
    places = {data[start + low : start + high]: start + low for low, high in spans}
    for tensor in model.graph.initializer:
        held = tensor.raw_data
        if len(held) >= SMALLEST_SHARED and held in places:
            onnx.external_data_helper.set_external_data(tensor, path.name, offset=places[held], length=len(held))
            tensor.ClearField("raw_data")


def detector_onnx(
    detector: nn.Module, path: str | Path, note: Mapping[str, str] | None = None, half: bool = True
) -> Path:
    """The face detector in SCRFD's layout (nine outputs, free height and width), as insightface loads it."""
    names = [f"{what}_{stride}" for what in ("score", "bbox", "kps") for stride in STRIDES]
    free = {"input": {2: "height", 3: "width"}, **{name: {0: f"{name}_anchors"} for name in names}}
    return to_onnx(ScrfdLayout(fuse(detector)), torch.zeros(1, 3, 320, 320), path, ["input"], names, free, half, note)


def segmenter_onnx(
    segmenter: nn.Module, path: str | Path, size: int = 128, half: bool = True, beside: str | Path | None = None
) -> Path:
    """The segmenter: ``faces`` [N,3,size,size] in [-1,1] -> ``region`` [N,1,size,size], ``garment`` [N], in [0,1]."""
    outputs = ("region", "garment")
    free = {name: {0: "n"} for name in ("faces", *outputs)}
    layout, example = Probabilities(_fused(segmenter, beside)), torch.zeros(1, 3, size, size)
    return to_onnx(layout, example, path, ["faces"], outputs, free, half, beside=beside)


def landmarker_onnx(
    landmarker: nn.Module, path: str | Path, size: int = 96, half: bool = True, beside: str | Path | None = None
) -> Path:
    """The landmarker: ``crops`` [N,3,size,size] in [-1,1] -> ``face``, ``roll``, ``points``, ``garment``.

    ``face`` and ``garment`` [N] are in [0,1], ``roll`` is [N,2], ``points`` [N,5,2] (0 the middle of the crop, -1 and 1
    its edges).
    """
    outputs = ("face", "roll", "points", "garment")
    free = {name: {0: "n"} for name in ("crops", *outputs)}
    layout, example = Likely(_fused(landmarker, beside)), torch.zeros(1, 3, size, size)
    return to_onnx(layout, example, path, ["crops"], outputs, free, half, beside=beside)


def _fused(network: nn.Module, beside: str | Path | None) -> nn.Module:
    """The network with its normalizations folded, unless its file is to hold the very tensors of the checkpoint.

    Folded weights are rounded to half precision once more, and no longer give the numbers that torch gives; runtimes
    fold the others by themselves, in full precision.
    """
    return fuse(network) if beside is None else network


def recognizer_onnx(
    recognizer: nn.Module,
    path: str | Path,
    size: tuple[int, int] = (112, 112),
    half: bool = True,
    template: str = "arcface",
    beside: str | Path | None = None,
) -> Path:
    """A recognizer as insightface loads it: ``input`` [N,3,H,W] in [-1,1] -> ``embedding`` [N,D], not normalized.

    insightface takes square inputs only, and always aligns to ``arcface``; ``template`` is noted in the file for us.
    """
    free = {name: {0: "n"} for name in ("input", "embedding")}
    note = {"template": template}
    example = torch.zeros(1, 3, *size)
    return to_onnx(recognizer, example, path, ["input"], ["embedding"], free, half, note, beside)


def generator_onnx(
    generator: nn.Module, path: str | Path, z_dim: int, half: bool = True, beside: str | Path | None = None
) -> Path:
    """The generator: ``z`` [N,z_dim] -> ``faces`` [N,3,S,S], about [-1,1], with its constant noise."""
    free = {name: {0: "n"} for name in ("z", "faces")}
    return to_onnx(
        _ConstantNoise(freeze(generator)), torch.zeros(1, z_dim), path, ["z"], ["faces"], free, half, beside=beside
    )


def unmasker_onnx(
    unmasker: nn.Module,
    path: str | Path,
    size: int = 128,
    half: bool = True,
    beside: str | Path | None = None,
    recognizer: str = "",
) -> Path:
    """The unmasker: ``faces`` [N,3,S,S] in [-1,1] and ``region`` [N,1,S,S] in [0,1] -> ``restored`` [N,3,S,S].

    One whose styles take an embedding has a third input, ``identity`` [N,D] of unit length; ``recognizer`` is the
    sha256 of the recognizer that it comes from, noted in the file.

    Further outputs are what the synthesis network goes by, ``ws`` [N,num_ws,w_dim] and ``skip_R`` [N,C,R,R]. The noise
    of its layers, ``noise_0`` [4,4] and so on, may be given as further inputs; what is stored is used else.
    """
    outputs = ("restored", "ws", *(f"skip_{r}" for r in sorted(_resolutions(unmasker))))
    example: tuple[Tensor, ...] = (torch.zeros(1, 3, size, size), torch.zeros(1, 1, size, size))
    inputs, taken = ["faces", "region"], cast(Unmasker, unmasker).identity
    if taken is not None:
        example, inputs = (*example, torch.zeros(1, taken.in_features)), [*inputs, "identity"]
    free = {name: {0: "n"} for name in (*inputs, *outputs)}
    noise = [name for name, _ in noise_buffers(unmasker)]
    return to_onnx(
        *(_WithCodes(freeze(unmasker)), example, path, inputs, outputs, free, half),
        note={RECOGNIZER: recognizer} if recognizer else None,
        beside=beside,
        given={f"unmasker.{name}": f"noise_{i}" for i, name in enumerate(noise)},
    )


def _resolutions(unmasker: Any) -> list[int]:
    return [*map(int, unmasker.encoder.skips), *([unmasker.size] if unmasker.detail else [])]


class _WithCodes(nn.Module):
    def __init__(self, unmasker: Any) -> None:
        super().__init__()
        self.unmasker = unmasker

    def forward(self, x: Tensor, region: Tensor, identity: Tensor | None = None) -> tuple[Tensor, ...]:
        ws, skips = self.unmasker.codes(x, region, identity)
        return self.unmasker.decode(ws, "const", skips), ws, *(skips[r] for r in sorted(skips))


class _ConstantNoise(nn.Module):
    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, z: Tensor) -> Tensor:
        made: Tensor = self.generator(z, noise="const")
        return made
