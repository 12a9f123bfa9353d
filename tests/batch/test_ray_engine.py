"""The step on a local Ray of two processes gives what the threads give."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from unmask.batch import ray_engine, step
from unmask.batch.jobs import Job, Wanted
from unmask.batch.manifest import Manifest
from unmask.errors import NoFaceError, UnmaskError
from unmask.restore.restorer import Restorer

SIZE = 32


def load() -> Restorer:
    """A restorer of stand-ins; they are defined here so that they travel to the processes as code."""
    from types import SimpleNamespace

    from unmask.faces import align

    class Detector:
        def detect(self, image: np.ndarray, max_faces: int | None = None) -> list[Any]:
            points = align.template("ffhq", SIZE) * 2
            box = np.array([0.0, 0, 64, 64])
            return [SimpleNamespace(bbox=box, kps=points, det_score=0.9)] if image.any() else []

    class Segmenter:
        def predict(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            region = np.zeros((len(crops), 1, SIZE, SIZE), np.float32)
            region[:, :, SIZE // 2 :] = 1
            return region, np.ones(len(crops), np.float32)

    return Restorer(lambda x, region: -x, Segmenter(), Detector(), size=SIZE)


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    """Nine photos, one of them black and one broken."""
    made = []
    for i in range(9):
        level = 0 if i == 4 else 60 + 10 * i
        path = tmp_path / "in" / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 64), (level, level // 2, level)).save(path)
        made.append(Job(path, tmp_path / "out" / path.name, path.name))
    made[7].source.write_bytes(b"no picture")
    return made


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A local Ray with two processors."""
    ray = pytest.importorskip("ray", reason="needs Ray (the extra `ray`)")
    pytest.importorskip("ray.data", reason="needs Ray Data (the extra `ray`)")
    root = str(Path(__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100 * 1024**2)
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray warns of what Ray does
@pytest.mark.usefixtures("cluster")
def test_two_processes_do_what_threads_do(jobs: list[Job], tmp_path: Path) -> None:
    kept = Manifest(tmp_path / "m.jsonl")
    done = {one.job.key: one for one in ray_engine.run(jobs, load, Wanted(), kept, workers=2)}
    assert len(done) == 9 and isinstance(done["4.png"].error, NoFaceError)
    assert isinstance(done["7.png"].error, UnmaskError) and "7.png" in str(done["7.png"].error)
    here = [Job(job.source, tmp_path / "here" / job.key, job.key) for job in jobs]
    for one in step.run(here, step.Step(load(), Wanted()), 2):
        other = done[one.job.key]
        assert one.record["outcome"] == other.record["outcome"] and one.record.get("faces") == other.record.get("faces")
        if one.error is None:
            assert one.job.target.read_bytes() == other.job.target.read_bytes() and one.summary == other.summary
    again = list(ray_engine.run(jobs, load, Wanted(), Manifest(tmp_path / "m.jsonl"), workers=2))
    assert sum(one.before for one in again) == 8


def test_a_worker_takes_batches(jobs: list[Job]) -> None:
    """Without Ray: what Ray Data calls."""
    worker = ray_engine.Worker(load, Wanted(), None)
    rows = np.array([json.dumps(ray_engine._described(job)) for job in jobs], dtype=object)
    out = worker({"index": np.arange(9), "job": rows})
    facts = [json.loads(text) for text in out["done"]]
    assert [one["record"]["outcome"] for one in facts] == ["restored"] * 4 + ["no face"] + ["restored"] * 2 + [
        "error", "restored",
    ]  # fmt: skip
    assert all(job.target.is_file() == (one["error"] is None) for job, one in zip(jobs, facts, strict=True))


def test_without_ray(jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UnmaskError, match=r"unmask\[ray\]"):
        next(ray_engine.run(jobs, load, Wanted()))
