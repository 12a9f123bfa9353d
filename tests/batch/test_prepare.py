"""Sources of faces from photos: what is kept, what is dropped and why, and that training reads them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from unmask.batch.jobs import Job
from unmask.batch.prepare import Filters, fingerprint, prepare, sharpness
from unmask.data import face_sets
from unmask.errors import UnmaskError
from unmask.faces import align

SIZE = 64


class Detector:
    """A face for each 60 levels of red in the first pixel, each the square of half the photo's height."""

    def detect(self, image: np.ndarray, max_faces: int | None = None) -> list[Any]:
        """The faces, largest first; the first lies in the middle."""
        side = image.shape[0] / 2
        count = round(image[0, 0, 0] / 60)
        left = [(image.shape[1] - side) / 2, -side * 0.6][:count]
        return [
            SimpleNamespace(
                bbox=np.array([x, side / 2, x + side, side * 1.5]),
                kps=align.template("ffhq", SIZE) * side / SIZE + np.array([x, side / 2]),
                det_score=0.9,
            )
            for x in left
        ]


class Segmenter:
    """A crop that is mostly green wears a face mask."""

    def predict(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Region and score."""
        mean = crops.mean((2, 3))
        worn = (mean[:, 1] - mean[:, 0] > 0.5).astype(np.float32)
        return np.broadcast_to(worn[:, None, None, None], (len(crops), 1, SIZE, SIZE)), worn


def picture(seed: int, faces: int = 1, side: int = 160) -> Image.Image:
    """Blocks of random gray with as many faces as the first pixel says."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(20, 235, (12, 12), dtype=np.uint8)).resize((side, side), Image.Resampling.BOX)
    pixels = np.asarray(small.convert("RGB")).copy()
    pixels[:4, :4] = (60 * faces, 0, 0)
    return Image.fromarray(pixels)


def altered(image: Image.Image, make: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """The image after ``make``, its first pixels as they were."""
    out = np.asarray(make(image)).copy()
    out[:4, :4] = np.asarray(image)[:4, :4]
    return Image.fromarray(out)


@pytest.fixture
def photos(tmp_path: Path) -> list[Job]:
    """Two good photos of Ann, one of Bob, and one for each reason to drop a photo."""
    folder = tmp_path / "photos"
    pictures = {
        "ann/0.png": picture(0), "ann/1.png": picture(1), "bob/0.png": picture(2),
        "bob/again.png": altered(picture(2), lambda i: i.point(lambda v: min(255, v + 6))),
        "bob/blurred.png": altered(picture(3), lambda i: i.filter(ImageFilter.GaussianBlur(8))),
        "bob/crowd.png": picture(4, faces=2), "bob/nobody.png": picture(5, faces=0),
        "bob/small.png": picture(6, side=60),
        "bob/masked.png": altered(picture(7), lambda i: Image.merge("RGB", [i.split()[0].point(lambda v: v // 4),
                                  i.split()[1].point(lambda v: 200 + v // 5), i.split()[2]])),
    }  # fmt: skip
    for name, image in pictures.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(folder / name)
    (folder / "bob" / "broken.png").write_bytes(b"no picture")
    return [Job(path, None, path.relative_to(folder).as_posix()) for path in sorted(folder.rglob("*.*"))]


FILTERS = Filters(size=SIZE, people=True, min_sharpness=0.2)


@pytest.mark.parametrize("name", ["faces", "faces.zip"])
def test_training_reads_what_is_kept(
    photos: list[Job], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "out" / name
    report = prepare(photos, out, Detector(), Segmenter(), FILTERS)
    assert report.kept == 3
    faces = face_sets.load(tmp_path / "out", ["faces"], SIZE, split="all")
    assert faces.images.shape == (3, SIZE, SIZE, 3)
    assert np.abs(faces.points - align.template("ffhq", SIZE)).max() < 0.02
    assert faces.identity.tolist() == [0, 0, 1]
    original = np.asarray(Image.open(photos[0].source))
    want, _ = align.crop_face(original, Detector().detect(original)[0].kps, "ffhq", SIZE)
    assert np.array_equal(faces.images[0], want)


def test_the_report_names_every_photo_that_was_dropped(photos: list[Job], tmp_path: Path) -> None:
    report = prepare(photos, tmp_path / "faces", Detector(), Segmenter(), FILTERS)
    with (tmp_path / "faces" / "report.csv").open() as stream:
        rows = {row["file"]: row["reason"] for row in csv.DictReader(stream)}
    assert rows == {
        "bob/again.png": "duplicate", "bob/blurred.png": "blurred", "bob/broken.png": "unreadable",
        "bob/crowd.png": "several faces", "bob/masked.png": "face mask", "bob/nobody.png": "no face",
        "bob/small.png": "too small",
    }  # fmt: skip
    assert report.counts() == dict.fromkeys(
        ["unreadable", "no face", "several faces", "too small", "blurred", "face mask", "duplicate"], 1
    )


def test_filters_may_be_loosened(photos: list[Job], tmp_path: Path) -> None:
    loose = Filters(size=SIZE, faces="all", min_scale=0, min_sharpness=0, masked=True)
    report = prepare(photos, tmp_path / "faces", Detector(), None, loose)
    assert report.counts() == {"unreadable": 1, "no face": 1, "cut off": 1, "duplicate": 1}
    assert report.kept == 7
    largest = prepare(photos, tmp_path / "more", Detector(), None, Filters(size=SIZE, faces="largest"))
    assert "several faces" not in largest.counts() and "cut off" not in largest.counts()
    with (tmp_path / "more" / "index.csv").open() as stream:
        assert {row["identity"] for row in csv.DictReader(stream)} == {""}


def test_nothing_is_written_over_and_nothing_is_left_half(photos: list[Job], tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("another source's")
    with pytest.raises(UnmaskError, match=r"index\.csv: exists"):
        prepare(photos, tmp_path / "faces.zip", Detector(), None, FILTERS)
    with pytest.raises(UnmaskError, match=r"all photos were dropped \(1 unreadable, 1 no face"):
        prepare(photos, tmp_path / "faces", Detector(), None, Filters(size=SIZE, min_scale=9))
    (tmp_path / "faces").mkdir()
    with pytest.raises(UnmaskError, match="faces: exists"):
        prepare(photos, tmp_path / "faces", Detector(), None, FILTERS)
    assert not list((tmp_path / "faces").iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faces", "index.csv", "photos"]


def test_sharpness_falls_with_blur_and_not_with_contrast() -> None:
    sharp = picture(0).resize((128, 128), Image.Resampling.BICUBIC)
    values = [sharpness(np.asarray(sharp.filter(ImageFilter.GaussianBlur(r)))) for r in (0, 1, 2, 4)]
    assert values == sorted(values, reverse=True) and values[0] > 3 * values[-1]
    pale = np.asarray(sharp.point(lambda v: 100 + v // 4))
    assert sharpness(pale) == pytest.approx(values[0], rel=0.1)


def test_fingerprints_tell_pictures_apart() -> None:
    prints = [fingerprint(np.asarray(picture(i))) for i in range(20)]
    apart = [(a ^ b).bit_count() for i, a in enumerate(prints) for b in prints[:i]]
    assert min(apart) > 10
    noisy = np.asarray(picture(0)).astype(int) + np.random.default_rng(0).integers(-4, 5, (160, 160, 3))
    assert (fingerprint(noisy.clip(0, 255).astype(np.uint8)) ^ prints[0]).bit_count() <= 4
