"""Training files of others: each layout that is in use, written by torch, read back to the same generator."""

from __future__ import annotations

import argparse
import re
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from unmask.errors import UnmaskError
from unmask.weights import convert

GOLDEN = Path(__file__).parents[1] / "models" / "golden" / "rosinality.npz"
Tensors = dict[str, torch.Tensor]


@pytest.fixture
def state() -> Tensors:
    """rosinality's golden generator, without its mean style."""
    with np.load(GOLDEN) as file:
        found = {k[6:]: torch.from_numpy(file[k]).float() for k in file.files if k.startswith("state/")}
    return {key: value for key, value in found.items() if key != "latent_avg"}


def under(prefix: str, state: Tensors) -> Tensors:
    return {f"{prefix}{key}": value for key, value in state.items()}


def as_basicsr(state: Tensors) -> Tensors:
    """The names of BasicSR's StyleGAN2 (GFPGAN, its training file of FFHQ), written out the other way round."""
    named = {}
    for key, value in state.items():
        key = key.replace("input.input", "constant_input.weight").replace(".conv.", ".modulated_conv.")
        key = re.sub(r"^style\.", "style_mlp.", key)
        key = re.sub(r"^conv1\.noise\.weight", "style_conv1.weight", re.sub(r"^conv1\.(?!noise)", "style_conv1.", key))
        key = re.sub(r"^convs\.(\d+)\.noise\.weight", r"style_convs.\1.weight", key)
        key = re.sub(r"^convs\.", "style_convs.", key).replace(".blur.kernel", ".smooth.kernel")
        named[re.sub(r"^noises\.noise_", "noises.noise", key)] = value
    return named


def files(state: Tensors) -> dict[str, object]:
    other = {"encoder.input_layer.0.weight": torch.ones(3), **under("decoder.", state)}
    settings = argparse.Namespace(lr=0.002, device=torch.device("cpu"), gain=np.float64(0.5))
    return {
        "rosinality": {"g": state, "d": {}, "g_ema": state, "g_optim": {"state": {}}, "args": settings},
        "rosinality in parallel": {"g_ema": OrderedDict(under("module.", state))},
        "psp": {"state_dict": other, "opts": {"lr": 1e-4, "sub_exp_dir": None}},
        "psp in parallel": {"state_dict": under("module.", other), "opts": vars(settings)},
        "gfpgan": {"params_ema": under("stylegan_decoder.", state)},
        "basicsr": {"params": {}, "params_ema": as_basicsr(state)},
        "gfpgan of basicsr": {"params_ema": {"conv_body.weight": torch.ones(2),
                                             **under("stylegan_decoder.", as_basicsr(state))}},
        "bare": dict(state),
    }  # fmt: skip


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("kind", list(files({})))
def test_training_files_are_read(kind: str, zipped: bool, state: Tensors, tmp_path: Path) -> None:
    torch.save(files(state)[kind], tmp_path / "net.pt", _use_new_zipfile_serialization=zipped)
    found = convert.read(tmp_path / "net.pt")
    torch.testing.assert_close(found.tensors, convert.to_generator(state).tensors)


@pytest.mark.parametrize(("rows", "kept"), [(1, (6,)), (6, (6, 6)), (18, (18, 6))])
def test_every_row_of_the_mean_style_is_kept(rows: int, kept: tuple[int, ...], state: Tensors, tmp_path: Path) -> None:
    average = torch.arange(rows * 6.0).reshape(rows, 6) / 10
    torch.save({"state_dict": under("decoder.", state), "latent_avg": average}, tmp_path / "psp.pt")
    found = convert.read(tmp_path / "psp.pt")
    assert found.tensors["w_avg"].shape == kept
    torch.testing.assert_close(found.tensors["w_avg"].reshape(-1, 6), average)
    network, z = found.build(), torch.randn(2, 5)
    ws, free = network.styles(z, 0.7), network.styles(z)
    torch.testing.assert_close(ws, average[:6].expand(6, 6) + 0.7 * (free - average[:6].expand(6, 6)))


def test_few_rows_are_refused(state: Tensors, tmp_path: Path) -> None:
    torch.save({"state_dict": under("decoder.", state), "latent_avg": torch.zeros(3, 6)}, tmp_path / "psp.pt")
    with pytest.raises(UnmaskError, match="w_avg_rows is 3; 16 px takes 6"):
        convert.read(tmp_path / "psp.pt")


def test_refusals_are_one_plain_line(state: Tensors, tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    torch.save({"g_ema": state, "args": re.compile("x")}, path)
    with pytest.raises(UnmaskError, match=r"net\.pt: .*it needs re\._compile, which is not run here") as caught:
        convert.read(path)
    assert "\x1b" not in str(caught.value) and "\n" not in str(caught.value)
    torch.save({"g_ema": {**state, "input.input": torch.zeros(1).expand(1, 6, 4, 4)}}, path)
    with pytest.raises(UnmaskError, match=r"input\.input is no plain tensor"):
        convert.read(path)
    torch.save({"g_ema": {**state, "input.input": torch.zeros(2)}}, path)
    with pytest.raises(UnmaskError, match=r"synthesis\.const is"):
        convert.read(path)


def test_compressed_members_are_refused_unread(state: Tensors, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "net.pt")
    with zipfile.ZipFile(tmp_path / "net.pt") as old, \
            zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as new:  # fmt: skip
        for member in old.namelist():
            new.writestr(member, old.read(member))
        new.writestr("archive/data/99", bytes(1 << 24))
    with pytest.raises(UnmaskError, match="compressed"):
        convert.read(tmp_path / "bomb.pt")
