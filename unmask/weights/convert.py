"""Read StyleGAN2 generators in the layouts of others.

They are StyleGAN2-ADA (and StyleGAN3's repository) and rosinality, whose names pSp and e4e keep. The weights mean the
same in both, so the numbers are copied as they are; only the names differ. StyleGAN2-ADA keeps no equalized learning
rate in its modulated convolutions where this project does, which demodulation cancels.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import UnmaskError
from ..models.generator import Generator
from ..models.layers import TAPS
from ..ops import setup_filter
from . import official_pickle, table, torch_file

MAX_LAYERS = 64
ADA, ROSINALITY = "stylegan2-ada", "rosinality"
_MARKS = {"synthesis.b4.const": ADA, "input.input": ROSINALITY}


@dataclass(frozen=True)
class Converted:
    """A generator as ``models.build("generator", **arch)`` and its ``load_state_dict(tensors)`` take it."""

    layout: str
    arch: dict[str, Any]
    tensors: dict[str, Tensor]

    def save(self, path: str | Path, source: str) -> Path:
        """Write a checkpoint of kind ``generator``; ``source`` says in it where the weights came from."""
        meta = {"source": source, "layout": self.layout}
        return table.save(path, "generator", self.arch, self.tensors, meta, half=False)

    def build(self) -> Generator:
        """The generator with these weights, on the CPU, in evaluation mode."""
        net = Generator(**self.arch)
        net.load_state_dict(self.tensors, strict=True)
        return net.eval()


def read(path: str | Path) -> Converted:
    """Read a generator from a ``.pkl`` of StyleGAN2-ADA, or a ``.pt`` that holds a state dict in a known layout.

    Such a ``.pt`` may be the state dict itself or a training file of StyleGAN2-ADA, rosinality, pSp, e4e or BasicSR and
    GFPGAN, whose generator is taken out of it. No code of the file is run: pickles are read by
    :mod:`unmask.weights.official_pickle`, the rest by :mod:`unmask.models.torch_file`.

    Raises:
        UnmaskError: The file is missing, holds something else, or needs code to be run; the message names the cure.
    """
    path = Path(path)
    if not path.is_file():
        raise UnmaskError(f"{path}: there is no such file")
    if path.suffix == ".pkl":
        state, clamp = official_pickle.state_dict(path)
        return to_generator(state, str(path), clamp)
    return to_generator(torch_file.generator(torch_file.load(path), path), str(path))


def to_generator(
    state: Mapping[str, Tensor], name: str = "the state dict", conv_clamp: float | None = None
) -> Converted:
    """Translate a state dict; ``name`` is what error messages call it, ``conv_clamp`` what its layers are clamped to.

    Raises:
        UnmaskError: The layout is unknown, a tensor is missing, left over or of the wrong shape, the generator is
            conditional, or its filter is not the usual one.
    """
    layout = next((layout for mark, layout in _MARKS.items() if mark in state), None)
    if layout is None:
        raise UnmaskError(
            f"{name}: neither a StyleGAN2-ADA nor a rosinality generator; one of {list(_MARKS)} must be there"
        )
    source = _Source(dict(state), name)
    if any(key.startswith("mapping.embed") for key in state):
        raise UnmaskError(f"{name}: a conditional generator (mapping.embed); only unconditional ones can be read")
    try:
        tensors, channels = _ada(source) if layout == ADA else _rosinality(source)
        source.finish()
        arch = _arch(tensors, channels)
    except (ValueError, IndexError, RuntimeError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise UnmaskError(f"{name}: its tensors have not the shapes of a generator ({reason[:80]})") from None
    if conv_clamp is not None:
        arch["conv_clamp"] = conv_clamp
    _check_shapes(arch, tensors, name)
    return Converted(layout, arch, tensors)


def _arch(tensors: Mapping[str, Tensor], channels: list[int]) -> dict[str, Any]:
    depth = sum(key.startswith("mapping.") and key.endswith(".weight") for key in tensors)
    z_dim = tensors["mapping.layers.0.weight"].shape[1]
    w_dim = tensors[f"mapping.layers.{depth - 1}.weight"].shape[0]
    arch = {
        "z_dim": z_dim, "w_dim": w_dim, "img_resolution": 4 * 2 ** (len(channels) - 1), "channels": channels,
        "mapping_layers": depth,
    }  # fmt: skip
    return {**arch, "w_avg_rows": len(tensors["w_avg"])} if tensors["w_avg"].ndim == 2 else arch


def _check_shapes(arch: Mapping[str, Any], tensors: Mapping[str, Tensor], name: str) -> None:
    try:
        with torch.device("meta"):
            wanted = {key: tuple(value.shape) for key, value in Generator(**arch).state_dict().items()}
    except (ValueError, RuntimeError) as error:
        raise UnmaskError(f"{name}: no generator of such a shape can be built ({error})") from None
    for key, shape in wanted.items():
        if key not in tensors or tuple(tensors[key].shape) != shape:
            found = list(tensors[key].shape) if key in tensors else "missing"
            raise UnmaskError(f"{name}: {key} is {found} where the other tensors ask for {list(shape)}")


class _Source:
    """The tensors of a file, each of which is to be taken once."""

    def __init__(self, state: dict[str, Tensor], name: str) -> None:
        self.state, self.name = state, name

    def take(self, key: str) -> Tensor:
        if key not in self.state:
            raise UnmaskError(f"{self.name}: {key} is missing; is the file whole?")
        found = self.state.pop(key).detach()
        if found.layout != torch.strided or found.numel() * found.element_size() > found.untyped_storage().nbytes():
            raise UnmaskError(f"{self.name}: {key} is no plain tensor; save the state dict as torch does by itself")
        return found.float().cpu()

    def has(self, key: str) -> bool:
        return key in self.state

    def filter(self, key: str, gain: float = 1.0) -> None:
        """Drop the filter ``key``, which is a constant here, after a look at it."""
        want = setup_filter(TAPS, gain=gain, separable=False)
        if key in self.state:
            got = self.take(key)
            if got.shape != want.shape or not torch.allclose(got, want, atol=1e-6):
                raise UnmaskError(f"{self.name}: {key} is not the filter [1, 3, 3, 1]; such a generator cannot be read")

    def finish(self) -> None:
        if self.state:
            some = ", ".join(sorted(self.state)[:3])
            raise UnmaskError(f"{self.name}: {len(self.state)} tensors have no place in a generator, such as {some}")


def _modulated(source: _Source, out: str, weight: str, affine: str) -> dict[str, Tensor]:
    kernel = source.take(weight)
    return {
        f"{out}.weight": kernel[0] if kernel.ndim == 5 else kernel,
        f"{out}.affine.weight": source.take(f"{affine}.weight"),
        f"{out}.affine.bias": source.take(f"{affine}.bias"),
    }


def _ada(source: _Source) -> tuple[dict[str, Tensor], list[int]]:
    tensors = {"w_avg": source.take("mapping.w_avg")}
    for i in _numbers(source, r"mapping\.fc(\d+)\.weight"):
        for part in ("weight", "bias"):
            tensors[f"mapping.layers.{i}.{part}"] = source.take(f"mapping.fc{i}.{part}")
    tensors["synthesis.const"] = source.take("synthesis.b4.const")
    channels = []
    for i, r in enumerate(_resolutions(_numbers(source, r"synthesis\.b(\d+)\.torgb\.weight"), source.name)):
        block = f"synthesis.b{r}"
        source.filter(f"{block}.resample_filter")
        for name, out in (("conv0", f"conv0.{i - 1}"), ("conv1", f"conv1.{i}")):
            if name == "conv0" and i == 0:
                continue
            layer, to = f"{block}.{name}", f"synthesis.{out}"
            tensors |= _modulated(source, f"{to}.conv", f"{layer}.weight", f"{layer}.affine")
            for part in ("bias", "noise_const", "noise_strength"):
                tensors[f"{to}.{part}"] = source.take(f"{layer}.{part}")
            source.filter(f"{layer}.resample_filter")
        rgb = f"synthesis.rgb.{i}"
        tensors |= _modulated(source, f"{rgb}.conv", f"{block}.torgb.weight", f"{block}.torgb.affine")
        tensors[f"{rgb}.bias"] = source.take(f"{block}.torgb.bias")
        source.filter(f"{block}.torgb.resample_filter")
        channels.append(tensors[f"{rgb}.conv.weight"].shape[1])
    return tensors, channels


def _rosinality(source: _Source) -> tuple[dict[str, Tensor], list[int]]:
    tensors: dict[str, Tensor] = {}
    for i, number in enumerate(_numbers(source, r"style\.(\d+)\.weight")):
        for part in ("weight", "bias"):
            tensors[f"mapping.layers.{i}.{part}"] = source.take(f"style.{number}.{part}")
    w_dim = tensors[f"mapping.layers.{i}.weight"].shape[0]
    # rosinality estimates the mean style when it is asked for; some files carry one beside the weights.
    average = source.take("latent_avg") if source.has("latent_avg") else torch.zeros(w_dim)
    tensors["w_avg"] = average[0] if average.ndim == 2 and len(average) == 1 else average
    tensors["synthesis.const"] = source.take("input.input")[0]
    channels = []
    later = _numbers(source, r"to_rgbs\.(\d+)\.conv\.weight")
    for i in range(len(later) + 1):
        layers = [("conv1", "conv1.0", 0)] if i == 0 else [
            (f"convs.{2 * i - 2}", f"conv0.{i - 1}", 2 * i - 1), (f"convs.{2 * i - 1}", f"conv1.{i}", 2 * i)
        ]  # fmt: skip
        for layer, out, noise in layers:
            to = f"synthesis.{out}"
            tensors |= _modulated(source, f"{to}.conv", f"{layer}.conv.weight", f"{layer}.conv.modulation")
            tensors[f"{to}.bias"] = source.take(f"{layer}.activate.bias")
            tensors[f"{to}.noise_strength"] = source.take(f"{layer}.noise.weight").reshape(())
            side = 4 * 2**i
            stored = source.has(f"noises.noise_{noise}")
            tensors[f"{to}.noise_const"] = (
                source.take(f"noises.noise_{noise}")[0, 0] if stored else torch.zeros(side, side)
            )
            source.filter(f"{layer}.conv.blur.kernel", gain=4.0)
        rgb, old = f"synthesis.rgb.{i}", "to_rgb1" if i == 0 else f"to_rgbs.{i - 1}"
        tensors |= _modulated(source, f"{rgb}.conv", f"{old}.conv.weight", f"{old}.conv.modulation")
        tensors[f"{rgb}.bias"] = source.take(f"{old}.bias").reshape(3)
        source.filter(f"{old}.upsample.kernel", gain=4.0)
        channels.append(tensors[f"{rgb}.conv.weight"].shape[1])
    return tensors, channels


def _numbers(source: _Source, pattern: str) -> list[int]:
    found = sorted(int(m[1]) for key in source.state if len(key) < 100 and (m := re.fullmatch(pattern, key)))
    if len(found) > MAX_LAYERS:
        raise UnmaskError(f"{source.name}: {len(found)} tensors are named like {pattern}; no generator has so many")
    if not found:
        raise UnmaskError(f"{source.name}: no tensor is named like {pattern}; is the file whole?")
    return found


def _resolutions(found: list[int], name: str) -> list[int]:
    want = [4 * 2**i for i in range(int(math.log2(max(found))) - 1)]
    if found != want:
        raise UnmaskError(f"{name}: blocks at {found} px; expected {want}")
    return want
