"""Detection: the decode path on a network made by hand, and real photos where the data are at hand."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from unmask.errors import UnmaskError
from unmask.faces import detect

# In units of the stride: how far left, top, right and bottom reach from the anchor, and where the points lie.
_REACH = (1.0, 2.0, 3.0, 4.0)
_POINTS = (-0.5, -0.5, 0.5, -0.5, 0.0, 0.0, -0.4, 0.6, 0.4, 0.6)


def _toy_scrfd(path: Path, size: tuple[int, int] | None = None, points: bool = True) -> Path:
    """SCRFD's output layout around a "network" whose score is the mean brightness of each stride-sized cell.

    The score goes to the first anchor of a cell, the second one never fires; only stride 16 can fire.
    """
    height, width = size or ("h", "w")
    nodes, constants, outputs = [], {}, []

    def constant(name: str, value: np.ndarray) -> str:
        constants[name] = numpy_helper.from_array(value, name)
        return name

    nodes.append(helper.make_node("ReduceMean", ["x"], ["gray"], axes=[1], keepdims=1))
    for stride in (8, 16, 32):
        cell = f"cell{stride}"
        nodes.append(helper.make_node("AveragePool", ["gray"], [cell], kernel_shape=[stride] * 2, strides=[stride] * 2))
        factor = constant(f"factor{stride}", np.array(1.0 if stride == 16 else 0.0, np.float32))
        nodes.append(helper.make_node("Mul", [cell, factor], [f"first{stride}"]))
        nodes.append(
            helper.make_node("Mul", [cell, constant(f"none{stride}", np.float32([0.0])[0:1])], [f"second{stride}"])
        )
        nodes.append(helper.make_node("Concat", [f"first{stride}", f"second{stride}"], [f"both{stride}"], axis=1))
        nodes.append(helper.make_node("Transpose", [f"both{stride}"], [f"last{stride}"], perm=[0, 2, 3, 1]))
        shape = constant(f"shape{stride}", np.array([-1, 1], np.int64))
        nodes.append(helper.make_node("Reshape", [f"last{stride}", shape], [f"score{stride}"]))
    for kind, values in (("box", _REACH), ("kps", _POINTS))[: 2 if points else 1]:
        for stride in (8, 16, 32):
            row = np.array([values], np.float32)
            zeros = constant(f"zero_{kind}{stride}", np.zeros_like(row))
            nodes.append(helper.make_node("MatMul", [f"score{stride}", zeros], [f"flat_{kind}{stride}"]))
            nodes.append(
                helper.make_node(
                    "Add", [f"flat_{kind}{stride}", constant(f"row_{kind}{stride}", row)], [f"{kind}{stride}"]
                )
            )
    for kind, wide in (("score", 1), ("box", 4), ("kps", 10))[: 3 if points else 2]:
        for stride in (8, 16, 32):
            outputs.append(helper.make_tensor_value_info(f"{kind}{stride}", TensorProto.FLOAT, [None, wide]))
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, height, width])],
        outputs,
        list(constants.values()),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


class Compass:
    """Sees one face, up to 200 px wide, where the picture is red above green."""

    def forward(self, image: np.ndarray, threshold: float) -> tuple[list, list, list]:
        red, green = (image[..., k].astype(int) for k in (0, 1))
        ys, xs = np.nonzero(red > 200)
        below = np.nonzero(green > 200)[0]
        n = int(len(ys) > 0 and ys.mean() < below.mean() - 1 and np.ptp(xs) <= 200)
        left, right, top, bottom = (xs.min(), xs.max() + 1, ys.min(), below.max() + 1) if n else (0, 0, 0, 0)
        middle = (left + right) / 2
        points = [(left, top), (right, top), (middle, (top + bottom) / 2), (left, bottom), (right, bottom)]
        box = np.array([[left, top, right, bottom]], np.float32)[:n]
        return [np.full((n, 1), 0.9, np.float32)], [box], [np.array([points], np.float32)[:n]]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> detect.ScrfdDetector:
    return detect.load_detector(_toy_scrfd(tmp_path_factory.mktemp("toy") / "toy.onnx"), turned=False)


def test_decoding_agrees_with_arithmetic(toy: detect.ScrfdDetector) -> None:
    photo = np.zeros((192, 320, 3), np.uint8)  # 320 wide: the coarse pass sees it as it is
    photo[64:80, 160:176] = 255  # cell (4, 10) of stride 16
    _, coarse, _ = toy.passes(photo)
    anchor = np.array([160.0, 64.0])
    assert np.allclose(coarse.boxes[:, :4], [[*(anchor - 16 * np.array([1, 2])), *(anchor + 16 * np.array([3, 4]))]])
    assert np.allclose(coarse.points, [anchor + 16 * np.array(_POINTS).reshape(5, 2)])
    assert coarse.boxes[0, 4] == pytest.approx(127.5 / 128, abs=1e-4)
    assert coarse.scale == 1 and np.allclose(coarse.sides, np.sqrt(64 * 96))


def test_sizes_are_mapped_back(toy: detect.ScrfdDetector) -> None:
    photo = np.zeros((384, 640, 3), np.uint8)  # coarse pass at half size, fine pass as it is
    photo[128:160, 320:352] = 255  # a whole cell at half size
    photo[304:320, 48:64] = 255  # a cell in the fine pass
    _, coarse, fine, _ = toy.passes(photo)
    at_half = [320 - 32, 128 - 64, 320 + 96, 128 + 128]
    assert np.allclose(coarse.boxes[0, :4], at_half) and coarse.scale == 0.5
    assert any(np.allclose(box, [48 - 16, 304 - 32, 48 + 48, 304 + 64]) for box in fine.boxes[:, :4])


def test_faces_are_sorted_and_the_small_ones_dropped() -> None:
    photo = np.zeros((192, 320, 3), np.uint8)
    detector = detect.ScrfdDetector(Compass(), "compass", turned=False)
    assert detector.detect(photo) == []
    photo[64:80, 160:192, 0] = 255
    photo[80:96, 160:192, 1] = 255
    (face,) = detector.detect(photo)
    assert face.side == pytest.approx(32) and face.area == pytest.approx(32 * 32) and face.det_score > 0.8
    assert detect.ScrfdDetector(Compass(), "compass", min_size=33, turned=False).detect(photo) == []
    with pytest.raises(ValueError, match="uint8"):
        detector.detect(photo[:, :, 0])


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (40, 30), (1000, 50), (33, 4000)])
def test_any_shape_passes(toy: detect.ScrfdDetector, shape: tuple[int, int], rng: np.random.Generator) -> None:
    photo = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    for face in toy.detect(photo):
        assert np.isfinite(face.bbox).all() and np.isfinite(face.kps).all()


def test_a_face_that_fills_the_frame_is_found_with_a_border() -> None:
    class Shy:
        """Finds nothing until the photo has a border."""

        def forward(self, image: np.ndarray, threshold: float) -> tuple[list, list, list]:
            n = 1 if image[0].max() == 0 else 0
            box = np.array([[48.0, 48, 208, 208]], np.float32)[:n]
            return [np.full((n, 1), 0.9, np.float32)], [box], [np.full((n, 5, 2), 128.0, np.float32)]

    photo = np.full((800, 800, 3), 200, np.uint8)
    (one, *others) = detect.ScrfdDetector(Shy(), "shy", turned=False).passes(photo)
    assert np.allclose(one.boxes, [[0, 0, 800, 800, 0.9]], atol=0.5)
    assert np.allclose(one.points, 400, atol=0.5)
    assert [round(other.scale * 800) for other in others] == [320, 800, 320]


@pytest.mark.parametrize(("quarters", "roll"), [(0, 0), (1, -90), (2, 180), (3, 90)])
def test_turned_faces_are_found_as_they_lie(quarters: int, roll: float) -> None:
    upright = np.zeros((240, 320, 3), np.uint8)
    upright[80:110, 120:180, 0] = 255
    upright[110:150, 120:180, 1] = 255
    photo = np.ascontiguousarray(np.rot90(upright, quarters))
    (face,) = detect.ScrfdDetector(Compass(), "compass").detect(photo)
    assert abs((face.roll - roll + 180) % 360 - 180) < 1
    left, top, right, bottom = face.bbox.round().astype(int)
    inside = photo[max(top, 0) : bottom + 1, max(left, 0) : right + 1].max(2)
    assert inside.mean() > 240 and photo.max(2).sum() <= inside.sum() * 1.05


def test_the_mirrored_pass_finds_the_same_face() -> None:
    photo = np.zeros((480, 640, 3), np.uint8)
    photo[80:110, 320:380, 0] = 255
    photo[110:150, 320:380, 1] = 255
    _, coarse, _, mirrored = detect.ScrfdDetector(Compass(), "compass", turned=False).passes(photo)
    np.testing.assert_allclose(mirrored.boxes, coarse.boxes, atol=2)
    np.testing.assert_allclose(mirrored.points, coarse.points, atol=2)
    assert mirrored.scale == coarse.scale == 0.5


def test_a_face_of_any_size_has_a_pass() -> None:
    """In a photo of many pixels the passes go down to one in which the face is small."""
    photo = np.zeros((3000, 4000, 3), np.uint8)
    photo[200:1500, 400:3400, 0] = 255
    photo[1500:2900, 400:3400, 1] = 255
    (face,) = detect.ScrfdDetector(Compass(), "compass", turned=False).detect(photo)
    assert np.allclose(face.bbox, [400, 200, 3400, 2900], atol=60)


def test_a_fixed_input_size_is_kept(tmp_path: Path) -> None:
    fixed = detect.load_detector(_toy_scrfd(tmp_path / "fixed.onnx", size=(160, 160)))
    photo = np.zeros((320, 320, 3), np.uint8)
    photo[64:96, 160:192] = 255
    coarse = fixed.passes(photo)[1]
    assert np.allclose(coarse.boxes[:, :4], [[160 - 32, 64 - 64, 160 + 96, 64 + 128]])
    assert len(fixed.passes(np.zeros((900, 700, 3), np.uint8))) == 6  # with a border, as it is, turned, mirrored


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnmaskError, match=r"gone\.onnx: there is no such detector"):
        detect.load_detector(tmp_path / "gone.onnx")
    text = tmp_path / "text.onnx"
    text.write_text("no model")
    with pytest.raises(UnmaskError, match=r"text\.onnx: not a readable ONNX model") as caught:
        detect.load_detector(text)
    assert "\n" not in str(caught.value)
    other = tmp_path / "weights.bin"
    other.write_bytes(b"1")
    with pytest.raises(UnmaskError, match="a detector is an ONNX file"):
        detect.load_detector(other)
    with pytest.raises(UnmaskError, match="not a face detector with five points"):
        detect.load_detector(_toy_scrfd(tmp_path / "plain.onnx", points=False))


def test_a_pack_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSIGHTFACE_HOME", str(tmp_path))
    with pytest.raises(UnmaskError, match="models install buffalo_l"):
        detect.load_detector("insightface:buffalo_l")
    folder = tmp_path / "models" / "buffalo_l"
    folder.mkdir(parents=True)
    with pytest.raises(UnmaskError, match="no detector in this pack"):
        detect.load_detector("insightface:buffalo_l")
    _toy_scrfd(folder / "det_10g.onnx")
    assert detect.load_detector("insightface:buffalo_l").name.endswith("det_10g.onnx")


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = float(np.prod(np.maximum(high - low, 0)))
    return shared / (float(np.prod(a[2:] - a[:2])) + float(np.prod(b[2:] - b[:2])) - shared)


def test_faces_of_real_photos_are_found(data_dir: Path) -> None:
    model = data_dir.parent / "models" / "scrfd_2.5g_bnkps.onnx"
    if not model.is_file():
        pytest.skip(f"no SCRFD model beside the data ({model.name})")
    truth: dict[str, list[np.ndarray]] = {}
    with (data_dir / "wild" / "faces.csv").open() as table:
        for row in csv.DictReader(table):
            truth.setdefault(row["file"], []).append(np.array([float(row[k]) for k in ("x1", "y1", "x2", "y2")]))
    detector = detect.load_detector(model)
    hits = total = tilted = 0
    with zipfile.ZipFile(data_dir / "wild" / "images.zip") as archive:
        members = {name.rpartition("/")[2]: name for name in archive.namelist()}
        for name in sorted(truth)[::90]:
            photo = np.asarray(Image.open(io.BytesIO(archive.read(members[name]))).convert("RGB"))
            faces = detector.detect(photo)
            for box in truth[name]:
                total += 1
                match = [f for f in faces if _iou(f.bbox, box) > 0.5]
                hits += bool(match)
                tilted += sum(f.kps[0, 0] > f.kps[1, 0] for f in match)
    assert hits >= 0.9 * total
    assert tilted <= 0.05 * total
