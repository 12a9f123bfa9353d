"""``unmask explain`` from the outside, with a tiny FROM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from unmask import images, weights
from unmask.from_net.network import FromNet

Run = Callable[..., tuple[int, str, str]]
Make = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("stand_ins")
TRUNK = {"widths": [4, 4, 4, 4], "depths": [1, 1, 1], "embedding": 4, "head": "gdc", "stem_stride": 2}


def from_weights(folder: Path, kind: str = "3d") -> Path:
    arch = {"trunk": TRUNK, "mask_kind": kind, "grid": 3, "pyramid": 4}
    return weights.save(folder / f"{kind}.safetensors", "from_net", arch, FromNet(**arch).state_dict())


@pytest.mark.parametrize("flag", ["--recognizer", "--recognizer"])
def test_a_panel_is_drawn_beside_the_photo(run: Run, make: Make, tmp_path: Path, flag: str) -> None:
    photo = make("a.png", (200, 150, 130))
    code, out, err = run("explain", photo, flag, from_weights(tmp_path))
    target = photo.with_name("a.explain.png")
    assert (code, err) == (0, "") and f"{photo} -> {target}  face at" in out and "%" in out
    assert images.read(target).pixels.shape[1] == 3 * 228
    code, out, err = run("explain", photo, flag, from_weights(tmp_path))
    assert code == 1 and "--overwrite" in err


def test_bad_input_is_one_line(run: Run, make: Make, tmp_path: Path) -> None:
    photo = make("a.png", (200, 150, 130))
    code, _, err = run("explain", photo, "--recognizer", from_weights(tmp_path, "none"))
    assert code == 1 and "without a mask decoder" in err
    code, _, err = run("explain", photo, "-o", tmp_path / "a.jpg", "--recognizer", from_weights(tmp_path))
    assert code == 1 and "PNG" in err
    code, _, err = run("explain", make("b.png", (0, 0, 0)), "--recognizer", from_weights(tmp_path))
    assert code == 1 and "no face" in err
    assert not list(tmp_path.glob("*.explain.png"))
