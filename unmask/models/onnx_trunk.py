"""A recognizer kept as an ONNX file, as a trunk that gives its inner maps and can be trained on.

Only what recognizers of ArcFace's kind are made of is understood (:data:`OPERATORS`). A trunk is built from a plain
description of the graph, which is kept with a checkpoint; :func:`unmask.recognition.trunk.read` makes it from a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

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
    """What comes behind the last map: [N,C,h,w] to [N,embedding], not normalized."""

    def forward(self, last: Tensor) -> Tensor:
        """See the class."""
        found = self.run({self.steps[0][1][0]: last})[self.steps[-1][2]]
        return found.flatten(1)


class OnnxTrunk(nn.Module):
    """The graph that a description tells of; the interface is that of ``models.iresnet.IResNet``.

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
        """[N,3,H,W] in [-1,1] -> [N,embedding], not normalized."""
        found: Tensor = self.head(self.maps(x)[-1])
        return found

    def embed(self, x: Tensor) -> Tensor:
        """[N,3,H,W] in [-1,1] -> [N,embedding] of unit length."""
        return functional.normalize(self(x).float(), dim=1)


def _conv(inputs: list[Any], a: Mapping[str, Any]) -> Tensor:
    x, weight, bias = (*inputs, None)[:3]
    pads = a.get("pads", [0, 0, 0, 0])
    if pads[:2] != pads[2:]:
        x, pads = functional.pad(x, (pads[1], pads[3], pads[0], pads[2])), [0, 0]
    return functional.conv2d(x, weight, bias, a.get("strides", 1), pads[:2], a.get("dilations", 1), a.get("group", 1))


def _normalize(inputs: list[Any], a: Mapping[str, Any]) -> Tensor:
    x, weight, bias, mean, var = inputs
    # ONNX keeps so much of the old statistics, torch takes so much of the new ones
    return functional.batch_norm(
        x, mean, var, weight, bias, a["training"], 1 - a.get("momentum", 0.9), a.get("epsilon", 1e-5)
    )


def _prelu(inputs: list[Any], a: Mapping[str, Any]) -> Tensor:
    x, slopes = inputs
    if not x.requires_grad:
        return functional.prelu(x, slopes.reshape(-1).to(x.dtype))
    positive = torch.relu(x)  # the gradient of prelu itself is slow on a CPU
    return positive + slopes.reshape(-1, *[1] * (x.ndim - 2)).to(x.dtype) * (x - positive)


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
    "BatchNormalization": _normalize,
    "Gemm": _gemm,
    "MatMul": lambda i, a: i[0] @ i[1],
    "PRelu": _prelu,
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
