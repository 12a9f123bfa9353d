"""Skin, cheeks and labels: colors against scikit-image, places by hand, words at their limits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import color

from unmask.errors import UsageError
from unmask.evaluation.restoration import people
from unmask.faces import align

POINTS = align.template("ffhq", 128)[None].astype(np.float32)


def test_lab_agrees_with_scikit_image() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    ours = people.lab(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1)
    np.testing.assert_allclose(ours.permute(0, 2, 3, 1).numpy(), color.rgb2lab(pixels), atol=0.02)


def test_cheeks_lie_beside_the_nose_and_skin_above() -> None:
    cheeks, skin = people.cheeks(POINTS, 128)[0, 0], people.skin(POINTS, 128)[0, 0]
    left, right = cheeks[:, :64].sum(), cheeks[:, 64:].sum()
    assert left == pytest.approx(float(right), rel=0.1) and left > 100
    eyes, nose, mouth = POINTS[0, :2, 1].mean(), POINTS[0, 2], POINTS[0, 3:, 1].mean()
    rows = cheeks.nonzero()[:, 0]
    assert rows.min() > eyes and rows.max() < mouth + 5 and cheeks[int(nose[1]), int(nose[0])] == 0
    assert skin.nonzero()[:, 0].max() < nose[1] and skin[int(eyes) - 17, 64] == 1
    turned = POINTS[:, :, ::-1].copy()  # a face on its side: the same places, on their side
    assert people.cheeks(turned, 128)[0, 0].T.mul(cheeks).sum() > 0.9 * cheeks.sum()


def test_mean_color_over_a_part() -> None:
    image = torch.zeros(1, 3, 20, 20)
    image[:, :, :10] = 1
    where = torch.zeros(1, 1, 20, 20)
    where[:, :, :10] = 1
    assert people.mean_color(image, where)[0].tolist() == pytest.approx([100, 0, 0], abs=0.02)
    assert people.mean_color(image, where * 0).isnan().all()


@pytest.mark.parametrize(
    ("color", "word"),
    [((70, 10, 10), "very light"), ((66, 10, 17), "light"), ((60, 12, 16), "intermediate"), ((57, 12, 20), "tan"),
     ((50, 12, 20), "brown"), ((35, 12, 15), "dark"), ((0, 0, 0), "dark"), ((float("nan"),) * 3, "unknown")],
)  # fmt: skip
def test_tones(color: tuple[float, float, float], word: str) -> None:
    assert people.tone(color) == word


def test_labels_of_names() -> None:
    assert people.labels("utk/34_1_2_20170109.jpg") == {
        "age (label)": "20-39", "gender (label)": "female", "race (label)": "asian",
    }  # fmt: skip
    assert people.labels("7_0_0_2017.webp")["age (label)"] == "0-9"
    assert people.labels("utk/00012.webp") == {} and people.labels("1_2_3_4.jpg") == {}


def test_a_turned_face_by_its_nose() -> None:
    turned = POINTS.copy()
    turned[0, 2] += 0.3 * (POINTS[0, 1] - POINTS[0, 0])
    assert people.view(np.concatenate([POINTS, turned])) == ["frontal", "turned"]
    rolled = turned[..., ::-1].copy()  # a quarter turn and a mirror image leave it turned
    assert people.view(rolled) == ["turned"] and people.view(POINTS[..., ::-1]) == ["frontal"]


def test_light_is_that_of_the_brightest_tenth() -> None:
    dark = torch.full((1, 3, 64, 64), -0.9)
    lamp, border = dark.clone(), dark.clone()
    lamp[..., 16:36, 20:44] = 1  # a quarter of the part that counts
    border[..., :16, :] = 1
    assert people.light(torch.cat([dark, lamp, border])) == ["dim", "bright", "dim"]


def test_notes(tmp_path: Path) -> None:
    file = tmp_path / "labels.json"
    file.write_text('{"faces": ["a", "b"], "labels": {"beard": ["b"]}}')
    assert people.noted(file, ["b", "a", "c"]) == {"beard (noted)": ["yes", "no", "unknown"]}
    with pytest.raises(UsageError, match=r"labels\.json.*none of these"):
        people.noted(file, ["c"])
    for text in ("[]", "{}", '{"faces": ["a"], "labels": ["beard"]}', "nonsense"):
        file.write_text(text)
        with pytest.raises(UsageError, match=r"labels\.json.*give"):
            people.noted(file, ["a"])
    with pytest.raises(UsageError, match=r"none\.json"):
        people.noted(tmp_path / "none.json", ["a"])
