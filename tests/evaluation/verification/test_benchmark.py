"""The whole verification run on drawn people, from pictures to report."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.evaluation import standins
from unmask import recognition
from unmask.cli import main
from unmask.cli.eval_verification import COVERS
from unmask.errors import UnmaskError
from unmask.evaluation import store
from unmask.evaluation.baselines import Inpainting
from unmask.evaluation.pairs import readers
from unmask.evaluation.pairs.pictures import Folder
from unmask.evaluation.verification import benchmark, embedding, page, report, views
from unmask.evaluation.verification import run as verification
from unmask.faces import align
from unmask.simulation import patches

PEOPLE = 24


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn people in LFW's layout with two folds of pairs; one picture is black."""
    root = tmp_path_factory.mktemp("people")
    for person in range(PEOPLE):
        name = f"P{person:02d}"
        (root / "faces" / name).mkdir(parents=True)
        for i in (1, 2):
            picture = standins.face(person, i)
            if (person, i) == (3, 2):
                picture = np.zeros_like(picture)
            Image.fromarray(picture).save(root / "faces" / name / f"{name}_{i:04d}.png")
    each = PEOPLE // 2
    lines = [f"2\t{each}"]
    for fold in range(2):
        group = range(fold * each, (fold + 1) * each)
        lines += [f"P{i:02d}\t1\t2" for i in group]
        lines += [f"P{i:02d}\t1\tP{fold * each + (i + 1) % each:02d}\t2" for i in group]
    (root / "pairs.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def run(
    people: Path, **changes: object
) -> tuple[embedding.Embedded, views.ViewRenderer, readers.PairList, standins.Projection]:
    pictures = Folder(people / "faces")
    listed = readers.read(people / "pairs.txt", pictures)
    renderer = views.ViewRenderer(pictures, standins.Fixed(), [Inpainting()], **changes)  # type: ignore[arg-type]
    recognizer = standins.Projection()
    return embedding.embed(renderer, listed.pictures, [recognizer], {"detector": "fixed"}), renderer, listed, recognizer


def test_views_and_cache(people: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "source_hash", lambda folders: "")  # files may be edited while tests run
    embedded, renderer, listed, recognizer = run(people)
    assert embedded.computed == len(listed.pictures) == 2 * PEOPLE
    assert embedded.missing("projection", "clean") == ["P03/P03_0002.png"]
    assert embedded.missing("projection", "opencv") == ["P03/P03_0002.png"]
    assert recognizer.calls == 3 * (2 * PEOPLE - 1)
    again, _, _, second = run(people)
    assert again.computed == 0 and second.calls == 0
    for key, vectors in embedded.vectors.items():
        np.testing.assert_array_equal(again.vectors[key], vectors)
    assert again.notes["masked"] == embedded.notes["masked"]
    other, _, _, third = run(people, seed=1)
    assert other.computed and third.calls == 2 * (2 * PEOPLE - 1)  # clean pictures are as they were
    rendered = renderer.render([listed.pictures[0]], ["clean", "masked", "opencv"])
    changed = np.abs(rendered["masked"][0].pixels.astype(int) - rendered["clean"][0].pixels).max(2) > 8
    assert 0.02 < changed.mean() < 0.6
    assert {"kind", "coverage", "color", "yaw", "eyes"} <= set(rendered["masked"][0].note)


