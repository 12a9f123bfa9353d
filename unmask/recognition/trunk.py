"""From a recognizer's ONNX file to a trunk that can be trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import files
from ..errors import UsageError
from ..models import onnx_trunk
from . import insight

__all__ = ["read"]


def read(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A recognizer's graph as a description, plain enough for JSON, and the state of its trunk.

    The trunk is an :class:`unmask.models.onnx_trunk.OnnxTrunk`. The last map is the last tensor that has more than one
    place; all behind it is the head.

    Raises:
        UsageError: the graph has other operators than :data:`unmask.models.onnx_trunk.OPERATORS` or no such cut, or the
            trunk does not give the numbers of ONNX Runtime.
    """
    try:
        return _read(path)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise UsageError(f"{path}: this graph cannot be made a trunk ({files.reason(error)}); use another") from error


def _read(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    recognizer = insight.load(path)
    model = insight.widened(Path(path))
    steps, tensors, renamed = _plain(model.graph, Path(path))
    entry, output = renamed[model.graph.input[0].name], renamed[model.graph.output[0].name]
    buffers = sorted({str(i) for op, inputs, _, _ in steps if op == "BatchNormalization" for i in inputs[3:5]})
    shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
    whole = onnx_trunk.Graph(steps, shapes, buffers)
    whole.load_state_dict(tensors)
    height, width = recognizer.size
    with torch.no_grad():
        values = whole.eval().run({entry: torch.zeros(1, 3, height, width)})
    spread = [i for i, step in enumerate(steps) if values[step[2]].ndim == 4 and values[step[2]].shape[2:].numel() > 1]
    if not spread:
        raise UsageError(f"{path}: no map [N,C,h,w] inside this graph; give a convolutional recognizer")
    cut = spread[-1] + 1
    before = {entry, *(step[2] for step in steps[: cut - 1])}
    if any(i in before for _, inputs, _, _ in steps[cut:] for i in inputs if isinstance(i, str)):
        raise UsageError(f"{path}: its last map is passed by other paths to the output; it cannot be a trunk")
    places = {i: tuple(values[steps[i][2]].shape[2:]) for i in spread}
    last = {places[i]: steps[i][2] for i in spread}  # the last one of each size wins,
    last |= {places[i]: steps[i][2] for i in spread if steps[i][0] == "Add"}  # the last sum of each size over that,
    last[places[spread[-1]]] = steps[spread[-1]][2]  # and the last map over all
    levels = sorted(last.values(), key=lambda name: -values[name].shape[2:].numel())[-onnx_trunk.LEVELS :]
    graph = {
        "input": entry, "scale": list(recognizer.scale), "size": [height, width],
        "embedding": int(values[output].numel()), "levels": levels, "widths": [values[n].shape[1] for n in levels],
        "grid": list(values[levels[-1]].shape[2:]), "body": steps[:cut], "tail": steps[cut:], "shapes": shapes,
        "buffers": buffers,
    }  # fmt: skip
    trunk = onnx_trunk.OnnxTrunk(graph).eval()
    state = {name: tensors[name.split(".", 1)[1]] for name in trunk.state_dict()}
    trunk.load_state_dict(state)
    drawn = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        apart = float((trunk.embed(drawn) - recognizer.embed(drawn)).abs().max())
    if apart > 1e-3:
        raise UsageError(f"{path}: its trunk differs from ONNX Runtime by {apart:.3g}; it cannot be trained on")
    return graph, state


def _plain(graph: Any, path: Path) -> tuple[list[list[Any]], dict[str, Tensor], dict[str, str]]:
    """Steps, float tensors by name, and the new names; small constants are put into the steps themselves."""
    from onnx import helper, numpy_helper

    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    steps: list[list[Any]] = []
    renamed: dict[str, str] = {graph.input[0].name: "v0"}
    tensors: dict[str, Tensor] = {}
    for node in graph.node:
        attributes = {a.name: _json(helper.get_attribute_value(a)) for a in node.attribute}
        if node.op_type in ("Cast", "Identity", "Transpose") and node.input[0] in arrays:  # of weights: done here
            kept = arrays[node.input[0]]
            arrays[node.output[0]] = kept.transpose(attributes.get("perm")) if node.op_type == "Transpose" else kept
            continue
        if node.op_type not in onnx_trunk.OPERATORS:
            known = ", ".join(onnx_trunk.OPERATORS)
            raise UsageError(f"{path}: operator {node.op_type} is not known; there are {known}")
        inputs: list[Any] = []
        for name in node.input:
            array = arrays.get(name)
            if array is None:
                inputs.append(renamed[name] if name else None)
            elif array.dtype.kind == "f" and array.size > 1:  # its own, so that layers with equal weights can part
                inputs.append(f"p{len(tensors)}")
                tensors[inputs[-1]] = torch.from_numpy(np.array(array, np.float32))  # a copy that can be written
            else:
                number = array.ndim == 0 or (array.dtype.kind == "f" and array.size == 1)
                inputs.append(array.item() if number else array.tolist())
        renamed[node.output[0]] = f"v{len(renamed)}"
        steps.append([node.op_type, inputs, renamed[node.output[0]], attributes])
    return steps, tensors, renamed


def _json(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
