"""A photo gives the same pixels whichever way it goes, and a restorer goes where it can work or says so."""

from __future__ import annotations

import io
import multiprocessing
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import SIZE, Detector, Segmenter
from unmask.batch import step
from unmask.batch.jobs import Job, Wanted
from unmask.errors import UnmaskError
from unmask.restore import Restorer
from unmask.restore.located import wears_mask
from unmask.video.temporal import Steady
from unmask.web import work


def restorer() -> Restorer:
    return Restorer(lambda x, region: x * 0 + 1, Segmenter(), Detector(), size=SIZE)


def photo() -> np.ndarray:
    """A picture in which the stand-in detector sees one face and the stand-in segmenter a face mask."""
    rng = np.random.default_rng(0)
    pixels = np.full((120, 120, 3), 128, np.uint8) + rng.integers(0, 9, (120, 120, 3), dtype=np.uint8)
    pixels[60:90] = 0
    return pixels


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def test_every_way_gives_the_same_pixels(tmp_path: Path) -> None:
    pixels = photo()
    whole = restorer().restore(pixels).pixels
    assert (whole != pixels).any()

    one = restorer()
    located = one.locate(pixels)
    one.fill([located])
    assert np.array_equal(one.paste(located).pixels, whole)

    assert np.array_equal(restorer().restore_many([pixels, pixels])[1].pixels, whole)

    (tmp_path / "a.png").write_bytes(png(pixels))
    job = Job(tmp_path / "a.png", tmp_path / "b.png")
    (done,) = step.run([job], step.Step(restorer(), Wanted()), workers=1)
    assert done.error is None and np.array_equal(np.asarray(Image.open(tmp_path / "b.png").convert("RGB")), whole)

    (sample,) = work.restore(restorer(), png(pixels), 10**6).samples
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(sample.file.data)).convert("RGB")), whole)

    assert np.array_equal(Steady(restorer(), keep=0.0).frame(pixels)[0], whole)


def test_all_ways_agree_on_who_wears_a_mask() -> None:
    bare = np.full((120, 120, 3), 255, np.uint8)
    located = restorer().locate(bare)
    assert [face.status for face in located.faces] == ["no mask"] and located.masked == []
    assert [face["status"] for face in work.find(restorer(), png(bare), 10**6).faces] == ["no mask"]
    frame, faces = Steady(restorer()).frame(bare)
    assert np.array_equal(frame, bare) and [face.status for face in faces] == ["no mask"]


def test_a_given_region_is_believed_and_a_small_one_is_none() -> None:
    region = np.zeros((3, 1, 10, 10), np.float32)
    region[0, 0, 0, 0] = region[1] = 1
    scores = np.float32([0.9, 0.4, 0.9])
    assert wears_mask(region, scores).tolist() == [True, False, False]
    assert wears_mask(region).tolist() == [True, True, False]


def test_filling_comes_before_pasting() -> None:
    one = restorer()
    with pytest.raises(ValueError, match="fill"):
        one.paste(one.locate(photo()))


def in_child(one: Restorer, told: Any) -> None:
    try:
        one.restore(photo())
        told.put("done")
    except UnmaskError as error:
        told.put(str(error))


def test_a_forked_worker_is_told_at_once() -> None:
    context = multiprocessing.get_context("fork")
    told = context.Queue()
    child = context.Process(target=in_child, args=(restorer(), told))
    child.start()
    assert "forked" in told.get(timeout=60)
    child.join(60)


def test_a_restorer_of_names_pickles_and_one_of_objects_says_why_not() -> None:
    with pytest.raises(TypeError, match="from_pretrained"):
        pickle.dumps(restorer())
    loaded = Restorer.from_pretrained(device="cpu")
    again = pickle.loads(pickle.dumps(loaded))
    assert again.parts == loaded.parts and again is not loaded
