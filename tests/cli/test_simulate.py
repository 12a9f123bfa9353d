"""``unmask simulate`` from the outside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from unmask import images

Run = Callable[..., tuple[int, str, str]]
Make = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("stand_ins")


def test_a_face_mask_is_put_on(run: Run, make: Make) -> None:
    photo = make("a.png", (200, 150, 130))
    code, out, err = run("simulate", photo, "--kind", "surgical", "--color", "#1060c0", "--save-region")
    target = photo.with_name("a.masked.png")
    assert (code, err) == (0, "") and out == f"{photo} -> {target}  (surgical)\n"
    before, after = images.read(photo).pixels, images.read(target).pixels
    region = images.read(photo.with_name("a.masked.region.png")).samples
    assert region.shape == (90, 120) and 0.03 < (region > 127).mean() < 0.6
    inside = after[region > 200].astype(float).mean(axis=0)
    assert inside[2] > inside[0] + 20
    assert (before != after)[region > 200].any(axis=1).mean() > 0.95
    assert "drawn by software" in images.read_note(target.read_bytes())["statement"]


def test_the_seed_and_the_name_decide(run: Run, make: Make, tmp_path: Path) -> None:
    photo, other = make("in/a.png", 150), make("in/b.png", 150)
    for name, seed in (("one", 5), ("two", 5), ("three", 6)):
        assert run("simulate", photo.parent, "-o", tmp_path / name, "--seed", seed)[0] == 0

    def pixels(folder: str, name: str) -> np.ndarray:
        return images.read(tmp_path / folder / name).pixels

    assert np.array_equal(pixels("one", "a.png"), pixels("two", "a.png"))
    assert not np.array_equal(pixels("one", "a.png"), pixels("three", "a.png"))
    assert not np.array_equal(pixels("one", other.name), pixels("one", "a.png"))


def test_bad_requests(run: Run, make: Make) -> None:
    photo = make("a.png")
    for flags in (["--kind", "scarf"], ["--color", "blue"], ["--color", "1,2"], ["--color", "0,0,300"]):
        assert run("simulate", photo, *flags)[0] == 2
    assert run("simulate", photo, "--overwrite", "--skip-existing")[0] == 2
    code, _, err = run("simulate", make("nobody.png", 0))
    assert code == 1 and "nobody.png: no face" in err
    make("a.masked.png")
    code, _, err = run("simulate", photo)
    assert code == 1 and "exists" in err
