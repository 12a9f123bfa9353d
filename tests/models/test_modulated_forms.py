"""All forms of the modulated convolution that benchmarks/generator.py compares are one function."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from unmask.models.generator import Generator
from unmask.models.layers import ModulatedConv

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "generator.py"
spec = importlib.util.spec_from_file_location("benchmark_generator", SCRIPT)
assert spec is not None and spec.loader is not None
forms = importlib.util.module_from_spec(spec)
spec.loader.exec_module(forms)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("demodulate", [False, True])
def test_all_forms_agree_with_the_layer(up: bool, batch: int, demodulate: bool) -> None:
    conv = ModulatedConv(5, 4, 6, up=up, demodulate=demodulate)
    x, w = torch.randn(batch, 5, 7, 6), torch.randn(batch, 6)
    want = conv(x, w)
    names = forms.forms(up, batch)
    assert len(names) == (3 if up else 1) * (3 if batch == 1 else 2)
    for modulation, run in names.values():
        torch.testing.assert_close(modulation(conv, x, w, run), want, rtol=1e-4, atol=1e-5)


def test_the_textbook_network_is_the_same_network() -> None:
    net = Generator(8, 8, 16, (6, 5, 4), mapping_layers=1)
    ws = torch.randn(2, net.num_ws, 8)
    want = net.synthesis(ws)
    with forms.form_of_all_layers(forms.grouped, forms.blur):
        got = net.synthesis(ws)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(net.synthesis(ws), want)
