"""Generators of others: the golden files of an independent implementation, and pickles that must run nothing."""

from __future__ import annotations

import importlib.util
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from unmask import models, weights
from unmask.errors import UnmaskError
from unmask.weights import convert, official_pickle

GOLDEN = Path(__file__).parents[1] / "models" / "golden"
LAYOUTS = (convert.ADA, convert.ROSINALITY)


def golden(layout: str) -> tuple[dict[str, torch.Tensor], dict[str, np.ndarray]]:
    """The state dict and the known outputs of one golden file (made by numpy_stylegan2.py)."""
    with np.load(GOLDEN / f"{layout}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    state = {key[6:]: torch.from_numpy(value).float() for key, value in arrays.items() if key.startswith("state/")}
    return state, arrays


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("psi", "known"), [(1.0, "images"), (0.7, "truncated")])
def test_converted_generators_make_the_known_pictures(layout: str, psi: float, known: str) -> None:
    state, arrays = golden(layout)
    converted = convert.to_generator(state)
    assert converted.layout == layout
    with torch.no_grad():
        got = converted.build()(torch.from_numpy(arrays["z"]).float(), psi, noise="const").numpy()
    assert np.abs(got - arrays[known]).max() <= 1e-5 * np.abs(arrays[known]).max()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_mapping(layout: str) -> None:
    state, arrays = golden(layout)
    got = convert.to_generator(state).build().mapping(torch.from_numpy(arrays["z"]).float())
    np.testing.assert_allclose(got.detach().numpy(), arrays["w"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_of_tensors(layout: str, tmp_path: Path) -> None:
    state, _ = golden(layout)
    content: dict = state
    if layout == convert.ROSINALITY:
        content = {"g_ema": {k: v for k, v in state.items() if k != "latent_avg"}, "latent_avg": state["latent_avg"]}
    torch.save(content, tmp_path / "net.pt")
    converted = convert.read(tmp_path / "net.pt")
    assert converted.arch["channels"] == [6, 5, 3] and converted.arch["img_resolution"] == 16
    torch.testing.assert_close(converted.tensors, convert.to_generator(state).tensors)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("synthesis.b8.conv1.bias"), "synthesis.b8.conv1.bias is missing"),
        (lambda s: s.update(extra=torch.zeros(1)), "no place in a generator, such as extra"),
        (lambda s: s.update({"mapping.embed.weight": torch.zeros(1)}), "conditional"),
        (lambda s: s["synthesis.b8.resample_filter"].mul_(2), "not the filter"),
        (lambda s: s.pop("synthesis.b4.const"), "neither a StyleGAN2-ADA nor a rosinality"),
    ],
)
def test_wrong_state_dicts_are_named(change, message: str) -> None:
    state, _ = golden(convert.ADA)
    change(state)
    with pytest.raises(UnmaskError, match=message):
        convert.to_generator(state, "net.pt")


def module_tree(state: dict[str, torch.Tensor], clamp: float | None = None) -> dict:
    """The nested state that an ``nn.Module`` with these tensors has, and what NVIDIA's layers keep besides."""
    tree: dict = {"_parameters": {}, "_buffers": {}, "_modules": {}, "training": False}
    for key, value in state.items():
        *path, name = key.split(".")
        node = tree
        for part in path:
            node = node["_modules"].setdefault(part, {"_parameters": {}, "_buffers": {}, "_modules": {}})
        is_buffer = name in ("noise_const", "resample_filter", "w_avg")
        node |= {"weight_gain": np.float64(0.25), "conv_clamp": clamp, "_non_persistent_buffers_set": set()}
        node["_buffers" if is_buffer else "_parameters"][name] = value if is_buffer else torch.nn.Parameter(value)
    return tree


