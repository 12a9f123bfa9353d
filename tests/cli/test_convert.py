"""``unmask convert``: a generator of others becomes a checkpoint, and what is there is not replaced unasked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from unmask import models, weights

Run = Callable[..., tuple[int, str, str]]
GOLDEN = Path(__file__).parents[1] / "models" / "golden" / "rosinality.npz"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A training file as rosinality writes it."""
    with np.load(GOLDEN) as file:
        state = {k[6:]: torch.from_numpy(file[k]).float() for k in file.files if k.startswith("state/")}
    torch.save({"g_ema": state}, tmp_path / "ffhq.pt")
    return tmp_path / "ffhq.pt"


def test_convert(run: Run, published: Path) -> None:
    code, out, _ = run("convert", published)
    target = published.with_suffix(".safetensors")
    assert code == 0 and out == f"{target}: a rosinality generator of 16 px, conv_clamp none\n"
    stored = weights.read(target, "generator")
    network = models.build("generator", **stored.arch).eval()
    weights.fill(network, stored)
    with np.load(GOLDEN) as file, torch.no_grad():
        made = network(torch.from_numpy(file["z"]).float(), noise="const").numpy()
        np.testing.assert_allclose(made, file["images"], atol=1e-5 * np.abs(file["images"]).max())


def test_nothing_is_replaced_unasked(run: Run, published: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine.safetensors"
    assert run("convert", published, "-o", target)[0] == 0
    code, _, err = run("convert", published, "-o", target)
    assert code == 2 and "is there already" in err
    assert run("convert", published, "-o", target, "--overwrite")[0] == 0
    code, _, err = run("convert", published, "-o", tmp_path / "mine.pt")
    assert code == 2 and ".safetensors" in err
    code, _, err = run("convert", tmp_path / "none.pkl")
    assert code == 1 and "no such file" in err
