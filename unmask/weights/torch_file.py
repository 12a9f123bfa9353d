"""Training files of others (``.pt``): their plain content, and the generator in them."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import pickles
from ..errors import UnmaskError

# where a training file keeps its generator, the moving average first, and what stands beside it
ENTRIES = ("g_ema", "G_ema", "params_ema", "params", "state_dict", "generator", "g", "G")
AVERAGE = "latent_avg"
PREFIXES = ("decoder.", "stylegan_decoder.", "generator.", "G.")
MARKS = ("input.input", "constant_input.weight", "synthesis.b4.const")
# BasicSR's names (GFPGAN has them), as rosinality's
_BASICSR = (
    (r"constant_input\.weight", "input.input"),
    (r"style_mlp\.", "style."),
    (r"style_conv1\.weight", "conv1.noise.weight"),
    (r"style_convs\.(\d+)\.weight", r"convs.\1.noise.weight"),
    (r"style_conv", "conv"),
    (r"noises\.noise(\d+)", r"noises.noise_\1"),
)


class _Options:
    """Stands for ``argparse.Namespace``: settings of a training, which are not looked at."""

    def __setstate__(self, state: Any) -> None:
        pass


def load(path: Path) -> Any:
    """The content of a file of ``torch.save``, without running anything in it.

    Raises:
        UnmaskError: the file is damaged, compressed, or holds more than tensors and plain values.
    """
    _check_members(path)
    names = {".".join(name): made for name, made in pickles.NUMPY.items()} | {"argparse.Namespace": _Options}
    try:
        with torch.serialization.safe_globals([(made, name) for name, made in names.items()]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can raise anything
        needed = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = f"it needs {needed[1]}, which is not run here" if needed else _plain(error)
        raise UnmaskError(
            f"{path}: not a file of plain tensors ({reason}); save its state_dict() and use that"
        ) from None


def generator(content: Any, path: Path) -> dict[str, Tensor]:
    """The state dict of the generator in a training file's content, under the names that its own code gives it.

    The mean style that pSp, e4e and rosinality keep beside it is ``latent_avg`` in it.
    """
    outer = content if isinstance(content, Mapping) else {}
    found = next((outer[key] for key in ENTRIES if isinstance(outer.get(key), Mapping)), outer)
    state = _without_prefix({key: value for key, value in found.items() if isinstance(key, str)})
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise UnmaskError(
            f"{path}: no state dict of a generator; expected tensors by name, or an entry 'g_ema' or 'state_dict' of "
            "them"
        )
    if isinstance(outer.get(AVERAGE), Tensor):
        state[AVERAGE] = outer[AVERAGE]
    return state


def _without_prefix(state: dict[str, Any]) -> dict[str, Any]:
    """The part that is a generator, less what wrappers and larger networks put before its names."""
    state = {key.removeprefix("module."): value for key, value in state.items()}
    for prefix in PREFIXES:
        if any(f"{prefix}{mark}" in state for mark in MARKS):
            state = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            break
    if "constant_input.weight" not in state:
        return state
    return {_renamed(key): value for key, value in state.items()}


def _renamed(key: str) -> str:
    for pattern, name in _BASICSR:
        key = re.sub(f"^{pattern}", name, key)
    return key.replace(".modulated_conv.", ".conv.").replace(".smooth.kernel", ".blur.kernel")


def _check_members(path: Path) -> None:
    """torch stores tensors as they are: a member that is larger than the file is made to fill the memory."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise UnmaskError(f"{path}: not a whole file of torch.save ({error}); fetch it again") from None
    if total > path.stat().st_size:
        raise UnmaskError(f"{path}: its members are compressed, which torch never does; save it with torch.save")


def _plain(error: Exception) -> str:
    """The first line of an error, without the colors that torch puts in."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    return (text.splitlines() or [type(error).__name__])[0][:120]
