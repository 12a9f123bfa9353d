"""Relation losses against values worked out by hand and by loops."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from unmask.losses import relation


def test_distances_of_a_right_triangle() -> None:
    corners = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    torch.testing.assert_close(relation.distances(corners), torch.tensor([3.0, 4.0, 5.0]) / 4)


def test_distance_by_hand() -> None:
    line = torch.tensor([[0.0], [1.0], [2.0]])  # distances 1, 2, 1 over their mean 4/3
    triangle = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(0.75)]])  # all 1
    wanted = sum(0.5 * (d / (4 / 3) - 1) ** 2 for d in (1, 2, 1)) / 3
    assert float(relation.distance(line, triangle)) == pytest.approx(wanted, abs=1e-6)


def test_angle_by_hand() -> None:
    line = torch.tensor([[0.0], [1.0], [2.0]])  # cosines at the ends 1, in the middle -1, each in two orders
    triangle = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(0.75)]])  # all 1/2
    huber = (0.5 * 0.5**2 * 4 + (1.5 - 0.5) * 2) / 6
    assert float(relation.angle(line, triangle)) == pytest.approx(huber, abs=1e-6)


def test_against_loops(rng: np.random.Generator) -> None:
    points = rng.normal(size=(6, 5))
    triples = [t for t in itertools.permutations(range(6), 3)]

    def cosine(i: int, j: int, k: int) -> float:
        a, b = points[i] - points[j], points[k] - points[j]
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    found = relation.angles(torch.from_numpy(points))
    assert len(found) == len(triples) == 120
    np.testing.assert_allclose(sorted(found.numpy()), sorted(cosine(*t) for t in triples), atol=1e-9)


def test_only_relations_count(rng: np.random.Generator) -> None:
    teacher = torch.from_numpy(rng.normal(size=(7, 4)))
    turn = torch.linalg.qr(torch.from_numpy(rng.normal(size=(9, 9))))[0][:4]
    moved = 3 * teacher @ turn + 5  # turned, scaled, shifted, and longer vectors
    assert float(relation.distance(moved, teacher)) == pytest.approx(0, abs=1e-9)
    assert float(relation.angle(moved, teacher)) == pytest.approx(0, abs=1e-9)


def test_too_few_faces_have_no_relations() -> None:
    one = torch.randn(2, 3)
    assert float(relation.angle(one, one + 1)) == 0 and float(relation.distance(one[:1], one[:1])) == 0


def test_gradients_reach_the_student_alone_even_where_faces_coincide() -> None:
    student = torch.zeros(4, 3).index_fill(0, torch.tensor([3]), 1.0).requires_grad_()
    teacher = torch.randn(4, 3, requires_grad=True)
    (relation.distance(student, teacher) + relation.angle(student, teacher)).backward()
    assert teacher.grad is None and student.grad is not None and bool(student.grad.isfinite().all())


def test_contrast_against_hand_computed_values() -> None:
    teacher = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.8, 0.6, 0.0]], dtype=torch.float64)
    student = torch.tensor([[1.0, 0.0, 0.0], [0.6, 0.0, 0.8], [0.0, 0.0, 1.0]], dtype=torch.float64, requires_grad=True)
    # rows 0 and 2 are one person to the teacher (0.8), and so are 1 and 2 (0.6): row 2 has nobody to be told from
    rows = [-np.log(np.exp(2.0) / (np.exp(2.0) + 1)), -np.log(1 / (1 + np.exp(1.2))), 0.0]
    found = relation.contrast(student, teacher, scale=2.0)
    assert float(found) == pytest.approx(np.mean(rows), abs=1e-9)
    found.backward()
    assert float(student.grad[2].abs().max()) == 0 and float(student.grad[1].abs().max()) > 0
    assert float(relation.contrast(teacher, teacher, scale=100.0)) < 1e-6
    others = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.6, 0.8], [0.0, -0.8, 0.6]], dtype=torch.float64)
    # row 1 is like the second of them (0.6); its cosines with the other two are 0.8 and 0.48, its own is 0
    second = -np.log(1 / (1 + np.exp(1.6) + np.exp(0.96)))
    assert float(relation.contrast(student[1:2], teacher[1:2], others, scale=2.0)) == pytest.approx(second, abs=1e-9)