@pytest.mark.parametrize("cover", ["occlude", "mouth"])
def test_faces_are_covered_by_the_occluder_protocol(
    people: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, cover: str
) -> None:
    monkeypatch.setattr(embedding, "source_hash", lambda folders: "")
    worn, _, _, _ = run(people)
    embedded, renderer, listed, recognizer = run(people, cover=cover)
    assert recognizer.calls == 2 * (2 * PEOPLE - 1)  # clean pictures are as they were, covered ones are not
    assert not np.allclose(embedded.vectors["projection", "masked"][0], worn.vectors["projection", "masked"][0])
    rendered = renderer.render([listed.pictures[0]], ["clean", "masked"])
    kps = align.template("ffhq", 128)
    difference = np.abs(rendered["masked"][0].pixels.astype(int) - rendered["clean"][0].pixels).astype(np.uint8)
    changed, _ = align.crop_face(difference, kps, "from", (112, 96))
    ys, xs = np.nonzero(changed.max(2) > 12)
    assert len(ys) > 100
    if cover == "mouth":
        x1, y1, x2, y2 = patches.BOXES["mouth"]
        assert x1 - 2 <= xs.min() and xs.max() <= x2 + 1 and y1 - 2 <= ys.min() and ys.max() <= y2 + 1
    assert "kind" not in rendered["masked"][0].note
    benchmark.summary(benchmark.evaluate(listed, embedded, [recognizer], ["opencv"], 0, 50)[0], embedded, ["opencv"])


def test_the_command_knows_every_box() -> None:
    assert list(COVERS) == ["simulate", "occlude", *patches.BOXES]


def test_figures_of_a_run(people: Path, cache: Path) -> None:
    embedded, renderer, listed, recognizer = run(people)
    evaluation = benchmark.evaluate(listed, embedded, [recognizer], ["opencv"], seed=0, resamples=200)[0]
    result = benchmark.summary(evaluation, embedded, ["opencv"])
    assert list(result["conditions"]) == [
        "clean/clean",
        "masked/clean",
        "opencv/clean",
        "opencv fused/clean",
        "masked/masked",
        "opencv/opencv",
    ]
    clean = result["conditions"]["clean/clean"]
    assert clean["figures"]["accuracy"]["value"] > 0.9 and len(clean["pairs_not_scored"]) == 2
    assert (
        clean["impostor_pairs"] == 47 * 46 / 2 - 23
        and result["conditions"]["masked/clean"]["impostor_pairs"] == 47 * 46 - 46
    )
    assert clean["figures"]["tar@0.1"]["value"] > 0.9
    both = result["restored_minus_masked"]["opencv"]["against_clean"]
    expected = (
        result["conditions"]["opencv/clean"]["figures"]["accuracy"]["value"]
        - result["conditions"]["masked/clean"]["figures"]["accuracy"]["value"]
    )
    assert both["accuracy"]["value"] == pytest.approx(expected)
    assert 0 < both["accuracy"]["p_value"] <= 1 and 0 < both["mcnemar"]["p_value"] <= 1
    assert sum(row["pairs"] for row in result["groups"]["kind"]) == PEOPLE
    json.dumps(result)
    pictured = page.notable(evaluation, renderer, "opencv")
    pytest.importorskip("matplotlib", reason="the extra plots is not installed")
    facts = {"headline": "H <1>", "relations": {"projection": "none"}}
    whole = page.html(facts, {"projection": result}, [evaluation], ["opencv"], pictured)
    assert whole.count("<svg") == 4 and "data:image/jpeg;base64," in whole and "H &lt;1&gt;" in whole
    assert "http" not in whole.replace("http://www.w3.org/2000/svg", "").replace("http://www.w3.org/1999/xlink", "")


def test_recognizers_are_compared_on_the_same_resamples(people: Path, cache: Path) -> None:
    embedded, _, listed, one = run(people)
    same, worse = standins.Projection("same"), standins.Projection("worse")
    for view in ("clean", "masked", "opencv"):
        embedded.vectors["same", view] = embedded.vectors["projection", view]
        embedded.vectors["worse", view] = -embedded.vectors["projection", view] * np.sign(np.arange(16) - 7.5)
    evaluations = benchmark.evaluate(listed, embedded, [one, same, worse], ["opencv"], seed=0, resamples=100)
    found = benchmark.between(evaluations)
    assert set(found) == {"same - projection", "worse - projection", "worse - same"}
    none = found["same - projection"]["clean/clean"]["accuracy"]
    assert (none["value"], none["low"], none["high"]) == (0, 0, 0)  # paired: no noise is left
    values = [benchmark.summary(j, embedded, ["opencv"])["conditions"]["masked/clean"]["figures"]["auc"]["value"]
              for j in (evaluations[2], evaluations[0])]  # fmt: skip
    assert found["worse - projection"]["masked/clean"]["auc"]["value"] == pytest.approx(values[0] - values[1])


