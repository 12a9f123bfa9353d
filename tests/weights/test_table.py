"""The table of checkpoints: reading, writing, and each way a file can be wrong."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from unmask import weights
from unmask.errors import UnmaskError


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A weights folder with one row, ``tiny``."""
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    path = weights.save(tmp_path / "tiny.safetensors", "linear", {"n": 3}, model.state_dict(), {"steps": 7})
    empty = onnx.helper.make_model(onnx.helper.make_graph([], "tiny", [], []))
    (tmp_path / "tiny.onnx").write_bytes(empty.SerializeToString())
    weights.register(
        "tiny",
        path,
        license="research",
        source="made here",
        onnx=tmp_path / "tiny.onnx",
        size=3,
        folder=tmp_path,
    )
    return tmp_path


def test_what_is_saved_comes_back(home: Path) -> None:
    checkpoint = weights.read("tiny", kind="linear", folder=home)
    assert (checkpoint.kind, checkpoint.arch, checkpoint.meta) == ("linear", {"n": 3}, {"steps": 7})
    assert checkpoint.sha256 == hashlib.sha256((home / "tiny.safetensors").read_bytes()).hexdigest()
    assert checkpoint.tensors["0.weight"].dtype == torch.float32
    assert checkpoint.tensors["1.num_batches_tracked"].dtype == torch.int64
    weights.fill(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), checkpoint)


def test_half_on_disk_except_where_it_would_overflow(tmp_path: Path) -> None:
    tensors = {
        "small": torch.tensor([0.1, float("inf")]),
        "big": torch.tensor([1e9]),
        "flags": torch.tensor([True]),
        "strided": torch.arange(6.0).view(2, 3).T,
    }
    path = weights.save(tmp_path / "a.safetensors", "k", {}, tensors)
    with safe_open(path, "pt") as stored:
        kinds = {name: stored.get_tensor(name).dtype for name in stored.keys()}  # noqa: SIM118
    assert kinds == {
        "small": torch.float16,
        "big": torch.float32,
        "flags": torch.bool,
        "strided": torch.float16,
    }
    read = weights.read(path).tensors
    assert read["big"].item() == 1e9
    assert torch.equal(read["strided"], tensors["strided"])
    exact = weights.save(tmp_path / "b.safetensors", "k", {}, {"x": torch.tensor([0.1])}, half=False)
    assert weights.read(exact).tensors["x"].item() == pytest.approx(0.1, abs=1e-8)


def test_tensors_that_share_memory_are_saved_each(tmp_path: Path) -> None:
    tied = torch.ones(2)
    read = weights.read(weights.save(tmp_path / "a.safetensors", "k", {}, {"a": tied, "b": tied}))
    assert set(read.tensors) == {"a", "b"}


def test_find_gives_both_forms(home: Path) -> None:
    assert weights.find("tiny", folder=home) == home / "tiny.safetensors"
    assert weights.find("tiny", form="onnx", folder=home) == home / "tiny.onnx"
    assert weights.find(home / "tiny.onnx", form="onnx") == home / "tiny.onnx"


def test_register_replaces_its_row_and_keeps_the_order(home: Path) -> None:
    other = weights.save(home / "other.safetensors", "linear", {}, {"x": torch.ones(1)})
    weights.register("other", other, license="", source="", folder=home)
    again = weights.save(home / "tiny2.safetensors", "linear", {}, {"x": torch.ones(2)})
    weights.register("tiny", again, license="free", source="", folder=home)
    assert [(row.name, row.file, row.license) for row in weights.rows(home)] == [
        ("tiny", "tiny2.safetensors", "free"),
        ("other", "other.safetensors", ""),
    ]


def test_register_refuses_what_lies_outside(home: Path, tmp_path: Path) -> None:
    outside = weights.save(tmp_path / "elsewhere" / "a.safetensors", "k", {}, {})
    with pytest.raises(UnmaskError, match="outside the weights folder"):
        weights.register("a", outside, license="", source="", folder=home)


