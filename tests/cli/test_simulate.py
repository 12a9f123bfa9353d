"""``unmask simulate`` from the outside."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unmask import images
from unmask.images import previews

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


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_no_embedded_preview_carries_the_bare_face(run: Run, tmp_path: Path, suffix: str) -> None:
    grain = np.random.default_rng(0).integers(0, 5, (90, 120, 3), dtype=np.uint8)
    bare = Image.fromarray((np.full((90, 120, 3), (200, 150, 130)) + grain).astype(np.uint8))
    small = io.BytesIO()
    bare.resize((60, 45)).save(small, "JPEG", quality=95)
    block = Image.Exif()
    block[0x010F] = "maker"
    block.get_ifd(0x8769)[0x927C] = b"note " + small.getvalue()  # a second preview, in the maker's note
    directory = block.get_ifd(1)
    directory[0x0103], directory[0x0201], directory[0x0202] = 6, 0, len(small.getvalue())
    written = block.tobytes()
    offset = len(written) - len(b"Exif\0\0")
    directory[0x0201] = offset
    bare.save(tmp_path / f"a.{suffix}", exif=block.tobytes() + small.getvalue(), quality=95)
    assert (tmp_path / f"a.{suffix}").read_bytes().count(small.getvalue()) == 2
    assert run("simulate", tmp_path / f"a.{suffix}", "--kind", "surgical", "--color", "#1010ff")[0] == 0
    masked = tmp_path / f"a.masked.{suffix}"
    exif, lower = images.read(masked).exif or b"", []
    assert small.getvalue() not in masked.read_bytes() and b"maker" in exif
    for start, stop in previews.jpegs(exif):
        shown = Image.open(io.BytesIO(exif[start:stop])).convert("RGB").resize((60, 45))
        lower.append(np.asarray(shown, float)[25:40, 22:38].mean((0, 1)))
    assert all(blue > red for red, _, blue in lower), lower
