"""Small whole files of every kind that is no picture, how each is read, and the mutations."""

from __future__ import annotations

import functools
import io
import json
import pickle
import random
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from onnx import TensorProto, helper, numpy_helper

from unmask import models, weights
from unmask.data import pictures as sources
from unmask.errors import UnmaskError
from unmask.evaluation.pairs import readers
from unmask.evaluation.pairs.pictures import InMemory
from unmask.recognition import insight
from unmask.training import checkpoint, read_config
from unmask.weights import convert

GOLDEN = Path(__file__).parents[2] / "models" / "golden"
CONFIG = Path(__file__).parents[3] / "unmask" / "configs" / "mini-unmasker.yaml"
NAMES = ("Ann_Lee", "Bo_Ek", "Cy_Fox", "Di_Moe")
KEYS = [f"{name}/{name}_{i:04d}.jpg" for name in NAMES for i in (1, 2, 3)]
PICTURES = InMemory("drawn", dict.fromkeys([*KEYS, *(key.split("/")[1] for key in KEYS)], b"x"))
ODD = (b"\0", b"\xff", b"\0" * 8, b"\xff" * 8, b"\x7f\xff\xff\xff", b"\0\0\0\x80", b"9" * 20, b"-1", b"nan", b"1e999",
       b"[" * 30, b"{" * 30, b"&a ", b"*a", b"<<: ", b"../", b'"', b",", b"\t", b"\n", b"\r", b"'")  # fmt: skip
LISTS = {
    "lfw": "2\t1\nAnn_Lee\t1\t2\nAnn_Lee\t1\tBo_Ek\t3\nCy_Fox\t1\t3\nCy_Fox\t2\tDi_Moe\t1\n",
    "names": "Ann_Lee 1 2\nAnn_Lee 1 Bo_Ek 3\n",
    "kaggle": "name,imagenum1,imagenum2,\nAnn_Lee,1,2,\nAnn_Lee,1,Bo_Ek,3\n",
    "calfw": "Ann_Lee_0001.jpg 1\nAnn_Lee_0002.jpg 1\nAnn_Lee_0001.jpg 0\nBo_Ek_0003.jpg 0\n",
    "csv": f"path_a,path_b,issame,fold\n{KEYS[0]},{KEYS[1]},1,0\n{KEYS[0]},{KEYS[4]},0,1\n",
    "list": f"{KEYS[0]} {KEYS[1]} 1\n{KEYS[0]} {KEYS[4]} 0\n",
}
ARCH = {"z_dim": 4, "w_dim": 4, "img_resolution": 8, "channels": [4, 4], "mapping_layers": 1}


def state(layout: str) -> dict[str, torch.Tensor]:
    """A golden generator in one of the layouts."""
    with np.load(GOLDEN / f"{layout}.npz") as file:
        return {k[6:]: torch.from_numpy(file[k]).float() for k in file.files if k.startswith("state/")}


def saved(content: Any, zipped: bool = True) -> bytes:
    """The bytes that torch writes."""
    out = io.BytesIO()
    torch.save(content, out, _use_new_zipfile_serialization=zipped)
    return out.getvalue()


class _Part:
    """Pickles as an object of NVIDIA's persistent classes does."""

    def __init__(self, meta: dict) -> None:
        self.meta = meta

    def __reduce__(self) -> tuple:
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (self.meta,)


def official() -> bytes:
    """A small pickle as StyleGAN2-ADA writes them."""
    module = types.ModuleType("torch_utils.persistence")

    def rebuild(meta: dict) -> None: ...

    rebuild.__module__, rebuild.__qualname__ = "torch_utils.persistence", "_reconstruct_persistent_obj"
    module._reconstruct_persistent_obj = rebuild  # type: ignore[attr-defined]
    tree = {"_parameters": {"w": torch.nn.Parameter(torch.ones(2, 3))}, "_buffers": {}, "_modules": {},
            "weight_gain": np.float64(0.5), "conv_clamp": 256}  # fmt: skip
    inner = {**tree, "_modules": {}}
    with mock.patch.dict(sys.modules, {"torch_utils": types.ModuleType("torch_utils"), module.__name__: module}):
        return pickle.dumps({"G_ema": _Part({"state": {**tree, "_modules": {"b4": _Part({"state": inner})}}})}, 4)


