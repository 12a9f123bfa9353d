"""``unmask restore`` over folders: manifests, shards, interruptions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unmask.restore.restorer import Restorer

Run = Callable[..., tuple[int, str, str]]
Make = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("stand_ins")


@pytest.fixture
def photos(make: Make, tmp_path: Path) -> tuple[Path, Path]:
    """A folder of eight photos, two of them without a face mask or a face; and where the results go."""
    for i in range(6):
        make(f"in/{i}.png", 60 + 20 * i)
    make("in/bare.png", 255)
    make("in/deep/nobody.png", 0)
    return tmp_path / "in", tmp_path / "out"


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the photos that are begun."""
    names: list[str] = []
    real = Restorer.locate

    def locate(self: Restorer, image: Any, *rest: Any) -> Any:
        names.append(Path(image.name).name)
        return real(self, image, *rest)

    monkeypatch.setattr(Restorer, "locate", locate)
    return names


def lines(path: Path) -> list[dict[str, Any]]:
    """The records of a manifest."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_manifest_tells_all(run: Run, photos: tuple[Path, Path]) -> None:
    assert run("restore", photos[0], "-o", photos[1])[0] == 3
    last = {record["output"]: record for record in lines(photos[1] / "manifest.jsonl")}
    assert {name: record["outcome"] for name, record in last.items()} == {
        **{f"{i}.png": "restored" for i in range(6)}, "bare.png": "no mask", "deep/nobody.png": "no face",
    }  # fmt: skip
    one = last["3.png"]
    assert one["input"] == str(photos[0] / "3.png") and len(one["sha256"]) == 64 and "unmasker" in one["models"]
    assert one["options"]["seed"] == 0 and set(one["seconds"]) == {"open", "fill", "close"}
    left, top, right, bottom = one["faces"][0]["region"]
    assert 20 < left < right < 100 and 40 < top < bottom <= 90
    assert "no face mask" in last["bare.png"]["error"]


def test_a_second_run_skips_what_is_done(run: Run, photos: tuple[Path, Path], begun: list[str]) -> None:
    first = run("restore", photos[0], "-o", photos[1])
    assert len(begun) == 8
    times = {path: path.stat().st_mtime_ns for path in photos[1].rglob("*.png")}
    code, out, err = run("restore", photos[0], "-o", photos[1])
    assert code == first[0] == 3 and out == "" and len(begun) == 8
    assert "8 of 8 were done by an earlier run" in err
    assert "2 of 8 pictures failed: 1 without a face, 1 without a face mask" in err and "bare.png: no face mask" in err
    assert {path: path.stat().st_mtime_ns for path in photos[1].rglob("*.png")} == times
    (photos[1] / "2.png").unlink()
    run("restore", photos[0], "-o", photos[1])
    assert begun[8:] == ["2.png"] and (photos[1] / "2.png").is_file()
    run("restore", photos[0], "-o", photos[1], "--overwrite")
    assert len(begun) == 9 + 8


def test_other_options_do_not_pass_for_done(run: Run, photos: tuple[Path, Path]) -> None:
    run("restore", photos[0], "-o", photos[1])
    code, _, err = run("restore", photos[0], "-o", photos[1], "--seed", "1")
    assert code == 1 and "0.png: exists; replace it with --overwrite" in err


def test_an_interrupted_run_goes_on(
    run: Run, photos: tuple[Path, Path], begun: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, finished = Restorer.paste, []

    def paste(self: Restorer, located: Any) -> Any:
        if len(finished) == 3:
            raise KeyboardInterrupt
        finished.append(located.photo.name)
        return real(self, located)

    with monkeypatch.context() as patch:
        patch.setattr(Restorer, "paste", paste)
        assert run("restore", photos[0], "-o", photos[1])[0] == 130
    assert len(list(photos[1].rglob("*.png"))) <= 3
    begun.clear()
    assert run("restore", photos[0], "-o", photos[1])[0] == 3
    assert len(list(photos[1].rglob("*.png"))) == 6
    assert not {Path(name).name for name in finished} & set(begun)


def test_a_result_that_a_crash_left_without_a_record_is_made_anew(run: Run, photos: tuple[Path, Path]) -> None:
    run("restore", photos[0], "-o", photos[1])
    path = photos[1] / "manifest.jsonl"
    kept = [record for record in lines(path) if (record["output"], record["outcome"]) != ("1.png", "restored")]
    path.write_text("".join(json.dumps(record) + "\n" for record in kept))
    assert "started" in {record["outcome"] for record in kept if record["output"] == "1.png"}
    code, out, _ = run("restore", photos[0], "-o", photos[1])
    assert code == 3 and out.count("\n") == 1 and "1.png" in out


def test_shards_share_the_work(run: Run, photos: tuple[Path, Path]) -> None:
    for part in (1, 2, 3):
        code, _, err = run("restore", photos[0], "-o", photos[1], "--shard", f"{part}/3")
        assert code in (0, 1, 3), err
    assert len(list(photos[1].rglob("*.png"))) == 6
    code, out, err = run("restore", photos[0], "-o", photos[1])
    assert out == "" and "8 of 8 were done" in err
    for wrong in ("0/3", "4/3", "x", "1/0", "1"):
        assert run("restore", photos[0], "-o", photos[1], "--shard", wrong)[0] == 2


def test_a_manifest_of_ones_own(run: Run, make: Make, tmp_path: Path) -> None:
    photo = make("a.png")
    assert run("restore", photo, "--manifest", tmp_path / "m.jsonl")[0] == 0
    assert lines(tmp_path / "m.jsonl")[-1]["output"] == "a.unmasked.png"
    code, out, err = run("restore", photo, "--manifest", tmp_path / "m.jsonl")
    assert code == 0 and out == "" and "done by an earlier run" in err
    (tmp_path / "text").write_text("one\ntwo\n")
    assert run("restore", photo, "--manifest", tmp_path / "text", "--overwrite")[0] == 1


def test_a_refused_run_records_nothing(run: Run, photos: tuple[Path, Path]) -> None:
    first = run("restore", photos[0], "-o", photos[1])
    path = photos[1] / "manifest.jsonl"
    before = [record for record in lines(path) if record["outcome"] == "restored"]
    code, _, err = run("restore", photos[0], "-o", photos[1], "--seed", "1")
    assert code == 1 and "exists; replace it with --overwrite" in err
    assert "error" not in {record["outcome"] for record in lines(path)}
    assert [record for record in lines(path) if record["outcome"] == "restored"] == before
    code, out, err = run("restore", photos[0], "-o", photos[1])
    assert code == first[0] and out == "" and "8 of 8 were done by an earlier run" in err


def test_a_region_counts_by_its_content(run: Run, make: Make, tmp_path: Path) -> None:
    photo, region = make("a.png"), make("region.png", 255)
    flags = ("--region", region, "--manifest", tmp_path / "m.jsonl")
    assert run("restore", photo, *flags)[0] == 0
    assert "done by an earlier run" in run("restore", photo, *flags)[2]
    make("region.png", 254)
    code, _, err = run("restore", photo, *flags)
    assert code == 1 and "exists; replace it with --overwrite" in err
    moved = region.rename(tmp_path / "moved.png")
    assert run("restore", photo, "--region", moved, "--manifest", tmp_path / "m.jsonl", "--overwrite")[0] == 0
    moved.rename(region)
    assert "done by an earlier run" in run("restore", photo, *flags)[2]
    region.unlink()
    code, _, err = run("restore", photo, *flags)
    assert code == 1 and "region.png: cannot be read" in err


def test_a_lost_side_file_is_made_again(run: Run, photos: tuple[Path, Path], begun: list[str]) -> None:
    flags = ("restore", photos[0], "-o", photos[1], "--save-region", "--compare")
    assert run(*flags)[0] == 3
    begun.clear()
    (photos[1] / "2.region.png").unlink()
    (photos[1] / "4.compare.png").unlink()
    assert run(*flags)[0] == 3 and sorted(begun) == ["2.png", "4.png"]
    assert (photos[1] / "2.region.png").is_file() and (photos[1] / "4.compare.png").is_file()


def test_two_photos_with_one_side_file_are_told_before_any_work(
    run: Run, make: Make, tmp_path: Path, begun: list[str]
) -> None:
    make("in/a.png")
    make("in/a.jpg")
    for flag in ("--save-region", "--compare"):
        code, out, err = run("restore", tmp_path / "in", "-o", tmp_path / "out", flag)
        assert code == 2 and out == "" and "a.jpg" in err and "a.png" in err and "would go there" in err
    code, _, err = run("restore", tmp_path / "in", "-o", tmp_path / "out", "--samples", "2")
    assert code == 2 and not begun and not (tmp_path / "out").exists()
    assert run("restore", tmp_path / "in", "-o", tmp_path / "out")[0] == 0
    assert run("simulate", tmp_path / "in", "-o", tmp_path / "masked", "--save-region")[0] == 2


def test_what_is_read_is_never_written(run: Run, make: Make, tmp_path: Path) -> None:
    photo, region = make("a.png"), make("a.unmasked.region.png", 255)
    before = region.read_bytes()
    code, _, err = run("restore", photo, "--region", region, "--save-region", "--overwrite")
    assert code == 2 and "is read too and would be replaced" in err and region.read_bytes() == before
    code, _, err = run("restore", photo, "-o", tmp_path / "m.jpg", "--manifest", tmp_path / "m.jpg")
    assert code == 2 and "is read too" in err
