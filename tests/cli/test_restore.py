"""``unmask restore`` from the outside: files, flags, messages, exit codes."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from unmask import images
from unmask.restore.finding import MIN_SCORE

Run = Callable[..., tuple[int, str, str]]
Make = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("stand_ins")


def test_one_photo(run: Run, make: Make) -> None:
    photo = make("a.png")
    code, out, err = run("restore", photo)
    target = photo.with_name("a.unmasked.png")
    assert (code, err) == (0, "")
    assert out == f"{photo} -> {target}  (1 face restored)\n"
    before, after = images.read(photo).pixels, images.read(target).pixels
    assert after.shape == before.shape and (before != after).any() and np.array_equal(before[:36], after[:36])
    note = images.read_note(target.read_bytes())
    assert "guess" in note["statement"] and note["software"].startswith("unmask ")


def test_existing_files_are_kept_unless_told(run: Run, make: Make) -> None:
    photo, target = make("a.png"), make("a.unmasked.png", 7)
    kept = target.read_bytes()
    code, _, err = run("restore", photo)
    assert code == 1 and "exists" in err and "--overwrite" in err and "--skip-existing" in err
    assert run("restore", photo, "--skip-existing")[0] == 0
    assert target.read_bytes() == kept
    assert run("restore", photo, "--overwrite")[0] == 0
    assert target.read_bytes() != kept
    assert run("restore", photo, "--overwrite", "--skip-existing")[0] == 2


def test_a_folder_with_bad_files_in_it(run: Run, make: Make, tmp_path: Path) -> None:
    make("in/good.png")
    make("in/deep/good.jpg")
    make("in/bare.png", 255)
    make("in/nobody.png", 0)
    (tmp_path / "in" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    code, out, err = run("restore", tmp_path / "in", "-o", tmp_path / "out")
    assert code == 3
    lines = err.splitlines()
    assert lines[-1] == ("unmask: 3 of 5 pictures failed: 1 without a face, 1 without a face mask, 1 for other reasons")
    assert [word in err for word in ("bare.png: no face mask", "nobody.png: no face", "broken.jpg: ")] == [True] * 3
    written = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    assert written == ["deep/good.jpg", "good.png", "manifest.jsonl"]
    assert len(out.splitlines()) == 2


def test_exit_codes_of_failure(run: Run, make: Make, tmp_path: Path) -> None:
    code, out, err = run("restore", make("bare.png", 255))
    assert (code, out) == (1, "") and err.startswith("unmask: ") and err.count("\n") == 1
    assert run("restore", tmp_path / "none.png")[0] == 1
    assert run("restore", tmp_path / "none.png", tmp_path / "nor.png")[0] == 1
    assert run("restore", tmp_path / "none.png", make("a.png"))[0] == 3
    assert run("restore", make("b.png"), "--face", "1")[0] == 2
    assert run("restore", make("b.png"), "--face", "both")[0] == 2
    assert run("restore")[0] == 2


def test_compare_and_region(run: Run, make: Make) -> None:
    photo = make("a.png")
    assert run("restore", photo, "--compare", "--save-region")[0] == 0
    sheet = images.read(photo.with_name("a.unmasked.compare.png"))
    assert sheet.width > 2 * 120 and "guess" in images.read_note(sheet_bytes(photo))["statement"]
    region = images.read(photo.with_name("a.unmasked.region.png"))
    assert region.mode == "L" and region.samples.shape == (90, 120)
    assert region.samples[70, 60] == 255 and region.samples[20, 60] == 0
    code, _, err = run("restore", photo, "-o", photo.with_name("a2.png"), "--compare")
    assert code == 0
    photo.with_name("a2.png").unlink()
    code, _, err = run("restore", photo, "-o", photo.with_name("a2.png"), "--compare")
    assert code == 1 and "compare" in err and not photo.with_name("a2.png").exists()


def sheet_bytes(photo: Path) -> bytes:
    """The bytes of the comparison beside a photo."""
    return photo.with_name("a.unmasked.compare.png").read_bytes()


def test_a_region_file(run: Run, make: Make, tmp_path: Path) -> None:
    photo = make("bare.png", 200)
    region = np.zeros((90, 120), np.uint8)
    region[50:60, 50:70] = 255
    Image.fromarray(region).save(tmp_path / "r.png")
    assert run("restore", photo, "--region", tmp_path / "r.png")[0] == 0
    changed = images.read(photo).pixels != images.read(photo.with_name("bare.unmasked.png")).pixels
    assert changed[53:57, 55:65].all() and not changed[70:].any()
    Image.fromarray(region[:-1]).save(tmp_path / "small.png")
    code, _, err = run("restore", photo, "--region", tmp_path / "small.png", "--overwrite")
    assert code == 2 and "120x89" in err
    assert run("restore", photo, make("b.png"), "--region", tmp_path / "r.png")[0] == 2
    assert run("restore", photo, "--region", tmp_path / "none.png", "--overwrite")[0] == 1


def test_json_lines(run: Run, make: Make) -> None:
    good, bare = make("a.png"), make("bare.png", 255)
    code, out, err = run("restore", good, bare, "--json")
    done, failed = (json.loads(line) for line in out.splitlines())
    assert code == 3
    assert done["input"] == str(good) and done["output"].endswith("a.unmasked.png")
    assert done["faces"][0]["status"] == "restored" and done["faces"][0]["coverage"] == 0.5
    assert failed["input"] == str(bare) and "no face mask" in failed["error"]
    code, out, err = run("restore", bare, "--json")
    assert code == 1 and "no face mask" in json.loads(out)["error"] and "no face mask" in err


def test_dry_run_touches_nothing(run: Run, make: Make, tmp_path: Path, stand_ins: list[Any]) -> None:
    photo = make("a.png")
    make("a.unmasked.png")
    code, out, _ = run("restore", photo, tmp_path / "none.png", "--dry-run", "--skip-existing")
    assert code == 0 and "(exists: skipped)" in out and "(missing)" in out
    assert stand_ins == []


def test_the_flags_reach_the_library(run: Run, make: Make, stand_ins: list[Any]) -> None:
    photo = make("a.png")
    run(
        "restore",
        photo,
        "--weights",
        "w",
        "--device",
        "cpu",
        "--detector",
        "d.onnx",
        "--face",
        "0",
        "--seed",
        "3",
        "--reference",
        "b.jpg",
        "--reference",
        "c.jpg",
    )
    asked = {"weights": "w", "device": "cpu", "detector": "d.onnx", "min_score": MIN_SCORE}
    assert stand_ins == [{**asked, "reference": ("b.jpg", "c.jpg")}]


class Stream(io.TextIOWrapper):
    """A text stream over bytes, as stdin and stdout are."""

    def __init__(self, data: bytes = b"") -> None:
        super().__init__(io.BytesIO(data), write_through=True)


def test_stdin_to_stdout(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from unmask.cli import main

    photo = make("a.png")
    monkeypatch.setattr(sys, "stdin", Stream(photo.read_bytes()))
    monkeypatch.setattr(sys, "stdout", stdout := Stream())
    assert main(["restore", "-"]) == 0
    data = stdout.buffer.getvalue()
    assert images.read(data).pixels.shape == (90, 120, 3) and images.read_note(data)
    monkeypatch.setattr(sys, "stdout", again := Stream())
    assert main(["restore", str(photo), "-o", "-"]) == 0
    assert again.buffer.getvalue() == data
    for flags in (["--json"], ["--compare"], ["--save-region"]):
        assert main(["restore", str(photo), "-o", "-", *flags]) == 2


def test_stdin_to_a_file_and_stdin_of_nonsense(
    run: Run, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Stream(make("a.png").read_bytes()))
    assert run("restore", "-", "-o", tmp_path / "x.png")[0] == 0
    assert images.read(tmp_path / "x.png").width == 120
    monkeypatch.setattr(sys, "stdin", Stream(b"nonsense"))
    code, out, err = run("restore", "-")
    assert (code, out) == (1, "") and "image" in err


def test_an_interruption(run: Run, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from unmask.restore.restorer import Restorer

    def interrupt(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    photo = make("a.png")
    monkeypatch.setattr(Restorer, "fill", interrupt)
    code, _, err = run("restore", photo)
    assert code == 130 and "interrupted" in err
    assert [path.name for path in photo.parent.iterdir()] == ["a.png"]


def test_an_odd_failure_does_not_cost_the_others(run: Run, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from unmask.restore.restorer import Restorer

    for step in ("locate", "fill", "paste"):
        real = getattr(Restorer, step)

        def sometimes(self: Restorer, given: Any, *rest: Any, real: Any = real) -> Any:
            if any(Path(getattr(one, "name", "") or one.photo.name).stem == "a" for one in np.ravel(given)):
                raise ZeroDivisionError("by zero")
            return real(self, given, *rest)

        with monkeypatch.context() as patch:
            patch.setattr(Restorer, step, sometimes)
            code, out, err = run("restore", make("a.png"), make("b.png"), "--overwrite")
        assert code == 3 and "a.png: unexpected ZeroDivisionError" in err and "b.png -> " in out, step


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_stdout(make: Make) -> None:
    from unmask.cli import main

    with open("/dev/full", "w") as full, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        assert main(["restore", str(make("a.png")), "-o", "-"]) == 1
        with contextlib.suppress(OSError):
            full.close()


def test_devices_and_folders_are_never_replaced(run: Run, make: Make, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    code, _, err = run("restore", make("a.png"), "-o", tmp_path / "pipe.png", "--overwrite")
    assert code == 1 and "no file" in err and (tmp_path / "pipe.png").is_fifo()
    (tmp_path / "a.unmasked.png").mkdir()
    code, _, err = run("restore", make("a.png"), "--overwrite")
    assert code == 1 and "no file" in err and (tmp_path / "a.unmasked.png").is_dir()


def test_a_blocked_folder(run: Run, make: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    code, _, err = run("restore", make("a.png"), "-o", f"{tmp_path}/file/x.png")
    assert code == 1 and err.count("\n") == 1 and "file" in err


def test_samples_need_a_fill_that_has_codes(run: Run, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from unmask.restore import sampling

    photo = make("a.png")
    code, _, err = run("restore", photo, "--samples", "3")
    assert code == 2 and "single guess" in err and not photo.with_name("a.unmasked.png").exists()

    def several(fill: Any, x: np.ndarray, region: np.ndarray, guess: Any, count: int, seed: int) -> np.ndarray:
        return np.linspace(np.zeros_like(x), np.ones_like(x), count)

    monkeypatch.setattr(sampling, "several", several)
    code, _, err = run("restore", photo, "--samples", "3")
    assert (code, err) == (0, "")
    pictures = [images.read(photo.with_name(f"a.unmasked.sample-0{k}.png")) for k in (1, 2, 3)]
    assert [picture.pixels[75, 60, 0] for picture in pictures] == sorted(p.pixels[75, 60, 0] for p in pictures)
    assert pictures[0].pixels.shape == (90, 120, 3) and (pictures[0].pixels != pictures[2].pixels).any()
    spread = images.read(photo.with_name("a.unmasked.spread.png")).pixels
    assert spread[75, 60, 0] > 150 and not spread[:40].any()
    for word in ("samples", "sample-02"):
        assert "guess" in images.read_note(photo.with_name(f"a.unmasked.{word}.png").read_bytes())["statement"]
    assert run("restore", photo.parent, "--dry-run")[1].count("->") == 1
    assert run("restore", photo, "-o", "-", "--samples", "2")[0] == 2
