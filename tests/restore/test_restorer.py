"""The restorer, with small stand-ins for its models: what it does with faces, files, types and bad input."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from unmask import images
from unmask.errors import NoFaceError, NoMaskError, UnmaskError, UsageError
from unmask.faces import align
from unmask.restore import STATEMENT, Restorer

SIZE = 64

Floats = NDArray[np.float32]


@dataclass
class Face:
    """A face as a detector gives it."""

    bbox: NDArray[np.float64]
    kps: NDArray[np.float64]
    det_score: float = 0.9


def face_at(left: float, top: float, size: float) -> Face:
    """A face whose aligned crop is the square of ``size`` at (left, top)."""
    points = align.template("ffhq", SIZE) * (size / SIZE) + np.array([left, top])
    return Face(np.array([left + size / 4, top + size / 4, left + size * 3 / 4, top + size * 3 / 4]), points)


class Detector:
    """Finds the same faces in every photo."""

    def __init__(self, *faces: Face):
        self.faces = list(faces)
        self.seen: list[tuple[int, ...]] = []

    def detect(self, image: NDArray[np.uint8], max_faces: int | None = None) -> list[Face]:
        """The faces, largest first."""
        assert image.dtype == np.uint8 and image.shape[2] == 3
        self.seen.append(image.shape)
        return self.faces[:max_faces]


class Segmenter:
    """Takes the lower half for masked where the crop is not white."""

    def predict(self, crops: Floats) -> tuple[Floats, Floats]:
        """Region and garment score."""
        bare = crops.mean((1, 2, 3)) > 0.95
        region = np.zeros((len(crops), 1, *crops.shape[2:]), np.float32)
        region[:, :, SIZE // 2 :] = 1.0
        return region * ~bare[:, None, None, None], (~bare).astype(np.float32)


def red(x: Floats, region: Floats) -> Floats:
    """A fill that knows one color."""
    return np.broadcast_to(np.float32([1, -1, -1]).reshape(1, 3, 1, 1), x.shape)


def photo(height: int = 200, width: int = 300) -> NDArray[np.uint8]:
    """A photo of three colors, which no tone curve holds, with a little noise."""
    image = np.random.default_rng(0).integers((120, 110, 100), (150, 140, 130), (height, width, 3), dtype=np.uint8)
    image[:, np.arange(width) % 60 < 30] -= np.array([0, 40, 60], np.uint8)
    image[:, np.arange(width) % 60 >= 45] -= np.array([60, 20, 0], np.uint8)
    return image


def restorer(*faces: Face, fill: Callable[[Floats, Floats], Floats] = red) -> Restorer:
    """A restorer of stand-ins that finds ``faces``."""
    return Restorer(fill, Segmenter(), Detector(*faces), size=SIZE)


ONE = face_at(100, 40, 100)


def test_the_region_is_filled_and_the_rest_is_identical() -> None:
    image = photo()
    done = restorer(ONE).restore(image)
    assert np.array_equal(image, photo())
    changed = (done.image != image).any(axis=2)
    assert done.region[130, 150] == 1 and done.region[60, 150] == 0
    assert changed[120:135, 110:190].mean() > 0.9
    assert not changed[:60].any() and not changed[:, :90].any() and not changed[:, 210:].any()
    assert done.image[130, 150, 0] > 200
    face = done.faces[0]
    assert face.status == "restored" and face.drift is None
    assert face.aligned.shape == face.restored.shape == (SIZE, SIZE, 3)
    assert face.region.shape == (SIZE, SIZE)
    assert done.note["statement"] == STATEMENT and done.note["faces"] == [[125, 65, 175, 115]]


def test_a_photo_without_color_stays_without() -> None:
    image = np.repeat(photo()[:, :, :1], 3, axis=2)
    done = restorer(ONE).restore(image)
    assert (done.image != image).any()
    assert (np.ptp(done.image.astype(int), axis=2) <= 1).all()
    toned = (image * np.array([1.0, 0.9, 0.75])).astype(np.uint8)
    patch = restorer(ONE).restore(toned).image[115:125, 140:160].mean(axis=(0, 1))
    assert patch[0] > patch[1] > patch[2] > 0.5 * patch[0]


def test_several_faces_at_once() -> None:
    image = photo(200, 500)
    image[:, 330:] = 255  # the bare one
    calls: list[int] = []

    def fill(x: Floats, region: Floats) -> Floats:
        calls.append(len(x))
        return red(x, region)

    faces = (face_at(10, 40, 120), face_at(180, 40, 110), face_at(360, 40, 100), face_at(300, 5, 14))
    done = restorer(*faces, fill=fill).restore(image)
    assert [face.status for face in done.faces] == ["restored", "restored", "no mask", "too small"]
    assert calls == [2]
    assert done.summary() == "2 faces restored, 1 without a face mask, 1 too small"
    assert np.array_equal(done.image[:, 330:], image[:, 330:])


@pytest.mark.parametrize(("face", "chosen"), [("all", {0, 1}), ("largest", {0}), ("center", {1}), (1, {1})])
def test_which_face(face: str | int, chosen: set[int]) -> None:
    done = restorer(face_at(0, 40, 110), face_at(110, 50, 90)).restore(photo(), face=face)
    assert {i for i, one in enumerate(done.faces) if one.status == "restored"} == chosen


@pytest.mark.parametrize("face", [2, -1, "left"])
def test_a_face_that_is_not_there(face: str | int) -> None:
    with pytest.raises(UsageError, match="largest"):
        restorer(ONE, ONE).restore(photo(), face=face)


def test_nothing_to_restore_is_an_error() -> None:
    with pytest.raises(NoFaceError, match="no face found"):
        restorer().restore(photo())
    with pytest.raises(NoMaskError, match="no face mask"):
        restorer(ONE).restore(np.full((200, 300, 3), 255, np.uint8))
    with pytest.raises(NoFaceError, match="under 16 pixels"):
        restorer(face_at(10, 10, 20)).restore(photo())
    assert issubclass(NoFaceError, UnmaskError) and issubclass(NoMaskError, UnmaskError)


@pytest.mark.parametrize("kind", [bool, np.uint8, np.float32])
def test_a_region_of_ones_own(kind: type) -> None:
    region = np.zeros((200, 300), kind)
    region[100:120, 130:170] = 255 if kind is np.uint8 else 1
    done = restorer(ONE).restore(photo(), region=region)
    changed = (done.image != photo()).any(axis=2)
    assert changed[105:115, 135:165].mean() > 0.9 and not changed[130:].any()
    assert done.faces[0].garment_score is None


def test_a_region_that_does_not_fit() -> None:
    with pytest.raises(UsageError, match=r"region is 300x199.*300x200"):
        restorer(ONE).restore(photo(), region=np.ones((199, 300)))
    with pytest.raises(NoMaskError, match="covers no face"):
        restorer(ONE).restore(photo(), region=np.zeros((200, 300)))


def test_the_type_given_is_the_type_returned(tmp_path: Path) -> None:
    one = restorer(ONE)
    array = one.restore(photo())
    picture = one.restore(Image.fromarray(photo()))
    assert isinstance(picture.image, Image.Image) and picture.image.mode == "RGB"
    assert np.array_equal(np.asarray(picture.image), array.image)
    stream = io.BytesIO()
    Image.fromarray(photo()).save(stream, "PNG")
    data = one.restore(stream.getvalue()).image
    assert isinstance(data, bytes)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), array.image)
    assert images.read_note(data)["statement"] == STATEMENT
    path = tmp_path / "photo.png"
    path.write_bytes(stream.getvalue())
    for given in (path, str(path)):
        done = one.restore(given, overwrite=True)
        assert done.image == type(given)(tmp_path / "photo.unmasked.png")
        assert np.array_equal(images.read(done.image).pixels, array.image)
    assert path.read_bytes() == stream.getvalue()


def test_files_are_not_replaced_by_accident(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(photo()).save(path)
    one = restorer(ONE)
    assert one.restore(path, out=tmp_path / "deep" / "x.png").image.is_file()
    with pytest.raises(UnmaskError, match="exists"):
        one.restore(path, out=tmp_path / "deep" / "x.png")
    with pytest.raises(UsageError, match="is the input itself"):
        one.restore(path, out=tmp_path / "deep" / ".." / "photo.png", overwrite=True)
    with pytest.raises(NoFaceError, match=r"photo\.png: no face"):
        restorer().restore(path)
    assert not (tmp_path / "photo.unmasked.png").exists()


class Noisy:
    """An inverter whose picture is its noise."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def seeded(self, seed: int) -> Noisy:
        """Another one."""
        return Noisy(seed)

    def codes(self, x: Floats, region: Floats) -> tuple[Floats, dict[int, Floats]]:
        """None."""
        return np.zeros((len(x), 1, 1), np.float32), {}

    def synthesis(self, ws: Floats, skips: dict[int, Floats]) -> Floats:
        """The noise."""
        drawn = np.random.default_rng(self.seed).normal(0, 1 / 3, (SIZE, SIZE)).astype(np.float32)
        return np.broadcast_to(drawn, (len(ws), 3, SIZE, SIZE))

    def __call__(self, x: Floats, region: Floats) -> Floats:
        """Both."""
        return self.synthesis(*self.codes(x, region))


