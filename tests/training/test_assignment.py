"""Assignment of anchors to faces, and the detector's losses."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unmask.models.detector import STRIDES, Detector
from unmask.training import assignment as task

GRID = task.anchors(128, 160)


def test_anchors_stand_in_the_order_of_the_outputs() -> None:
    scores, _, _ = Detector().eval()(torch.zeros(1, 3, 128, 160))
    assert GRID.counts == tuple(s.shape[1] for s in scores)
    assert len(GRID.center) == len(GRID.size) == len(GRID.stride) == sum(GRID.counts)
    assert GRID.stride[0] == STRIDES[0] and GRID.stride[-1] == STRIDES[-1]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(5, 120), st.floats(5, 100), st.floats(10, 120)), min_size=1, max_size=4))
def test_every_face_that_stands_alone_gets_an_anchor(faces: list[tuple[float, float, float]]) -> None:
    boxes = torch.tensor([[x - s / 2, y - s / 2, x + s / 2, y + s / 2] for x, y, s in faces])
    owner, counts = task.assign(GRID, boxes[:1], torch.zeros(0, 4))
    assert (owner >= 0).any() and counts.all()
    owner, _ = task.assign(GRID, boxes, torch.zeros(0, 4))
    assert owner.max() < len(boxes) and (owner >= 0).any()


def test_a_small_face_goes_to_the_fine_level_and_a_large_one_to_the_coarse() -> None:
    small = torch.tensor([[40.0, 40.0, 58.0, 60.0]])
    owner, _ = task.assign(GRID, small, torch.zeros(0, 4))
    assert set(GRID.stride[owner >= 0].tolist()) == {8.0}
    large = torch.tensor([[-60.0, -80.0, 200.0, 220.0]])
    owner, _ = task.assign(GRID, large, torch.zeros(0, 4))
    assert set(GRID.stride[owner >= 0].tolist()) == {32.0}


def test_ignored_boxes_do_not_count_but_faces_in_them_do() -> None:
    face = torch.tensor([[40.0, 40.0, 72.0, 72.0]])
    owner, counts = task.assign(GRID, face, torch.tensor([[30.0, 30.0, 100.0, 100.0]]))
    assert counts[owner >= 0].all()
    inside = ((GRID.center > 31) & (GRID.center < 99)).all(1)
    assert not counts[inside & (owner < 0)].any() and counts[~((GRID.center > 29) & (GRID.center < 101)).all(1)].all()


def test_iou_and_diou_by_hand() -> None:
    a, b = torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[1.0, 0.0, 3.0, 2.0]])
    assert float(task.iou(a, b)) == pytest.approx(2 / 6)
    assert float(task.diou(a, b)) == pytest.approx(2 / 6 - 1 / 13)
    assert float(task.iou(a, a + 5)) == 0.0
    assert float(task.diou(a, a)) == pytest.approx(1.0)


def test_quality_focal_is_zero_where_the_score_is_right_and_is_largest_where_it_is_wrong() -> None:
    logits = torch.tensor([-20.0, 20.0, 0.0])
    right = task.quality_focal(logits, torch.tensor([0.0, 1.0, 0.5]))
    assert right.abs().max() < 1e-6
    assert (task.quality_focal(logits, torch.tensor([1.0, 0.0, 1.0])) > 0.1).all()


def _outputs(boxes: torch.Tensor, points: torch.Tensor, owner: torch.Tensor, score: float) -> tuple:
    """Outputs that say exactly these faces at the anchors that own them."""
    face = owner.clamp(min=0)
    near, far = GRID.center - boxes[face, :2], boxes[face, 2:] - GRID.center
    distance = torch.cat([near, far], 1) / GRID.stride[:, None]
    off = (points[face] - GRID.center[:, None]).flatten(1) / GRID.stride[:, None]
    logits = torch.where(owner >= 0, score, -score)[:, None]
    return tuple([t[None] for t in part.split(GRID.counts)] for part in (logits, distance, off))


def test_losses_vanish_at_the_truth_and_points_that_are_guesses_do_not_count() -> None:
    boxes = torch.tensor([[30.0, 30.0, 62.0, 70.0], [90.0, 20.0, 150.0, 100.0]])
    points = torch.rand(2, 5, 2) * 30 + 40
    owner, counts = task.assign(GRID, boxes, torch.zeros(0, 4))
    outputs = _outputs(boxes, points, owner, 20.0)
    known = {"owner": owner[None], "counts": counts[None], "boxes": boxes[None], "points": points[None]}
    found = task.losses(outputs, GRID, **known, trusted=torch.ones(1, 2, dtype=torch.bool))
    assert all(float(v) < 1e-4 for v in found.values()), found
    known["points"] = known["points"] + 10
    assert float(task.losses(outputs, GRID, **known, trusted=torch.ones(1, 2, dtype=torch.bool))["points"]) > 0.1
    assert float(task.losses(outputs, GRID, **known, trusted=torch.zeros(1, 2, dtype=torch.bool))["points"]) == 0.0


def test_a_scene_without_faces_has_a_score_loss_only() -> None:
    outputs = Detector()(torch.zeros(1, 3, 128, 160))
    owner, counts = task.assign(GRID, torch.zeros(0, 4), torch.zeros(0, 4))
    found = task.losses(
        outputs,
        GRID,
        owner[None],
        counts[None],
        torch.zeros(1, 2, 4),
        torch.zeros(1, 2, 5, 2),
        torch.zeros(1, 2, dtype=torch.bool),
    )
    assert list(found) == ["score"] and torch.isfinite(found["score"])