def official_file(
    path: Path, state: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch, protocol: int = 4,
    clamp: float | None = None,
) -> None:  # fmt: skip
    """Write what StyleGAN2-ADA writes: objects rebuilt from source that is in the file; ours would end the process."""
    module = types.ModuleType("torch_utils.persistence")
    module._reconstruct_persistent_obj = lambda meta: None
    module._reconstruct_persistent_obj.__module__ = "torch_utils.persistence"
    module._reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"
    util = types.ModuleType("dnnlib.util")
    util.EasyDict = type("EasyDict", (dict,), {"__module__": "dnnlib.util", "__qualname__": "EasyDict"})
    for name, value in (("torch_utils", types.ModuleType("torch_utils")), ("torch_utils.persistence", module),
                        ("dnnlib", types.ModuleType("dnnlib")), ("dnnlib.util", util)):  # fmt: skip
        monkeypatch.setitem(sys.modules, name, value)

    class Persistent:
        def __init__(self, tree: dict) -> None:
            self.tree = {**tree, "_modules": {name: Persistent(part) for name, part in tree["_modules"].items()}}

        def __reduce__(self):
            meta = util.EasyDict(type="class", version=6, module_src="raise SystemExit(66)", class_name="Generator",
                                 state=self.tree)  # fmt: skip
            return module._reconstruct_persistent_obj, (meta,)

    tree = module_tree(state, clamp)
    content = {"G": None, "D": None, "G_ema": Persistent(tree), "training_set_kwargs": util.EasyDict(a=1)}
    path.write_bytes(pickle.dumps(content, protocol))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_official_pickles_are_read_and_not_run(protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, _ = golden(convert.ADA)
    official_file(tmp_path / "net.pkl", state, monkeypatch, protocol)
    converted = convert.read(tmp_path / "net.pkl")
    torch.testing.assert_close(converted.tensors, convert.to_generator(state).tensors)
    data = (tmp_path / "net.pkl").read_bytes()
    assert b"numpy" in data and b"multiarray" in data and b"weight_gain" in data
    if protocol < 4:  # as NVIDIA's numpy named it; protocol 4 keeps lengths
        (tmp_path / "old.pkl").write_bytes(data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
        torch.testing.assert_close(convert.read(tmp_path / "old.pkl").tensors, converted.tensors)


def test_official_clamps_are_honored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float32 too: against the clamped NumPy network, far from the free one."""
    spec = importlib.util.spec_from_file_location("numpy_stylegan2", GOLDEN.with_name("numpy_stylegan2.py"))
    numpy_net = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(numpy_net)
    state, arrays = golden(convert.ADA)
    net = numpy_net.random_net(np.random.default_rng(1))  # the golden one
    ws = [np.repeat(row[None], 6, 0) for row in arrays["w"]]
    wanted, free = (np.stack([numpy_net.synthesis(w, net, False, clamp) for w in ws]) for clamp in (1.0, np.inf))
    np.testing.assert_allclose(free, arrays["images"], rtol=1e-6, atol=1e-6)
    assert np.abs(free - wanted).max() > 1
    official_file(tmp_path / "net.pkl", state, monkeypatch, clamp=1)
    converted = convert.read(tmp_path / "net.pkl")
    assert converted.arch["conv_clamp"] == 1
    path = converted.save(tmp_path / "net.safetensors", "net.pkl")
    stored = weights.read(path, "generator")
    network = models.build("generator", **stored.arch).eval()
    weights.fill(network, stored)
    with torch.no_grad():
        got = network(torch.from_numpy(arrays["z"]).float(), noise="const").numpy()
    assert np.abs(got - wanted).max() <= 1e-5 * np.abs(wanted).max()


class Harm:
    def __reduce__(self):
        return eval, ("open('harm', 'w')",)


@pytest.mark.parametrize("content", [{"G_ema": Harm()}, Harm()])
def test_harmful_pickles_stop(content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(UnmaskError, match=r"net.pkl: the pickle needs builtins.eval, .* save the state_dict"):
        convert.read("net.pkl")
    assert not Path("harm").exists()


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "net.pkl"
    path.write_bytes(pickle.dumps({"G_ema": [1, 2]})[:-5])
    with pytest.raises(UnmaskError, match=r"the pickle is damaged .* download it again"):
        official_pickle.state_dict(path)
    path.write_bytes(pickle.dumps({"D": None}))
    with pytest.raises(UnmaskError, match="none of G_ema, G"):
        official_pickle.state_dict(path)
    with pytest.raises(UnmaskError, match="no such file"):
        convert.read(tmp_path / "other.pkl")
    torch.save([1, 2], tmp_path / "net.pt")
    with pytest.raises(UnmaskError, match="no state dict"):
        convert.read(tmp_path / "net.pt")
    torch.save({"G": Harm()}, tmp_path / "net.pt")
    with pytest.raises(UnmaskError, match="not a file of plain tensors"):
        convert.read(tmp_path / "net.pt")