def test_seeds_draw_the_generators_noise_anew() -> None:
    one = restorer(ONE, fill=Noisy())
    pictures = [one.restore(photo(), seed=seed).image for seed in (0, 1, 1, 2, 0)]
    assert np.array_equal(pictures[1], pictures[2]) and np.array_equal(pictures[0], pictures[4])
    assert not np.array_equal(pictures[0], pictures[1]) and not np.array_equal(pictures[1], pictures[3])
    assert one.model.seed == 0


def test_threads_share_a_restorer() -> None:
    one = restorer(ONE)
    wanted, results = one.restore(photo()).image, []
    threads = [threading.Thread(target=lambda: results.append(one.restore(photo()).image)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8 and all(np.array_equal(result, wanted) for result in results)


def test_identity_drift_is_measured_on_the_recognizers_own_crop() -> None:
    class Recognizer:
        name, template, size, differentiable, fingerprint = "mean", "arcface", (112, 112), False, "0"

        def embed(self, faces: Floats) -> Floats:
            assert faces.shape[1:] == (3, 112, 112)
            found = faces.mean((2, 3)) + 0.5
            return found / np.linalg.norm(found, axis=1, keepdims=True)

    one = restorer(ONE)
    one.recognizer = Recognizer()
    assert 0.01 < one.restore(photo()).faces[0].drift < 1
    one.model = lambda x, region: x
    assert one.restore(photo()).faces[0].drift == pytest.approx(0, abs=1e-6)


def test_facts_are_json_values() -> None:
    import json

    facts = restorer(ONE).restore(photo()).faces[0].facts()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["coverage"] == 0.5 and facts["status"] == "restored"


def saved(**options: object) -> bytes:
    """A photo as the bytes of a file."""
    stream = io.BytesIO()
    image = options.pop("image", None) or Image.fromarray(photo())
    image.save(stream, options.pop("format", "PNG"), **options)
    return stream.getvalue()


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "I;16"])
def test_modes_come_back_as_they_were(mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(photo()[:, :, 0].astype(np.uint16) * 257)
    else:
        image = Image.fromarray(photo()).convert(mode)
    data = saved(image=image, format="TIFF" if mode == "CMYK" else "PNG")
    back = Image.open(io.BytesIO(restorer(ONE).restore(data).image))
    assert (back.mode, back.size) == (image.mode, image.size)
    difference = np.asarray(back).astype(int) != np.asarray(image).astype(int)
    assert difference.any() and not difference[:60].any()


def test_a_rotated_photo_is_seen_upright_and_stays_rotated_in_the_file() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = photo()
    data = saved(image=Image.fromarray(np.rot90(upright)), exif=exif)
    one = restorer(ONE)
    done = one.restore(data)
    assert one.detector.seen == [(200, 300, 3)]
    back = Image.open(io.BytesIO(done.image))
    assert back.size == (200, 300) and back.getexif()[0x0112] == 6
    assert np.array_equal(np.rot90(np.asarray(back), -1), done.pixels)


@pytest.mark.parametrize(
    "data",
    [b"", b"not a picture", saved()[:200], saved()[: len(saved()) // 2], b"\x89PNG\r\n\x1a\n" + b"\0" * 50],
    ids=["empty", "text", "header", "half", "zeros"],
)
def test_broken_files_say_so(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(data)
    with pytest.raises(UnmaskError, match=r"broken\.png: [^\n]+$"):
        restorer(ONE).restore(path)
    assert [file.name for file in tmp_path.iterdir()] == ["broken.png"]


def test_a_huge_photo_is_refused_before_it_is_decoded() -> None:
    data = bytearray(saved(image=Image.new("L", (16, 16))))
    data[16:24] = (50_000).to_bytes(4, "big") * 2
    import zlib

    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    with pytest.raises(UnmaskError, match="50000x50000"):
        restorer(ONE).restore(bytes(data))


def test_places_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    one = restorer(ONE)
    with pytest.raises(UnmaskError, match="no such file"):
        one.restore(tmp_path / "none.png")
    with pytest.raises(UnmaskError, match="folder"):
        one.restore(tmp_path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnmaskError, match="cannot be written"):
        one.restore(photo(), out=tmp_path / "file" / "x.png")
    with pytest.raises(UnmaskError, match="image"):
        one.restore(3)
