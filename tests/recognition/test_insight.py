"""ONNX recognizers: a tiny graph made here, and the given MobileFaceNet where the data folder has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from unmask import recognition
from unmask.errors import UnmaskError, UsageError
from unmask.recognition import insight


def tiny(path: Path, fixed_reshape: str = "constant") -> np.ndarray:
    """Write a recognizer that averages 16-pixel squares and multiplies by a matrix, for a batch of one."""
    weight = np.random.default_rng(1).normal(size=(3 * 49, 8)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["input"], ["pooled"], kernel_shape=[16, 16], strides=[16, 16]),
        helper.make_node("Reshape", ["pooled", "flat_shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["output"]),
    ]
    initializers = [numpy_helper.from_array(weight, "weight")]
    if fixed_reshape == "constant":
        initializers.append(numpy_helper.from_array(np.array([1, 147], np.int64), "flat_shape"))
    else:  # a shape computed in the graph cannot be rewritten
        parts = [np.array([1], np.int64), np.array([147], np.int64)]
        initializers += [numpy_helper.from_array(part, f"part{i}") for i, part in enumerate(parts)]
        nodes.insert(0, helper.make_node("Concat", ["part0", "part1"], ["flat_shape"], axis=0))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 112, 112])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 8])],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, str(path))
    return weight


def by_hand(faces: torch.Tensor, weight: np.ndarray) -> np.ndarray:
    """The same embedding in numpy."""
    pooled = faces.numpy().reshape(len(faces), 3, 7, 16, 7, 16).mean((3, 5)).reshape(len(faces), -1)
    out = pooled @ weight
    return out / np.linalg.norm(out, axis=1, keepdims=True)


@pytest.mark.parametrize(("reshape", "batched"), [("constant", True), ("computed", False)])
def test_fixed_batch_of_one(tmp_path: Path, reshape: str, batched: bool) -> None:
    weight = tiny(tmp_path / "tiny.onnx", reshape)
    found = recognition.load(tmp_path / "tiny.onnx")
    assert isinstance(found, recognition.Recognizer)
    assert (found.name, found.template, found.size, found.differentiable) == (
        "tiny",
        "arcface",
        (112, 112),
        False,
    )
    assert found.batched is batched  # type: ignore[attr-defined]
    faces = torch.rand(37, 3, 112, 112) * 2 - 1
    np.testing.assert_allclose(found.embed(faces).numpy(), by_hand(faces, weight), atol=2e-5)
    assert found.embed(faces[:0]).shape[0] == 0


def test_wrong_shape_is_named(tmp_path: Path) -> None:
    tiny(tmp_path / "tiny.onnx")
    with pytest.raises(ValueError, match="112,112"):
        insight.load(tmp_path / "tiny.onnx").embed(torch.zeros(1, 3, 128, 128))


def test_pack_is_found_and_never_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSIGHTFACE_HOME", str(tmp_path))
    with pytest.raises(UnmaskError, match="models install some_pack"):
        recognition.load("insightface:some_pack")
    (tmp_path / "models" / "some_pack").mkdir(parents=True)
    with pytest.raises(UnmaskError, match="no recognition model"):
        recognition.load("insightface:some_pack")
    tiny(tmp_path / "models" / "some_pack" / "w.onnx")
    assert recognition.load("insightface:some_pack").name == "insightface:some_pack"


def test_bad_names(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such recognizer"):
        recognition.load("nobody")
    with pytest.raises(UnmaskError, match="no such file"):
        recognition.load(tmp_path / "missing.onnx")
    with pytest.raises(UnmaskError, match="no such file"):
        recognition.load(tmp_path / "missing.safetensors")
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    with pytest.raises(UnmaskError, match="readable ONNX"):
        recognition.load(tmp_path / "broken.onnx")


def test_given_mobilefacenet(data_dir: Path) -> None:
    path = data_dir.parent / "models" / "mobilefacenet_128d.onnx"
    if not path.is_file():
        pytest.skip("the given MobileFaceNet is not beside the data folder")
    found = insight.load(path)
    assert found.batched
    faces = torch.rand(5, 3, 112, 112) * 2 - 1
    from insightface import model_zoo

    model = model_zoo.get_model(str(path), providers=["CPUExecutionProvider"])
    pixels = ((faces + 1) * 127.5).permute(0, 2, 3, 1).numpy()[..., ::-1]  # insightface takes BGR
    theirs = np.concatenate([model.get_feat(np.ascontiguousarray(one)) for one in pixels])
    theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
    np.testing.assert_allclose(found.embed(faces).numpy(), theirs, atol=1e-4)


def test_embedded_takes_the_onnx_twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from unmask import weights

    weight = tiny(tmp_path / "recognizer.onnx")
    weights.save(tmp_path / "recognizer.safetensors", "iresnet", {}, {"w": torch.zeros(1)})
    weights.register(
        "recognizer",
        tmp_path / "recognizer.safetensors",
        license="none",
        source="drawn",
        onnx=tmp_path / "recognizer.onnx",
        folder=tmp_path,
    )
    monkeypatch.setenv("UNMASK_WEIGHTS", str(tmp_path))
    found = recognition.load()
    assert found.name == "embedded"
    faces = torch.rand(2, 3, 112, 112)
    np.testing.assert_allclose(found.embed(faces).numpy(), by_hand(faces, weight), atol=2e-5)


def changed(path: Path, batch: object = 1, declared: bool = True, weight: float = 1.0) -> None:
    """The tiny recognizer with another batch size, without its output's shape, or with other weights."""
    tiny(path)
    model = onnx.load(str(path))
    for value in (model.graph.input[0], model.graph.output[0]):
        dim = value.type.tensor_type.shape.dim[0]
        dim.Clear()
        if isinstance(batch, int):
            dim.dim_value = batch
        else:
            dim.dim_param = str(batch)
    held = {t.name: t for t in model.graph.initializer}
    wanted = np.array([batch if isinstance(batch, int) else -1, 147], np.int64)
    held["flat_shape"].CopyFrom(numpy_helper.from_array(wanted, "flat_shape"))
    scaled = numpy_helper.to_array(held["weight"]) * np.float32(weight)
    held["weight"].CopyFrom(numpy_helper.from_array(scaled, "weight"))
    if not declared:
        model.graph.output[0].type.tensor_type.ClearField("shape")
    onnx.save(model, str(path))


