"""Restorers from checkpoints: a pack of random numbers, broken ones, and the embedded pack on the bundled sample."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from unmask import images, models, weights
from unmask.errors import UnmaskError
from unmask.faces import align
from unmask.restore import parts
from unmask.restore.restorer import Restorer
from unmask.training import checkpoint


class Detector:
    """One face, its crop the square of 100 pixels at (100, 40)."""

    def detect(self, image: NDArray[np.uint8], max_faces: int | None = None) -> list[Any]:
        """The face."""
        points = align.template("ffhq", 100) + np.array([100, 40])
        return [SimpleNamespace(bbox=np.array([125.0, 65, 175, 115]), kps=points, det_score=0.9)]


def photo() -> NDArray[np.uint8]:
    """Noise, uint8 [200,300,3]."""
    return np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights folder with an unmasker and a segmenter of random numbers."""
    home = tmp_path_factory.mktemp("pack")
    for kind, arch in {
        "unmasker": {"img_resolution": 64, "w_dim": 16, "channels": [16] * 5, "skips": [16], "gated": [16]},
        "segmenter": {},
    }.items():
        network = models.build(kind, **arch)
        path = weights.save(home / f"{kind}.safetensors", kind, arch, network.state_dict())
        weights.register(kind, path, license="", source="", folder=home)
    return home


def test_a_pack_is_loaded_and_runs(pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNMASK_WEIGHTS", str(pack))  # so that nothing else stands in
    one = Restorer.from_pretrained(pack, device="cpu", detector=Detector())
    assert (one.size, one.template, one.recognizer) == (64, "ffhq", None)
    region = np.zeros((200, 300), bool)
    region[95:130, 120:180] = True
    done = one.restore(photo(), region=region)
    assert done.faces[0].restored.shape == (64, 64, 3)
    made_by = done.note["weights"]["unmasker"]
    assert made_by == {
        "file": "unmasker.safetensors",
        "sha256": weights.read(pack / "unmasker.safetensors").sha256,
    }
    assert np.array_equal(one.restore(photo(), region=region).image, done.image)


def test_one_checkpoint_beside_the_rest_of_the_pack(pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNMASK_WEIGHTS", str(pack))
    assert Restorer.from_pretrained(pack / "unmasker.safetensors", detector=Detector()).size == 64
    assert Restorer.from_pretrained("unmasker", detector=Detector()).size == 64
    with pytest.raises(UnmaskError, match="known: unmasker, segmenter"):
        Restorer.from_pretrained("unmasked", detector=Detector())
    with pytest.raises(UnmaskError, match="holds a segmenter"):
        Restorer.from_pretrained(pack / "segmenter.safetensors", detector=Detector())


def test_what_a_folder_lacks_is_the_packs(pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNMASK_WEIGHTS", str(pack))
    assert parts.of(pack).told == parts.of().told == ""
    arch = {"img_resolution": 32, "w_dim": 8, "channels": [16] * 4, "skips": [16], "gated": [16]}
    network = models.build("unmasker", **arch)
    path = weights.save(tmp_path / "unmasker.safetensors", "unmasker", arch, network.state_dict())
    weights.register("unmasker", path, license="", source="", folder=tmp_path)
    one = Restorer.from_pretrained(tmp_path, detector=Detector())
    assert one.size == 32 and one.parts["segmenter"] == weights.fingerprint(pack / "segmenter.safetensors")
    assert parts.of(tmp_path).told.endswith("has no detector, segmenter, landmarker, recognizer; the pack's stand in")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnmaskError, match=r"empty: neither a run \(last.pt\) nor a folder of weights"):
        Restorer.from_pretrained(tmp_path / "empty", detector=Detector())


def test_a_run_is_taken_as_it_is(pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run's folder and its checkpoint restore alike, and as the weights that were exported of it, but for halves."""
    monkeypatch.setenv("UNMASK_WEIGHTS", str(pack))
    stored = weights.read("unmasker")  # halves already
    content = {"task": "unmasker", "step": 7, "config": {"model": stored.arch}, "optimizers": {}}
    content["modules"] = {"network": {}, "average": stored.tensors}
    checkpoint.save(tmp_path / "last.pt", content)
    region = np.zeros((200, 300), bool)
    region[95:130, 120:180] = True
    done = [
        Restorer.from_pretrained(given, device="cpu", detector=Detector()).restore(photo(), region=region)
        for given in (None, tmp_path, tmp_path / "last.pt")
    ]
    assert np.array_equal(done[0].image, done[1].image) and np.array_equal(done[0].image, done[2].image)
    assert done[1].note["weights"]["unmasker"]["file"] == "last.pt"
    assert "the rest is the pack's" in parts.of(tmp_path).told
    checkpoint.save(tmp_path / "last.pt", {**content, "task": "segmenter"})
    with pytest.raises(UnmaskError, match=r"last\.pt: a run of the task 'segmenter'.*export"):
        Restorer.from_pretrained(tmp_path, detector=Detector())
    checkpoint.save(tmp_path / "last.pt", {**content, "modules": {}})
    with pytest.raises(UnmaskError, match=r"last\.pt: its average or its config is missing"):
        Restorer.from_pretrained(tmp_path, detector=Detector())
    with pytest.raises(UnmaskError, match=r"none\.pt: no such checkpoint"):
        Restorer.from_pretrained(tmp_path / "none.pt", detector=Detector())


def test_checkpoints_of_another_shape_or_hash(pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNMASK_WEIGHTS", str(pack))
    good = weights.read("unmasker")
    wider = weights.save(tmp_path / "wide.safetensors", "unmasker", {**good.arch, "w_dim": 24}, good.tensors)
    odd = weights.save(tmp_path / "odd.safetensors", "unmasker", {"color": "red"}, good.tensors)
    for path in (wider, odd):
        with pytest.raises(UnmaskError, match=rf"{path.name}: [^\n]+$"):
            Restorer.from_pretrained(path, detector=Detector())
    altered = tmp_path / "altered"
    shutil.copytree(pack, altered)
    data = bytearray((altered / "unmasker.safetensors").read_bytes())
    data[-1] ^= 255
    (altered / "unmasker.safetensors").write_bytes(bytes(data))
    with pytest.raises(UnmaskError, match="sha256"):
        Restorer.from_pretrained(altered, detector=Detector())


def test_the_embedded_pack_on_the_bundled_sample() -> None:
    """The sample was made from the bare portrait beside it, which tells where the face mask is."""
    missing = {"detector", "segmenter", "unmasker"} - {row.name for row in weights.rows()}
    if missing:
        pytest.skip(f"the weights folder holds no {', '.join(sorted(missing))}")
    samples = Path(__file__).parents[2] / "samples"
    masked, bare = (images.read(samples / name).pixels for name in ("astronaut-masked.png", "astronaut.png"))
    done = Restorer.from_pretrained(device="cpu").restore(masked)
    assert done.faces[0].status == "restored"
    changed, covered = (done.image != masked).any(axis=2), np.abs(masked.astype(int) - bare).max(axis=2) > 30
    assert changed[covered].mean() > 0.7
    assert changed.mean() < 2.5 * covered.mean()
    errors = [np.abs(image.astype(int) - bare)[covered].mean() for image in (done.image, masked)]
    assert errors[0] < 0.5 * errors[1]
