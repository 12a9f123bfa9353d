"""A recogniser kept as an ONNX file, as a trunk that gives its inner maps and can be trained on.

Only what recognisers of ArcFace's kind are made of is understood (:data:`OPERATORS`). :func:`read` takes the graph
apart into a plain description, which is kept with a checkpoint, and its tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import UsageError

Step = Sequence[Any]  # operator, inputs, output, attributes; an input is a name, or a number or list that is constant
LEVELS = 4  # sizes of maps that are kept, finest first


class Graph(nn.Module):
    """A straight run of an ONNX graph's nodes.

    Args:
        steps: operator, inputs, output and attributes of each node.
        shapes: of the tensors that the nodes refer to, by name.
        buffers: the names among these that are not trained.
    """

    def __init__(self, steps: Sequence[Step], shapes: Mapping[str, Sequence[int]], buffers: Sequence[str]) -> None:
        super().__init__()
        self.steps = [(str(op), list(inputs), str(output), dict(given)) for op, inputs, output, given in steps]
        used = {i for _, inputs, _, _ in self.steps for i in inputs if isinstance(i, str)}
        self.names = [name for name in shapes if name in used]
        for name in self.names:
            if name in buffers:
                self.register_buffer(name, torch.zeros(tuple(shapes[name])))
            else:
                self.register_parameter(name, nn.Parameter(torch.zeros(tuple(shapes[name]))))

    def run(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Add every node's output to ``values``, which holds what comes in from outside, by name."""
        own = {name: getattr(self, name) for name in self.names}
        for op, inputs, output, attributes in self.steps:
            found = [values.get(i, own.get(i)) if isinstance(i, str) else i for i in inputs]
            values[output] = OPERATORS[op](found, {**attributes, "training": self.training})
        return values


class Tail(Graph):
    """What comes behind the last map: [N,C,h,w] to [N,embedding], not normalised."""

    def forward(self, last: Tensor) -> Tensor:
        """See the class."""
        found = self.run({self.steps[0][1][0]: last})[self.steps[-1][2]]
        return found.flatten(1)


class OnnxTrunk(nn.Module):
    """The graph that a description of :func:`read` tells of; the interface is that of ``models.iresnet.IResNet``.

    ``widths`` are the channels of the last residual sum of each size (where there is none, of the last map), finest
    first, at most :data:`LEVELS`, and of the graph's last map; ``grid`` is that one's height and width.
    """

    def __init__(self, graph: Mapping[str, Any]) -> None:
        super().__init__()
        self.size = (int(graph["size"][0]), int(graph["size"][1]))
        self.embedding, self.levels = int(graph["embedding"]), [str(name) for name in graph["levels"]]
        self.widths, self.grid = tuple(int(c) for c in graph["widths"]), (int(graph["grid"][0]), int(graph["grid"][1]))
        self.factor, self.offset = (float(v) for v in graph["scale"])
        self.entry = str(graph["input"])
        self.body = Graph(graph["body"], graph["shapes"], graph["buffers"])
        self.head = Tail(graph["tail"], graph["shapes"], graph["buffers"])

    def maps(self, x: Tensor) -> list[Tensor]:
        """[N,3,H,W] in [-1,1] -> the maps that :attr:`widths` tells of."""
        values = self.body.run({self.entry: x * self.factor + self.offset})
        return [values[name] for name in self.levels]

    def forward(self, x: Tensor) -> Tensor:
        """[N,3,H,W] in [-1,1] -> [N,embedding], not normalised."""
        found: Tensor = self.head(self.maps(x)[-1])
        return found

    def embed(self, x: Tensor) -> Tensor:
        """[N,3,H,W] in [-1,1] -> [N,embedding] of unit length."""
        return functional.normalize(self(x).float(), dim=1)


