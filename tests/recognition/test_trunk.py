"""A recognizer's ONNX graph as a trunk: against ONNX Runtime and the torch network that it came from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from unmask import recognition
from unmask.errors import UsageError
from unmask.export import to_onnx
from unmask.from_net.network import FromNet
from unmask.models.iresnet import IResNet
from unmask.models.onnx_trunk import OnnxTrunk
from unmask.recognition.trunk import read

SHAPE = {"widths": (4, 6, 8, 10), "depths": (2, 1, 1), "embedding": 7, "size": (112, 112), "stem_stride": 2}


def network(**extra: object) -> IResNet:
    torch.manual_seed(0)
    model = IResNet(**{**SHAPE, **extra}).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.3, 0.3)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
    return model


def mobile(path: Path, bend: str = "Clip") -> Path:
    """A graph like MobileFaceNet's: a batch of one, depthwise layers, a global one, constants in nodes, a reshape."""
    rng = np.random.default_rng(3)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(rng.normal(0, 0.3, shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Constant", [], ["low"], value=numpy_helper.from_array(np.array(0, np.float32), "low")),
        helper.make_node("Constant", [], ["high"], value_float=6.0),
        helper.make_node("Constant", [], ["flat"], value_ints=[1, -1]),
        helper.make_node("Conv", ["input", "w0", "b0"], ["a"], kernel_shape=[3, 3], strides=[4, 4], pads=[1, 1, 1, 1]),
        helper.make_node(bend, ["a", "low", "high"] if bend == "Clip" else ["a"], ["b"]),
        helper.make_node("Conv", ["b", "w1"], ["c"], kernel_shape=[3, 3], strides=[4, 4], pads=[1, 1, 1, 1], group=6),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("Conv", ["d", "w2"], ["e"], kernel_shape=[7, 7], group=6),
        helper.make_node("Conv", ["e", "w3"], ["f"], kernel_shape=[1, 1]),
        helper.make_node("Reshape", ["f", "flat"], ["output"]),
    ]
    weights = [weight("w0", 6, 3, 3, 3), weight("b0", 6), weight("w1", 6, 1, 3, 3), weight("w2", 6, 1, 7, 7),
               weight("w3", 5, 6, 1, 1)]  # fmt: skip
    graph = helper.make_graph(
        nodes, "mobile", [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 112, 112])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 5])], weights,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize("extra", [{"head": "fc"}, {"head": "gdc", "act": "lrelu"}, {"head": "flat"}])
@pytest.mark.parametrize("half", [False, True])
def test_a_trunk_gives_the_numbers_of_the_network_it_came_from(tmp_path: Path, extra: dict, half: bool) -> None:
    model = network(**extra)
    path = to_onnx.recognizer_onnx(model, tmp_path / "net.onnx", half=half)
    graph, state = read(path)
    trunk = OnnxTrunk(json.loads(json.dumps(graph))).eval()  # as it comes back from a checkpoint
    trunk.load_state_dict(state)
    assert (trunk.size, trunk.embedding, trunk.grid) == ((112, 112), 7, model.grid)
    assert trunk.widths == (6, *SHAPE["widths"][1:])  # at the stem's size the next stage's first layer is the last
    x = torch.rand(3, 3, 112, 112) * 2 - 1
    torch.testing.assert_close(trunk.embed(x), model.embed(x), atol=5e-3 if half else 1e-5, rtol=0)
    last = model.maps(x)[-1]  # and what of the head still has places
    last = {"flat": lambda: last, "fc": lambda: model.head[0](last),
            "gdc": lambda: model.head[0](last) * model.head[1].weight}[extra["head"]]()  # fmt: skip
    torch.testing.assert_close(trunk.maps(x)[-1], last, atol=5e-2 if half else 1e-4, rtol=1e-3)


def test_a_graph_with_a_batch_of_one_and_constants_in_nodes(tmp_path: Path) -> None:
    path = mobile(tmp_path / "mobile.onnx")
    graph, state = read(path)
    trunk = OnnxTrunk(graph).eval()
    trunk.load_state_dict(state)
    x = torch.rand(4, 3, 112, 112) * 2 - 1
    torch.testing.assert_close(trunk.embed(x), recognition.load(path).embed(x), atol=1e-5, rtol=0)
    assert [m.shape[1:] for m in trunk.maps(x)] == [(6, 28, 28), (6, 7, 7)]
    trunk(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in trunk.parameters())


def test_statistics_move_in_training_alone(tmp_path: Path) -> None:
    graph, state = read(to_onnx.recognizer_onnx(network(head="fc"), tmp_path / "net.onnx", half=False))
    trunk = OnnxTrunk(graph)
    trunk.load_state_dict(state)
    before = {name: buffer.clone() for name, buffer in trunk.named_buffers()}
    assert before  # a normalization that no convolution could take in
    trunk.eval()(torch.rand(4, 3, 112, 112))
    assert all(torch.equal(before[name], buffer) for name, buffer in trunk.named_buffers())
    trunk.train()(torch.rand(4, 3, 112, 112))
    assert not any(torch.equal(before[name], buffer) for name, buffer in trunk.named_buffers())


@pytest.mark.parametrize("kind", ["3d", "none"])
def test_from_on_a_given_trunk_that_stays_as_it_is(tmp_path: Path, kind: str) -> None:
    graph, state = read(to_onnx.recognizer_onnx(network(head="fc"), tmp_path / "net.onnx", half=False))
    net = FromNet({"graph": graph}, kind, grid=3, pyramid=6, mask_bias=3.0, frozen=True)
    net.trunk.load_state_dict(state)
    net.train()
    x = torch.rand(4, 3, 112, 112) * 2 - 1
    net(x).square().sum().backward()
    for name, parameter in net.trunk.named_parameters():
        assert (parameter.grad is not None) == name.startswith("head."), name
    kept = {name: buffer for name, buffer in net.trunk.named_buffers() if name.startswith("body.")}
    assert all(torch.equal(buffer, state[name]) for name, buffer in kept.items())
    if kind == "3d":
        assert net.eval().explain(x).mask.shape == (4, 10, *net.trunk.grid)
        assert all(p.grad is not None for p in net.decoder.parameters())


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="operator Elu is not known"):
        read(mobile(tmp_path / "elu.onnx", "Elu"))