def test_folder_comes_from_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNMASK_WEIGHTS", str(home))
    assert weights.default_folder() == home
    assert weights.read("tiny").kind == "linear"
    monkeypatch.delenv("UNMASK_WEIGHTS")
    assert weights.default_folder().name in ("weights", "_weights")


def fails(call: str, path: str | Path, home: Path, **options: str) -> str:
    """The one-line message that ``weights.<call>`` fails with."""
    with pytest.raises(UnmaskError) as caught:
        getattr(weights, call)(path, folder=home, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_missing_files_are_named(home: Path) -> None:
    assert "known: tiny" in fails("read", "typo", home)
    assert "no such file" in fails("read", home / "no.safetensors", home)
    assert "a folder" in fails("read", home, home)
    (home / "tiny.safetensors").unlink()
    assert "missing" in fails("read", "tiny", home)
    assert "missing" in fails("find", "tiny", home)
    assert "known: none" in fails("find", "tiny", home / "empty")


def test_an_altered_file_is_refused_by_name_and_by_path(home: Path) -> None:
    path = home / "tiny.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    for call in ("read", "find"):
        assert "sha256" in fails(call, "tiny", home)
        assert "sha256" in fails(call, path, home)
    assert weights.verify(home) == [("tiny.safetensors", "wrong sha256"), ("tiny.onnx", "ok")]
    (home / "tiny.onnx").unlink()
    assert weights.verify(home)[1] == ("tiny.onnx", "missing")


@pytest.mark.parametrize("keep", [0, 5, 20, 300, -1])
def test_a_truncated_file_is_said_to_be_cut(home: Path, tmp_path: Path, keep: int) -> None:
    short = tmp_path / "short.safetensors"
    short.write_bytes((home / "tiny.safetensors").read_bytes()[:keep])
    assert "not a whole safetensors file" in fails("read", short, home)


@pytest.mark.parametrize("data", [b"PK\x03\x04" * 50, b"\0" * 64, b"\xff" * 64, b"\2" + b"\0" * 7 + b"[]"])
def test_a_foreign_file_is_refused(home: Path, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(data)
    assert "not a whole safetensors file" in fails("read", path, home)


def test_safetensors_of_others_and_of_later_versions(home: Path, tmp_path: Path) -> None:
    save_file({"x": torch.ones(1)}, tmp_path / "plain.safetensors")
    assert "not a checkpoint of unmask" in fails("read", tmp_path / "plain.safetensors", home)
    entry = json.dumps({"format": "unmask/9", "kind": "k", "arch": {}, "meta": {}})
    save_file({"x": torch.ones(1)}, tmp_path / "later.safetensors", metadata={"unmask": entry})
    assert "unmask/9" in fails("read", tmp_path / "later.safetensors", home)


def test_wrong_kind_and_other_shape(home: Path) -> None:
    assert "holds a linear, not a unmasker" in fails("read", "tiny", home, kind="unmasker")
    checkpoint = weights.read("tiny", folder=home)
    for module in (nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5)), nn.Linear(3, 4)):
        with pytest.raises(UnmaskError, match=r"tiny\.safetensors: its tensors do not fit"):
            weights.fill(module, checkpoint)


def test_a_broken_table_names_itself(home: Path) -> None:
    index = home / "index.json"
    good = index.read_text()
    for bad in ("{", "[]", '{"weights": [{"name": "x"}]}'):
        index.write_text(bad)
        assert "index.json" in fails("find", "tiny", home)
    index.write_text(good.replace('"tiny.safetensors"', '"../tiny.safetensors"'))
    assert "outside the folder" in fails("find", "tiny", home)


def test_nothing_half_written_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnmaskError, match="cannot be written"):
        weights.save(tmp_path / "file" / "a.safetensors", "k", {}, {})
    (tmp_path / "taken").mkdir()
    with pytest.raises(UnmaskError, match="cannot be written"):
        weights.save(tmp_path / "taken", "k", {}, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "taken"]