@pytest.mark.parametrize(("batch", "declared"), [(4, True), (1, False), ("n", False), (4, False), (40, True)])
def test_other_batches_and_undeclared_outputs(tmp_path: Path, batch: object, declared: bool) -> None:
    weight = tiny(tmp_path / "one.onnx")
    changed(tmp_path / "tiny.onnx", batch, declared)
    faces = torch.rand(7, 3, 112, 112) * 2 - 1
    found = insight.load(tmp_path / "tiny.onnx").embed(faces)
    np.testing.assert_allclose(found.numpy(), by_hand(faces, weight), atol=2e-5)


def test_weights_that_are_no_numbers_are_told_at_once(tmp_path: Path) -> None:
    changed(tmp_path / "tiny.onnx", weight=float("nan"))
    with pytest.raises(UnmaskError, match=r"tiny\.onnx: its embeddings are not finite"):
        insight.load(tmp_path / "tiny.onnx")


def test_a_model_that_cannot_be_run_is_told_in_a_line(tmp_path: Path) -> None:
    """Its reshape asks for numbers that are not there."""
    tiny(tmp_path / "tiny.onnx")
    model = onnx.load(str(tmp_path / "tiny.onnx"))
    shape = next(t for t in model.graph.initializer if t.name == "flat_shape")
    shape.CopyFrom(numpy_helper.from_array(np.array([5, 147], np.int64), "flat_shape"))
    onnx.save(model, str(tmp_path / "tiny.onnx"))
    with pytest.raises(UnmaskError, match=r"tiny\.onnx: (this model cannot be run|not a readable)") as caught:
        insight.load(tmp_path / "tiny.onnx")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
