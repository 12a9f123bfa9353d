"""The manifest: what makes work needless, who may read it, and what a crash leaves of it."""

from __future__ import annotations

import json
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unmask.batch.jobs import Job, shard
from unmask.batch.manifest import Manifest, alone, name_of, of_shard
from unmask.errors import UnmaskError

WANTED = {"sha256": "a" * 64, "models": {"unmasker": "b"}, "options": {"seed": 0}}


def record(outcome: str = "restored", **changed: Any) -> dict[str, Any]:
    """A record of what was wanted, in part changed."""
    return {"input": "in/a.png", **WANTED, "outcome": outcome, **changed}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "out" / "deep" / "a.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"result")
    return path


def test_what_is_done_is_known_to_a_later_run(tmp_path: Path, target: Path) -> None:
    first = Manifest(tmp_path / "out" / "manifest.jsonl")
    assert first.done([target], WANTED) is None and not first.path.exists()
    first.add(target, record(faces=[]))
    assert json.loads(first.path.read_text())["output"] == "deep/a.png"
    again = Manifest(first.path)
    assert again.done([target], WANTED) == {**record(faces=[]), "output": "deep/a.png"}
    for changed in ({"sha256": "c"}, {"models": {"unmasker": "c"}}, {"options": {"seed": 1}}):
        assert again.done([target], WANTED | changed) is None
    target.unlink()
    assert again.done([target], WANTED) is None


def test_what_a_second_try_may_help_is_not_done(tmp_path: Path, target: Path) -> None:
    one = Manifest(tmp_path / "m.jsonl")
    for outcome, done in {"error": False, "started": False, "no mask": True, "no face": True}.items():
        one.add(target, record(outcome))
        assert (Manifest(one.path).done([target], WANTED) is not None) == done
        assert Manifest(one.path).replaceable(target, WANTED | {"sha256": "c"}) == (outcome != "error")


def test_a_folder_may_move_with_its_manifest(tmp_path: Path, target: Path) -> None:
    of_shard(tmp_path / "out").add(target, record())
    moved = (tmp_path / "out").rename(tmp_path / "moved")
    assert of_shard(moved).done([moved / "deep" / "a.png"], WANTED)


def test_shards_write_their_own_and_read_the_others(tmp_path: Path, target: Path) -> None:
    folder = tmp_path / "out"
    of_shard(folder, 1, 2).add(target, record())
    assert [path.name for path in folder.glob("*.jsonl")] == ["manifest.1of2.jsonl"]
    assert of_shard(folder, 2, 2).done([target], WANTED) and of_shard(folder).done([target], WANTED)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 400))
def test_a_cut_anywhere_costs_one_record_at_most(cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        one = Manifest(Path(folder) / "m.jsonl")
        for name in ("a", "b"):
            one.add(Path(folder) / name, record(outcome="no mask"))
        data = one.path.read_bytes()
        first = data.index(b"\n")
        one.path.write_bytes(data[: first + 1 + min(cut, len(data) - first - 2)])
        again = Manifest(one.path)
        again.add(Path(folder) / "c", record(outcome="no mask"))
        last = Manifest(one.path)
        assert [last.done([Path(folder) / name], WANTED) is not None for name in "ac"] == [True, True]


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    one = Manifest(tmp_path / "m.jsonl")
    threads = [
        threading.Thread(target=lambda i=i: [one.add(tmp_path / f"{i}-{k}", record()) for k in range(20)])
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({json.loads(line)["output"] for line in one.path.read_text().splitlines()}) == 80


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("dear diary\nnothing today\n")
    with pytest.raises(UnmaskError, match=r"notes\.txt: is no manifest"):
        Manifest(tmp_path / "notes.txt")
    (tmp_path / "file").write_text("")
    with pytest.raises(UnmaskError, match="cannot be"):
        Manifest(tmp_path / "file" / "m.jsonl").add(tmp_path / "a.png", record())


@settings(max_examples=50, deadline=None)
@given(st.sets(st.text(min_size=1, max_size=20)), st.integers(1, 9))
def test_every_job_is_in_exactly_one_shard(keys: set[str], parts: int) -> None:
    jobs = [Job(Path(key), Path(key + "x"), key) for key in sorted(keys)]
    split = [shard(jobs, part + 1, parts) for part in range(parts)]
    assert sorted(job.key for part in split for job in part) == sorted(keys)
    elsewhere = [Job(Path("/mnt") / job.key, job.target, job.key) for job in jobs]
    assert [[job.key for job in shard(elsewhere, part + 1, parts)] for part in range(parts)] == [
        [job.key for job in part] for part in split
    ]


def test_the_last_result_counts_whatever_failed_after_it(tmp_path: Path, target: Path) -> None:
    other = {"options": {"seed": 1}}
    one = Manifest(tmp_path / "m.jsonl")
    one.add(target, record())
    for after in ("error", "refused"):
        one.add(target, record(after, **other))
        assert Manifest(one.path).done([target], WANTED) and not Manifest(one.path).done([target], WANTED | other)
    assert "refused" not in one.path.read_text()
    one.add(target, record("no mask", **other))  # of another face, say: nothing was written
    assert Manifest(one.path).done([target], WANTED)["outcome"] == "restored"
    assert Manifest(one.path).done([target], WANTED | other)["outcome"] == "no mask"
    one.add(target, record("started", **other))  # from here on nobody knows what lies there
    assert Manifest(one.path).done([target], WANTED) is None
    one.add(target, record("error", **other))
    assert Manifest(one.path).done([target], WANTED) is None and Manifest(one.path).replaceable(target, WANTED)
    one.add(target, record(**other))
    assert Manifest(one.path).done([target], WANTED) is None and Manifest(one.path).done([target], WANTED | other)
    assert not Manifest(one.path).replaceable(target, WANTED) and Manifest(one.path).replaceable(target, WANTED | other)


def test_all_outputs_are_looked_at(tmp_path: Path, target: Path) -> None:
    one = Manifest(tmp_path / "m.jsonl")
    one.add(target, record())
    side = target.with_name("a.region.png")
    assert one.done([target, side], WANTED) is None and one.replaceable(target, WANTED)
    side.touch()
    assert one.done([target, side], WANTED)


def test_one_run_at_a_time(tmp_path: Path) -> None:
    folder, own = tmp_path / "out", tmp_path / "m.jsonl"
    with alone(own, folder, shared=False):
        for other in ((own, None, False), (None, folder, False), (None, folder, True)):
            with pytest.raises(UnmaskError, match="another run is at work here"), alone(*other):
                pytest.fail("two runs")
    with alone(folder / name_of(1, 2), folder, shared=True), alone(folder / name_of(2, 2), folder, shared=True):
        with pytest.raises(UnmaskError, match="another run"), alone(folder / name_of(1, 2), folder, shared=True):
            pytest.fail("the same part twice")
        with pytest.raises(UnmaskError, match="another run"), alone(folder / name_of(), folder, shared=False):
            pytest.fail("all beside a part")
    with alone(own, folder, shared=False):
        pass