def test_fused_embeddings_are_means_of_unit_length() -> None:
    rng = np.random.default_rng(0)
    one, other = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in rng.normal(size=(2, 4, 8)).astype(np.float32))
    one[1] = np.nan
    one[2] = other[2] = np.nan
    found = benchmark.averaged(one, other)
    np.testing.assert_allclose(np.linalg.norm(found[[0, 1, 3]], axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(found[0] @ one[0], found[0] @ other[0], atol=1e-6)  # as near to the one as to the other
    np.testing.assert_allclose(found[1], other[1], atol=1e-6)  # the restored face alone was found
    assert np.isnan(found[2]).all()


def test_recognizers_are_told_apart_by_what_they_gain_and_how_they_depend(people: Path, cache: Path) -> None:
    embedded, _, listed, one = run(people)
    gains, loses = standins.Projection("gains"), standins.Projection("loses")
    clean, masked = (embedded.vectors["projection", view] for view in ("clean", "masked"))
    noise = np.random.default_rng(0).normal(size=masked.shape).astype(np.float32)
    spoiled = noise / np.linalg.norm(noise, axis=1, keepdims=True) + 0 * masked
    for recognizer, before, after in ((gains, spoiled, clean), (loses, clean, spoiled)):
        for view, vectors in (("clean", clean), ("masked", before), ("opencv", after)):
            embedded.vectors[recognizer.name, view] = vectors
    evaluations = benchmark.evaluate(listed, embedded, [one, gains, loses], ["opencv"], seed=0, resamples=200)
    results = {e.recognizer.name: benchmark.summary(e, embedded, ["opencv"]) for e in evaluations}
    assert report.verdict(results["gains"], "opencv") == "restore"
    assert report.verdict(results["loses"], "opencv") == "leave the mask on"
    identity = evaluations[0].assessor.identity
    alike = benchmark.dependence(embedded, identity, "gains", ["projection"])
    assert alike["projection"] == pytest.approx(1)  # their clean views are the same
    embedded.vectors["loses", "clean"] = spoiled
    assert abs(benchmark.dependence(embedded, identity, "loses", ["projection"])["projection"]) < 0.3
    header, rows = report.recognizer_table(results, "opencv", {"gains": alike})
    assert [row[0] for row in rows] == ["projection", "gains", "loses"] and all(len(r) == len(header) for r in rows)
    assert rows[1][-2:] == ["1.00", "restore"] and rows[2][-2:] == ["-", "leave the mask on"]


def test_masked_pictures_of_others(people: Path, cache: Path, tmp_path: Path) -> None:
    for path in sorted((people / "faces").rglob("*.png")):
        pixels = np.asarray(Image.open(path)).copy()
        pixels[80:] = 200
        target = tmp_path / path.relative_to(people / "faces").with_suffix(".jpg")
        target.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(target)

    class Lower:
        def predict(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            region = np.zeros((len(crops), 1, 128, 128), np.float32)
            region[:, :, 78:] = 1
            return region, np.ones(len(crops), np.float32)

    lower = Lower()

    embedded, renderer, listed, _ = run(people, masks=Folder(tmp_path), segmenter=lower)
    assert embedded.computed == 2 * PEOPLE
    rendered = renderer.render([listed.pictures[0]], ["masked", "opencv"])
    assert abs(int(rendered["masked"][0].pixels[100, 64, 0]) - 200) < 8
    below = np.s_[90:120, 40:90]
    assert np.abs(rendered["masked"][0].pixels[below].astype(int) - 200).max() < 12
    assert np.abs(rendered["opencv"][0].pixels[below].astype(int) - 200).max() > 20
    with pytest.raises(UnmaskError, match="true region"):
        run(people, masks=Folder(tmp_path))
    (tmp_path / "P00" / "P00_0001.jpg").unlink()
    with pytest.raises(UnmaskError, match="no masked picture of P00"):
        run(people, masks=Folder(tmp_path), segmenter=lower)
    (tmp_path / "P00" / "P00_0001.jpg").write_bytes(b"no picture")
    with pytest.raises(UnmaskError, match=r"P00/P00_0001\.jpg: .* not an image"):
        run(people, masks=Folder(tmp_path), segmenter=lower)


def test_command(
    people: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recognition, "load", lambda name: standins.Projection(str(name)))
    found = standins.Fixed()
    found.name = __file__
    monkeypatch.setattr(verification, "load_detector", lambda name: found)
    files = {kind: tmp_path / f"v.{kind}" for kind in ("json", "csv", "html", "markdown")}
    arguments = ["eval-verification", "--pairs", str(people / "pairs.txt"), "--images", str(people / "faces")]
    arguments += ["--recognizer", "embedded", "--recognizer", "other", "--restorer", "opencv", "--restorer", "mask"]
    arguments += ["--region", "true", "--resamples", "50"]
    arguments += [text for kind, path in files.items() for text in (f"--{kind}", str(path))]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "Headline: other. opencv/clean minus masked/clean, " in out and "figures flatter" in out
    rows = list(csv.reader(files["csv"].read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 2 * PEOPLE + 1 and len(rows[0]) == 5 + 2 * 6 + 2 * 5
    seen = dict(zip(rows[0], rows[1], strict=True))
    assert seen["kind b"] in ("surgical", "cloth", "kn95", "n95", "kf94", "unknown") and "degrees" in seen["pose a"]
    assert seen["coverage a"] in ("low", "medium", "high")
    assert sum(row[5] == "" for row in rows[1:]) == 2
    whole = json.loads(files["json"].read_text(encoding="utf-8"))
    assert whole["results"]["other"]["conditions"]["clean/clean"]["figures"]["auc"]["value"] > 0.9
    assert whole["pairs"]["people"] == PEOPLE and whole["options"]["seed"] == 0
    clean = whole["results"]["other"]["conditions"]["clean/clean"]
    assert sum(clean["score_counts"]["genuine"]) == PEOPLE - 1
    assert {pair["line"] for pair in clean["pairs_not_scored"]} == {
        number for number, line in enumerate((people / "pairs.txt").read_text().splitlines(), 1)
        if line.startswith("P03\t1\t2") or line.endswith("P03\t2")
    }  # fmt: skip
    text = files["markdown"].read_text(encoding="utf-8")
    assert "| opencv/clean |" in text and "list TAR@1e-1" in text and text.startswith("Headline: other.")
    assert main([*arguments, "--masked-images", str(people / "faces")]) == 2


def test_store_survives_damage(cache: Path) -> None:
    kept = store.Store("a way")
    kept.put("one", np.arange(3, dtype=np.float32), {"yaw": 1.5})
    kept.put("two", None)
    kept.save()
    read = store.Store("a way")
    assert read.get("one")[0].tolist() == [0, 1, 2] and read.get("one")[1] == {"yaw": 1.5}
    assert read.get("two") == (None, None) and "three" not in read and len(store.Store("another way")) == 0
    read.path.write_bytes(b"damaged")
    assert len(store.Store("a way")) == 0


@pytest.mark.parametrize(
    ("rgb", "name"),
    [((250, 250, 250), "white"), ((120, 120, 120), "gray"), ((10, 20, 30), "black"), ((120, 170, 220), "blue"),
     ((200, 40, 40), "red"), ((60, 150, 70), "green"), ((220, 160, 180), "pink"), ((220, 190, 60), "yellow")],
)  # fmt: skip
def test_color_names(rgb: tuple[int, int, int], name: str) -> None:
    assert views.color_name(rgb) == name