@pytest.fixture
def apart(home: Path) -> Path:
    """A row whose ONNX file keeps its tensor in the safetensors file beside it."""
    held = np.arange(64, dtype=np.float32)
    tensor = onnx.numpy_helper.from_array(held, "w")
    data = (home / "tiny.safetensors").read_bytes()
    onnx.external_data_helper.set_external_data(tensor, "tiny.safetensors", offset=len(data) - 32, length=32)
    tensor.ClearField("raw_data")
    node = onnx.helper.make_node("Identity", ["w"], ["out"])
    out = onnx.helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, [64])
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "tiny", [], [out], [tensor]))
    (home / "tiny.onnx").write_bytes(model.SerializeToString())
    weights.register("tiny", home / "tiny.safetensors", license="r", source="s", onnx=home / "tiny.onnx", folder=home)
    return home


def test_tensors_beside_an_onnx_file_are_hashed_too(apart: Path) -> None:
    """A flipped bit in the safetensors file used to load silently through the ONNX file."""
    assert weights.find("tiny", "onnx", apart) == apart / "tiny.onnx"
    before = weights.fingerprint(apart / "tiny.onnx")
    content = (apart / "tiny.safetensors").read_bytes()
    (apart / "tiny.safetensors").write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
    with pytest.raises(UnmaskError, match=r"tiny\.safetensors: altered or cut short"):
        weights.find("tiny", "onnx", apart)
    with pytest.raises(UnmaskError, match=r"tiny\.safetensors: altered"):
        weights.check(apart / "tiny.onnx")
    (apart / "index.json").unlink()  # without a table, what is kept by fingerprint still changes
    assert weights.fingerprint(apart / "tiny.onnx") != before
    (apart / "tiny.safetensors").unlink()
    with pytest.raises(UnmaskError, match=r"tiny\.safetensors: missing"):
        weights.check(apart / "tiny.onnx")


def test_tensors_in_other_folders_are_refused(apart: Path) -> None:
    model = onnx.load(str(apart / "tiny.onnx"), load_external_data=False)
    for place in ("../secret", "/etc/hostname", ""):
        model.graph.initializer[0].external_data[0].value = place
        (apart / "other.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(UnmaskError, match="outside its folder"):
            weights.check(apart / "other.onnx")


@pytest.mark.parametrize("value", [None, "", "f" * 63, 5, "F" * 64])
@pytest.mark.parametrize("key", ["sha256", "onnx_sha256"])
def test_no_row_goes_without_its_hash(home: Path, key: str, value: object) -> None:
    table = json.loads((home / "index.json").read_text())
    table["weights"][0][key] = value
    (home / "index.json").write_text(json.dumps(table))
    with pytest.raises(UnmaskError, match=r"index\.json: not a table of weights \(tiny has no sha256 for"):
        weights.read("tiny", folder=home)


@pytest.mark.parametrize(
    "entry",
    [
        '{"format": "unmask/1", "kind": 5, "arch": {}, "meta": {}}', '{"format": "unmask/1"}', "[]", "5", "null",
        "[" * 9999,
        '{"format": "unmask/1", "kind": "k", "arch": [], "meta": {}}',
    ],
)  # fmt: skip
def test_descriptions_that_are_none(tmp_path: Path, entry: str) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors", metadata={"unmask": entry})
    with pytest.raises(UnmaskError, match=r"a\.safetensors: not a "):
        weights.read(tmp_path / "a.safetensors")


def test_deeply_nested_json_is_one_line(tmp_path: Path) -> None:
    header = b'{"a": ' + b"[" * 100_000 + b"}"
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(UnmaskError, match="not a whole safetensors file"):
        weights.read(tmp_path / "a.safetensors")
    (tmp_path / "index.json").write_text("[" * 100_000)
    with pytest.raises(UnmaskError, match="not a table of weights"):
        weights.rows(tmp_path)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    path = weights.save(tmp_path / "a.safetensors", "k", {}, {"w": torch.tensor([1.0, float("nan")])})
    with pytest.raises(UnmaskError, match="w holds values that are no numbers"):
        weights.read(path)
