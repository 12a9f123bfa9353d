"""``unmask restore`` on clips, from the outside."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]
Make = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("stand_ins")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A clip of five frames."""
    pytest.importorskip("av", reason="clips need PyAV (the extra `video`)")
    spec = importlib.util.spec_from_file_location("clips", Path(__file__).parents[1] / "video" / "clips.py")
    assert spec and spec.loader
    clips = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(clips)
    clips.write(tmp_path / "a.mp4", frames=5)
    return tmp_path / "a.mp4"


def test_a_clip(run: Run, clip: Path) -> None:
    target = clip.with_name("a.unmasked.mp4")
    code, out, err = run("restore", clip)
    assert (code, err) == (0, "") and out == f"{clip} -> {target}  (5 of 5 frames restored)\n"
    code, _, err = run("restore", clip)
    assert code == 1 and "--overwrite" in err
    assert run("restore", clip, "--overwrite")[0] == 0
    assert run("restore", clip, "-o", clip.with_name("b.mkv"))[0] == 0 and clip.with_name("b.mkv").is_file()


def test_what_clips_cannot_be_combined_with(run: Run, clip: Path, make: Make) -> None:
    for flags in (["--json"], ["--compare"], ["--samples", "2"], ["--manifest", "m"], [make("b.png")], ["-o", "-"]):
        code, _, err = run("restore", clip, *flags)
        assert code == 2 and "clips go alone" in err, flags
    clip.with_name("bad.mp4").write_bytes(b"x")
    code, _, err = run("restore", clip.with_name("bad.mp4"))
    assert code == 1 and err.count("\n") == 1 and "bad.mp4: cannot be read as a clip" in err
    code, _, err = run("restore", clip, clip.with_name("bad.mp4"))
    assert code == 3 and "1 of 2" in err


def test_without_pyav(run: Run, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    code, _, err = run("restore", clip)
    assert code == 1 and "unmask[video]" in err