def read(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A recogniser's graph as a description (plain enough for JSON) and the state of its :class:`OnnxTrunk`.

    The last map is the last tensor that has more than one place; all behind it is the head. Raises UsageError for a
    graph with other operators than :data:`OPERATORS` or without such a cut, and where the trunk does not give the
    numbers of ONNX Runtime.
    """
    from ..recognition import insight

    recogniser = insight.load(path)
    model = insight.widened(Path(path))
    steps, tensors, renamed = _plain(model.graph, Path(path))
    entry, output = renamed[model.graph.input[0].name], renamed[model.graph.output[0].name]
    buffers = sorted({str(i) for op, inputs, _, _ in steps if op == "BatchNormalization" for i in inputs[3:5]})
    shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
    whole = Graph(steps, shapes, buffers)
    whole.load_state_dict(tensors)
    height, width = recogniser.size
    with torch.no_grad():
        values = whole.eval().run({entry: torch.zeros(1, 3, height, width)})
    spread = [i for i, step in enumerate(steps) if values[step[2]].ndim == 4 and values[step[2]].shape[2:].numel() > 1]
    if not spread:
        raise UsageError(f"{path}: no map [N,C,h,w] inside this graph; give a convolutional recogniser")
    cut = spread[-1] + 1
    before = {entry, *(step[2] for step in steps[: cut - 1])}
    if any(i in before for _, inputs, _, _ in steps[cut:] for i in inputs if isinstance(i, str)):
        raise UsageError(f"{path}: its last map is passed by other paths to the output; it cannot be a trunk")
    places = {i: tuple(values[steps[i][2]].shape[2:]) for i in spread}
    last = {places[i]: steps[i][2] for i in spread}  # the last one of each size wins,
    last |= {places[i]: steps[i][2] for i in spread if steps[i][0] == "Add"}  # the last sum of each size over that,
    last[places[spread[-1]]] = steps[spread[-1]][2]  # and the last map over all
    levels = sorted(last.values(), key=lambda name: -values[name].shape[2:].numel())[-LEVELS:]
    graph = {
        "input": entry, "scale": list(recogniser.scale), "size": [height, width],
        "embedding": int(values[output].numel()), "levels": levels, "widths": [values[n].shape[1] for n in levels],
        "grid": list(values[levels[-1]].shape[2:]), "body": steps[:cut], "tail": steps[cut:], "shapes": shapes,
        "buffers": buffers,
    }  # fmt: skip
    trunk = OnnxTrunk(graph).eval()
    state = {name: tensors[name.split(".", 1)[1]] for name in trunk.state_dict()}
    trunk.load_state_dict(state)
    drawn = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        apart = float((trunk.embed(drawn) - recogniser.embed(drawn)).abs().max())
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
        if node.op_type == "Constant":
            arrays[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
            continue
        if node.op_type in ("Cast", "Identity") and node.input[0] in arrays:  # weights kept as float16, or twice in use
            arrays[node.output[0]] = arrays[node.input[0]]
            continue
        if node.op_type not in OPERATORS:
            raise UsageError(f"{path}: operator {node.op_type} is not known; there are {', '.join(OPERATORS)}")
        inputs: list[Any] = []
        for name in node.input:
            array = arrays.get(name)
            if array is None:
                inputs.append(renamed[name] if name else None)
            elif array.dtype.kind == "f" and array.size > 1:  # its own, so that layers with equal weights can part
                inputs.append(f"p{len(tensors)}")
                tensors[inputs[-1]] = torch.from_numpy(array.astype(np.float32))
            else:
                inputs.append(array.item() if array.ndim == 0 else array.tolist())
        renamed[node.output[0]] = f"v{len(renamed)}"
        steps.append([node.op_type, inputs, renamed[node.output[0]], attributes])
    return steps, tensors, renamed


def _json(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _conv(inputs: list[Any], a: Mapping[str, Any]) -> Tensor:
    x, weight, bias = (*inputs, None)[:3]
    pads = a.get("pads", [0, 0, 0, 0])
    if pads[:2] != pads[2:]:
        x, pads = functional.pad(x, (pads[1], pads[3], pads[0], pads[2])), [0, 0]
    return functional.conv2d(x, weight, bias, a.get("strides", 1), pads[:2], a.get("dilations", 1), a.get("group", 1))


def _normalise(inputs: list[Any], a: Mapping[str, Any]) -> Tensor:
    x, weight, bias, mean, var = inputs
    # ONNX keeps so much of the old statistics, torch takes so much of the new ones
    return functional.batch_norm(
        x, mean, var, weight, bias, a["training"], 1 - a.get("momentum", 0.9), a.get("epsilon", 1e-5)
    )


def _gemm(inputs: list[Any], a: Mapping[str, Any]) -> Tensor:
    x, weight, bias = (*inputs, None)[:3]
    x, weight = x.t() if a.get("transA") else x, weight if a.get("transB") else weight.t()
    found = functional.linear(x, weight) * a.get("alpha", 1.0)
    return found if bias is None else found + a.get("beta", 1.0) * bias


def _reshape(inputs: list[Any], a: Mapping[str, Any]) -> Tensor:
    x, target = inputs
    target = target if isinstance(target, list) else [target]
    return x.reshape([x.shape[i] if side == 0 else side for i, side in enumerate(target)])


def _sum(inputs: list[Any], a: Mapping[str, Any]) -> Tensor:
    axes = a["axes"] if "axes" in a else inputs[1]
    found: Tensor = inputs[0].sum(tuple(axes), keepdim=bool(a.get("keepdims", 1)))
    return found


def _clip(inputs: list[Any], a: Mapping[str, Any]) -> Tensor:
    x, low, high = (*inputs, a.get("min"), a.get("max"))[:3]
    found: Tensor = x.clamp(low, high)
    return found


OPERATORS: dict[str, Callable[[list[Any], Mapping[str, Any]], Tensor]] = {
    "Conv": _conv,
    "BatchNormalization": _normalise,
    "Gemm": _gemm,
    "MatMul": lambda i, a: i[0] @ i[1],
    "PRelu": lambda i, a: functional.prelu(i[0], i[1].reshape(-1)),
    "Relu": lambda i, a: torch.relu(i[0]),
    "LeakyRelu": lambda i, a: functional.leaky_relu(i[0], a.get("alpha", 0.01)),
    "Clip": _clip,
    "Sigmoid": lambda i, a: torch.sigmoid(i[0]),
    "Add": lambda i, a: i[0] + i[1],
    "Sub": lambda i, a: i[0] - i[1],
    "Mul": lambda i, a: i[0] * i[1],
    "Div": lambda i, a: i[0] / i[1],
    "GlobalAveragePool": lambda i, a: i[0].mean((2, 3), keepdim=True),
    "ReduceSum": _sum,
    "Flatten": lambda i, a: i[0].flatten(a.get("axis", 1)),
    "Reshape": _reshape,
    "Dropout": lambda i, a: i[0],
    "Identity": lambda i, a: i[0],
}