def recognizer() -> bytes:
    """A recognizer in ONNX that averages squares and multiplies."""
    nodes = [
        helper.make_node("AveragePool", ["input"], ["pooled"], kernel_shape=[56, 56], strides=[56, 56]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["output"]),
    ]
    weight = numpy_helper.from_array(np.random.default_rng(1).normal(size=(12, 4)).astype(np.float32), "weight")
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, 112, 112])
    out = helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", 4])
    model = helper.make_model(helper.make_graph(nodes, "g", [given], [out], [weight]),
                              opset_imports=[helper.make_opsetid("", 13)])  # fmt: skip
    model.ir_version = 8
    return model.SerializeToString()


def _weights(path: Path) -> None:
    found = weights.read(path)
    try:
        network = models.build(found.kind, **found.arch)
    except UnmaskError as error:
        raise UnmaskError(f"{path}: {error}") from None
    weights.fill(network, found)


def _source(path: Path) -> None:
    for line, row in sources.table(path, ["file"]):
        sources.numbers(path, line, row, ["left_eye_x"])


@functools.cache
def kinds() -> dict[str, tuple[str, bytes, Callable[[Path], Any]]]:
    """By kind: the file's name, its content, and what reads it."""
    torch.manual_seed(0)
    network = models.build("generator", **ARCH)
    header = {"task": "t", "step": 1, "config": {}, "modules": {"n": network.state_dict()}, "optimizers": {}}
    row = {"name": "a", "kind": "k", "file": "a.safetensors", "sha256": "0" * 64, "bytes": 1}
    from safetensors.torch import save as packed

    described = {"format": weights.FORMAT, "kind": "generator", "arch": ARCH, "meta": {}}
    whole = packed({k: v.contiguous() for k, v in network.state_dict().items()},
                   metadata={"unmask": json.dumps(described)})  # fmt: skip
    ros = state("rosinality")
    found: dict[str, tuple[str, bytes, Callable[[Path], Any]]] = {
        **{f"pairs-{name}": ("pairs.csv" if name == "csv" else "pairs.txt", text.encode(),
                             lambda p: readers.read(p, PICTURES)) for name, text in LISTS.items()},
        "bin": ("x.bin", pickle.dumps(([b"a", b"b"] * 2, np.array([True, False])), 2), lambda p: readers.read(p, None)),
        "yaml": ("c.yaml", CONFIG.read_bytes(), lambda p: read_config(str(p))),
        "safetensors": ("a.safetensors", whole, _weights),
        "table": ("index.json", json.dumps({"weights": [row]}).encode(), lambda p: weights.rows(p.parent)),
        "onnx": ("a.onnx", recognizer(), insight.load),
        "pickle": ("a.pkl", official(), convert.read),
        "torch-zip": ("a.pt", saved({"g_ema": ros}), convert.read),
        "torch-legacy": ("b.pt", saved({"g_ema": ros}, zipped=False), convert.read),
        "checkpoint": ("last.pt", saved(header), checkpoint.read),
        "index": ("index.csv", b"file,identity,left_eye_x\ns/a.png,p,20.5\ns/b.png,q,21\n", _source),
    }  # fmt: skip
    return found


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The file with one to four changes: bytes, bits, odd values, cuts, doubled and moved parts."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        if not out:
            break
        at, what, length = rng.randrange(len(out)), rng.randrange(7), rng.choice((1, 2, 4, 16, 64))
        if rng.random() < 0.5:
            at = min(at, rng.randrange(1, 2000), len(out) - 1)  # most headers stand in front
        if what == 0:
            out[at] = rng.randrange(256)
        elif what == 1:
            out[at] ^= 1 << rng.randrange(8)
        elif what == 2:
            odd = rng.choice(ODD)
            out[at : at + len(odd)] = odd
        elif what == 3:
            out[at:at] = rng.choice(ODD)
        elif what == 4:
            del out[at : at + length]
        elif what == 5:
            out[at:at] = out[at : at + length] * rng.choice((1, 2, 200))
        else:
            del out[rng.randrange(len(out)) :]
    return bytes(out)
