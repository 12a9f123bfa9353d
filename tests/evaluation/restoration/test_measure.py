"""Restorers side by side, on drawn faces, from the library and from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.evaluation import standins
from unmask import images, recognition
from unmask.cli import main
from unmask.errors import UsageError
from unmask.evaluation import baselines
from unmask.evaluation.restoration import measure, summary
from unmask.faces import align, blend
from unmask.losses import perceptual


class Oracle:
    """Knows the true face."""

    name, size, template, fingerprint = "oracle", 128, "ffhq", "oracle"

    def __init__(self, faces: measure.Faces):
        self.left = list(faces.images)

    def __call__(self, x: np.ndarray, region: np.ndarray) -> np.ndarray:
        return images.to_float([self.left.pop(0) for _ in range(len(x))])


def test_restorers_side_by_side(drawn_data: Path, cache: Path) -> None:
    faces = measure.held_out(drawn_data, ["faces128/drawn"])
    assert len(faces) == 8 and faces.names[:2] == ["000_0.png", "005_0.png"]
    chosen = [baselines.MaskLeftOn(), baselines.Inpainting(), Oracle(faces)]
    results = measure.evaluate(faces, chosen, standins.Projection(), seed=3)
    everyone = summary.summary(results)["all"]
    assert everyone["faces"] == 8 and 0.02 < everyone["coverage"] < 0.5
    mask, opencv, oracle = (everyone["restorers"][name] for name in ("mask", "opencv", "oracle"))
    assert mask["psnr_region"] < opencv["psnr_region"] < oracle["psnr_region"]
    assert oracle["psnr_region"] > 35 and oracle["identity"] > 0.99 > mask["identity"]
    assert oracle["sharpness"] == pytest.approx(1, abs=0.1)
    assert oracle["seam"] < 1.4 < mask["seam"]  # not 1: the shadow of the mask stays in the picture
    assert "frechet" not in mask and "precision" not in mask  # eight faces are too few
    assert oracle["cheek"] < 1 < mask["cheek"] and oracle["cheek_skin"] == pytest.approx(1, abs=0.1)
    assert abs(oracle["cheek_red"]) < 1
    header, rows = summary.rows(everyone)
    assert len(rows) == 3 and all(len(row) == len(header) for row in rows)
    again = measure.evaluate(faces, chosen[:2], standins.Projection(), seed=3)
    assert summary.summary(again)["all"]["restorers"]["opencv"] == opencv
    assert len(results.sheet) == 8 and len(results.sheet[0]) == 6


class Smaller(Oracle):
    """Knows it in half the size, and puts it some pixels aside."""

    size = 64

    def __init__(self, faces: measure.Faces, aside: tuple[int, int]):
        super().__init__(faces)
        self.name = self.fingerprint = f"{aside} aside"
        self.matrix = np.array([[1, 0, aside[0]], [0, 1, aside[1]]])

    def __call__(self, x: np.ndarray, region: np.ndarray) -> np.ndarray:
        assert x.shape[2:] == region.shape[2:] == (64, 64)
        return align.warp_batch(align.resized(super().__call__(x, region), 64), self.matrix, 64)


def test_a_restorer_of_another_size_is_measured_on_photos_of_one(drawn_data: Path, cache: Path) -> None:
    faces = measure.held_out(drawn_data, ["faces128/drawn"])
    chosen = [Oracle(faces), *(Smaller(faces, aside) for aside in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)))]
    everyone = summary.summary(measure.evaluate(faces, chosen, standins.Projection(), seed=3))["all"]
    oracle, smaller, *aside = (everyone["restorers"][one.name] for one in chosen)
    assert smaller["psnr_region"] < oracle["psnr_region"] and smaller["sharpness"] < 0.9 * oracle["sharpness"]
    assert all(one["psnr_region"] < smaller["psnr_region"] - 0.5 for one in aside)  # in its place
    every = measure.held_out(drawn_data, ["faces128/drawn"], size=96, split="all")
    assert len(every) > 2 * len(faces) and every.images.shape[1:3] == (96, 96)


def test_the_mask_of_a_face_does_not_depend_on_the_others(drawn_data: Path, cache: Path) -> None:
    whole = measure.held_out(drawn_data, ["faces128/drawn"])
    two = measure.held_out(drawn_data, ["faces128/drawn"], limit=2)
    assert two.names == [whole.names[0], whole.names[-1]]
    masks = [measure.evaluate(f, [baselines.MaskLeftOn()], standins.Projection()) for f in (whole, two)]
    np.testing.assert_array_equal(masks[0].sheet[-1][0], masks[1].sheet[-1][0])


def test_misaligned_faces_are_the_same_faces_moved(drawn_data: Path, cache: Path) -> None:
    faces = measure.held_out(drawn_data, ["faces128/drawn"])
    moved = measure.misaligned(faces, seed=2)
    np.testing.assert_array_equal(moved.images, measure.misaligned(faces, seed=2).images)
    angles, scales, shifts = [], [], []
    for before, after, at, to in zip(faces.images, moved.images, faces.points, moved.points, strict=True):
        back = align.similarity(to, at)
        undone = align.warp(after, back, 128, border="replicate")[32:96, 32:96].astype(float)
        assert np.abs(undone - before[32:96, 32:96]).mean() < 4
        assert np.abs(after.astype(float) - before)[32:96, 32:96].mean() > np.abs(undone - before[32:96, 32:96]).mean()
        angles.append(np.degrees(np.arctan2(back[1, 0], back[0, 0])))
        scales.append(align.scale_of(back))
        shifts.append(align.transform_points([[63.5, 63.5]], back)[0] - 63.5)
    assert 1 < np.std(angles) < 7 and 0.02 < np.std(scales) < 0.1 and 1 < np.std(shifts) < 5
    alone = measure.misaligned(measure.held_out(drawn_data, ["faces128/drawn"], limit=2), seed=2)
    np.testing.assert_array_equal(alone.images[-1], moved.images[-1])


def test_a_found_region_is_scored(drawn_data: Path, cache: Path) -> None:
    faces = measure.held_out(drawn_data, ["faces128/drawn"], limit=3)

    def half(crops: torch.Tensor) -> torch.Tensor:
        region = torch.zeros(len(crops), 1, 128, 128)
        region[:, :, 70:] = 1
        return region

    results = measure.evaluate(faces, [baselines.Inpainting()], standins.Projection(), segment=half)
    assert results.region_iou is not None and 0.1 < results.region_iou.mean() < 0.95


def test_lpips_is_measured_where_it_is_asked_for(drawn_data: Path, cache: Path) -> None:
    faces = measure.held_out(drawn_data, ["faces128/drawn"], limit=3)
    chosen = [baselines.MaskLeftOn(), Oracle(faces)]
    network = standins.Distances()
    results = measure.evaluate(
        faces, chosen, standins.Projection(), lpips=lambda a, b: perceptual.lpips_and_map(network, a, b)
    )
    everyone = summary.summary(results)["all"]
    mask, oracle = (everyone["restorers"][name] for name in ("mask", "oracle"))
    assert 0 <= oracle["lpips"] < mask["lpips"] and 0 <= oracle["lpips_region"] < mask["lpips_region"]
    # Most of the composite is untouched, so nearly all of the difference lies in the region.
    assert mask["lpips"] == pytest.approx(mask["lpips_region"] * everyone["coverage"], rel=0.2)
    assert mask["lpips_error"] > 0
    header, rows = summary.rows(everyone)
    assert header[5:7] == ["LPIPS", "region LPIPS"] and rows[0][5] == f"{mask['lpips']:.4f}"
    without = measure.evaluate(faces, chosen[:1], standins.Projection())
    header, rows = summary.rows(summary.summary(without)["all"])
    assert not any("LPIPS" in heading for heading in header) and len(rows[0]) == len(header)


def test_command(
    drawn_data: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recognition, "load", lambda name: standins.Projection(str(name)))
    monkeypatch.setattr(baselines.linear, "SOURCES", ("faces128/drawn",))
    monkeypatch.setattr(baselines.linear.fit, "__defaults__", (("faces128/drawn",), 8, None))
    files = [tmp_path / name for name in ("r.json", "r.md", "r.png")]
    arguments = ["eval-restoration", "--data", str(drawn_data), "--restorers", "mask,opencv,mean,linear"]
    arguments += ["--recognizer", "ours", "--limit", "6"]
    arguments += ["--json", str(files[0]), "--markdown", str(files[1]), "--sheet", str(files[2])]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "6 faces" in out and "identity by ours" in out
    assert [line.split()[0] for line in out.splitlines()[2:6]] == ["mask", "opencv", "mean", "linear"]
    assert main([*arguments, "--sheet-of", "worst", "--sheet-count", "2"]) == 0
    with Image.open(files[2]) as sheet:
        assert 2 * 128 < sheet.height < 3 * 128
    assert main([*arguments, "--sheet-of", "source: nowhere"]) == 2
    assert "'source: drawn'" in capsys.readouterr().err
    assert main([*arguments, "--sheet-of", "nonsense"]) == 2
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps({"faces": ["000_0.png", "005_0.png"], "labels": {"beard": ["005_0.png"]}}))
    wanted = [*arguments, "--labels", str(labels), "--sheet-of", "beard (noted): yes"]
    assert main(wanted) == 0
    with Image.open(files[2]) as sheet:
        assert sheet.height < 2 * 128
    assert {"beard (noted): yes", "beard (noted): unknown", "light (estimated): bright"} <= set(
        json.loads(files[0].read_text(encoding="utf-8"))["groups"]
    )
    found = json.loads(files[0].read_text(encoding="utf-8"))
    assert found["groups"]["all"]["restorers"]["linear"]["psnr"] > 10 and found["versions"]["torch"]
    assert "| linear |" in files[1].read_text(encoding="utf-8")
    assert "lpips" not in found and "LPIPS" not in files[1].read_text(encoding="utf-8")
    with Image.open(files[2]) as sheet:
        assert sheet.width > 7 * 128 and sheet.height < 3 * 128
    monkeypatch.setattr(perceptual, "lpips", lambda net: standins.Distances())
    assert main([*arguments, "--lpips"]) == 0
    found = json.loads(files[0].read_text(encoding="utf-8"))
    assert found["lpips"]["net"] == "alex" and len(found["lpips"]["fingerprint"]) == 64
    assert found["groups"]["all"]["restorers"]["linear"]["lpips_region"] > 0
    assert "| LPIPS | region LPIPS |" in files[1].read_text(encoding="utf-8")
    assert "region LPIPS" in capsys.readouterr().out


def test_bad_requests(drawn_data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("UNMASK_DATA", raising=False)
    monkeypatch.setenv("UNMASK_WEIGHTS", str(tmp_path))
    assert main(["eval-restoration"]) == 2
    with pytest.raises(UsageError, match="no such restorer"):
        baselines.load(["magic"])
    with pytest.raises(UsageError, match="--data"):
        baselines.load(["mean"])
    assert [r.name for r in baselines.load(["mask", "opencv", "mask"])] == ["mask", "opencv"]


def test_faces_are_restored_as_photos_are_and_as_they_were_before(drawn_data: Path, cache: Path) -> None:
    faces = measure.held_out(drawn_data, ["faces128/drawn"])
    x = images.to_tensor(faces.images[:2]).numpy()
    region = np.zeros((2, 1, 128, 128), np.float32)
    region[0, :, 70:110, 40:90] = 1
    region[1, :, 70:73, 40:43] = 1  # less than a face mask
    fill = baselines.Inpainting()
    made = measure._restored(baselines.through(fill), x, faces.images[:2], region, faces.points[:2], exact=True)
    by_hand = blend.paint(x, region, fill, exact=True).onto(faces.images[0], 0, np.eye(2, 3), exact=True)
    np.testing.assert_array_equal(made[0], by_hand)
    assert np.abs(made[0].astype(int) - faces.images[0])[80:100, 50:80].max() > 0
    np.testing.assert_array_equal(made[1], faces.images[1])
