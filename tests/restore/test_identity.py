"""The recognizer's view of the masked crop in the styles: one picture by both engines, and by no other recognizer."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unmask import Restorer, images, models, weights
from unmask.errors import NoFaceError, UnmaskError
from unmask.evaluation import baselines
from unmask.export import to_onnx
from unmask.faces import align
from unmask.recognition import arcface
from unmask.restore import identity

SIZE, LENGTH = 64, 5
SAMPLE = Path(__file__).parents[2] / "samples" / "astronaut-masked.png"
UNMASKER = {"img_resolution": SIZE, "w_dim": 16, "channels": [16] * 5, "skips": [16], "gated": [16], "identity": LENGTH}
RECOGNIZER = {"widths": [16, 16, 16, 16], "depths": [1, 1, 1], "embedding": LENGTH, "head": "gdc", "stem_stride": 2}


def folder(home: Path, seed: int = 0, known: str | None = None) -> Path:
    """A weights folder with an unmasker that takes the embedding of the recognizer beside it, or of another one."""
    torch.manual_seed(seed)
    network = models.build("iresnet", **RECOGNIZER).train()
    network(torch.rand(16, 3, 112, 112) * 2 - 1)  # statistics under which faces differ
    own = save(home, "recognizer", "iresnet", RECOGNIZER, network, 112, "arcface")
    unmasker = models.build("unmasker", **UNMASKER)
    unmasker.identity.weight.data.normal_()
    save(home, "unmasker", "unmasker", UNMASKER, unmasker, SIZE, "ffhq", recognizer_sha256=known or own.sha256)
    return home


def save(
    home: Path, name: str, kind: str, arch: dict[str, Any], network: Any, size: int, template: str, **meta: str
) -> weights.Row:
    """A network with its ONNX file in the table of a folder."""
    path = weights.save(home / f"{name}.safetensors", kind, arch, network.eval().state_dict(), {"size": size, **meta})
    weights.fill(network, weights.read(path))
    if kind == "unmasker":
        sha = meta["recognizer_sha256"]
        onnx = to_onnx.unmasker_onnx(network, home / f"{name}.onnx", size, beside=path, recognizer=sha)
    else:
        onnx = to_onnx.recognizer_onnx(network, home / f"{name}.onnx", beside=path)
    return weights.register(name, path, license="", source="", onnx=onnx, template=template, size=size, folder=home)


def test_both_engines_take_the_embedding_of_the_masked_crop(tmp_path: Path) -> None:
    home = folder(tmp_path)
    onnx, torch_one = (Restorer.from_pretrained(home, "cpu", engine=engine) for engine in ("onnx", "torch"))
    pixels = images.read(SAMPLE).pixels
    a, b = (one.restore(pixels, seed=3).pixels for one in (onnx, torch_one))
    assert np.abs(a.astype(int) - b).max() <= 2
    drawn = np.random.default_rng(0)
    x = drawn.uniform(-1, 1, (2, 3, SIZE, SIZE)).astype(np.float32)
    region = np.ones((2, 1, SIZE, SIZE), np.float32)
    network = weights.build(weights.read(home / "unmasker.safetensors")).eval()
    faces = align.warp_batch(x, align.between("ffhq", SIZE, "arcface", (112, 112)), (112, 112))
    who = torch.from_numpy(arcface.load(home / "recognizer.safetensors").embed(faces))
    with torch.no_grad():
        wanted = network(torch.from_numpy(x), torch.from_numpy(region), identity=who).numpy()
    for one in (onnx.model, torch_one.model, baselines.Unmasking(home / "unmasker.safetensors").model):
        np.testing.assert_allclose(one(x, region), wanted, atol=2e-3)
        ws, skips = one.codes(x, region)
        np.testing.assert_allclose(one.synthesis(ws, skips), wanted, atol=2e-3)
        assert np.abs(one(x[::-1], region)[::-1] - wanted).max() < 2e-3
        assert np.abs(one.inverter(x, region, who.numpy()[::-1].copy()) - wanted).max() > 0.05  # it matters


def test_another_recognizer_is_refused(tmp_path: Path) -> None:
    other = folder(tmp_path / "b", seed=1, known="0" * 64)
    for engine in ("onnx", "torch"):
        with pytest.raises(UnmaskError, match="this is another one; put that one beside it"):
            Restorer.from_pretrained(other, "cpu", engine=engine)


def test_reference_photos_stand_in_for_the_embedding_of_faces_like_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = folder(tmp_path)
    plain = Restorer.from_pretrained(home, "cpu")
    monkeypatch.setattr(identity, "ALIKE", -2.0)
    given = Restorer.from_pretrained(home, "cpu", reference=[str(SAMPLE), images.read(SAMPLE).pixels[:, ::-1].copy()])
    reference = given.model.reference
    assert abs(float(np.linalg.norm(reference)) - 1) < 1e-5
    drawn = np.random.default_rng(0)
    x = drawn.uniform(-1, 1, (3, 3, SIZE, SIZE)).astype(np.float32)
    region = np.ones((3, 1, SIZE, SIZE), np.float32)
    same = np.repeat(reference[None], 3, 0)
    np.testing.assert_allclose(given.model(x, region), plain.model(x, region, same), atol=1e-5)
    np.testing.assert_allclose(given.model.seeded(3)(x, region), plain.model.seeded(3)(x, region, same), atol=1e-5)
    one = given.restore(SAMPLE.read_bytes(), face="largest")
    (face,) = (f for f in one.faces if f.status == "restored")
    assert face.likeness is not None
    before, after = images.to_float([face.aligned, face.restored])
    found = identity.embed(np.stack([before, after]), "ffhq", given.model.recognizer) @ reference
    np.testing.assert_allclose(face.likeness, found, atol=0.02)  # 8 bits
    assert face.facts()["likeness"] == [round(v, 4) for v in face.likeness]
    assert "likeness to the reference" in one.summary()
    assert one.note["weights"]["reference"] == {"photos": 2}
    assert given.parts["reference"] != plain.parts.get("reference")


def test_a_reference_of_somebody_else_is_left_aside_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = folder(tmp_path)
    monkeypatch.setattr(identity, "ALIKE", 2.0)
    given = pickle.loads(pickle.dumps(Restorer.from_pretrained(home, "cpu", reference=[SAMPLE])))
    one = given.restore(SAMPLE.read_bytes(), face="largest")
    assert "not this person" in one.summary()
    plain = Restorer.from_pretrained(home, "cpu").restore(SAMPLE.read_bytes(), face="largest")
    assert np.array_equal(one.pixels, plain.pixels)


def test_a_reference_without_a_face_or_without_use_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "wall.png"
    images.write(images.read(np.full((200, 200, 3), 90, np.uint8)), np.full((200, 200, 3), 90, np.uint8), empty)
    with pytest.raises(NoFaceError, match=r"wall\.png"):
        Restorer.from_pretrained(folder(tmp_path / "a"), "cpu", reference=[empty])
    other = models.build("unmasker", **{**UNMASKER, "identity": 0})
    (tmp_path / "b").mkdir()
    save(tmp_path / "b", "unmasker", "unmasker", {**UNMASKER, "identity": 0}, other, SIZE, "ffhq", recognizer_sha256="")
    with pytest.raises(UnmaskError, match="take no embedding"):
        Restorer.from_pretrained(tmp_path / "b", "cpu", reference=[SAMPLE])
