"""The 3-D face: pose from five points, and its surface."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from unmask.simulation.shape3d import POINTS, face_surface, fit_pose, jaw_height, nose, rotation


def picture(yaw: float, pitch: float, roll: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    """Five points of the mean face under a camera made with scipy's rotations."""
    turn = Rotation.from_euler("Z", roll, degrees=True) * Rotation.from_euler("X", pitch, degrees=True)
    turn = turn * Rotation.from_euler("Y", yaw, degrees=True)
    return scale * turn.apply(POINTS)[:, :2] + shift


@given(st.floats(-65, 65), st.floats(-60, 60), st.floats(5, 400), st.floats(-500, 500))
@settings(max_examples=60, deadline=None)
def test_yaw_roll_and_scale_are_found(yaw: float, roll: float, scale: float, shift: float) -> None:
    pose = fit_pose(picture(yaw, 0.0, roll, scale, (shift, -shift)))
    assert pose.yaw == pytest.approx(yaw, abs=1.5)
    assert pose.roll == pytest.approx(roll, abs=1.5)
    assert pose.scale == pytest.approx(scale, rel=0.02)
    assert np.abs(pose.residual).max() < 0.02 * scale


def test_pitch_has_the_right_sign_and_is_held_back() -> None:
    for pitch in (-20.0, 20.0):
        found = fit_pose(picture(10.0, pitch, 5.0, 30.0, (60, 60))).pitch
        assert 0.4 < found / pitch < 1.05


def test_rotation_is_a_rotation() -> None:
    turn = rotation(0.6, -0.3)
    assert turn @ turn.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1.0)
    assert (rotation(0.5, 0.0) @ (0, 0, 1))[0] > 0  # the nose goes right
    assert (rotation(0.0, 0.5) @ (0, 0, 1))[1] < 0  # the nose goes up


def test_fitted_projection_meets_the_points() -> None:
    points = picture(20.0, 0.0, 3.0, 30.0, (60, 60)) + np.random.default_rng(0).normal(0, 1.0, (5, 2))
    pose = fit_pose(points)
    plain = np.abs(pose.project(POINTS)[:, :2] - points).max()
    fitted = np.abs(pose.project_fitted(POINTS)[:, :2] - points).max()
    assert fitted < plain


def test_surface_is_symmetric_and_ends_at_the_jaw() -> None:
    theta = np.linspace(-80, 80, 33)
    t = np.linspace(0.1, 1.2, 12)[:, None]
    points = face_surface(theta, t)
    assert points[:, ::-1] * (-1, 1, 1) == pytest.approx(points)
    assert face_surface(theta, np.array(1.0))[:, 1] == pytest.approx(jaw_height(theta), abs=0.2)
    assert (face_surface(theta, np.array(1.15))[:, 2] < face_surface(theta, np.array(1.0))[:, 2]).all()
    hanging = face_surface(np.array(0.0), np.array(1.2), wrap=0.0)
    assert hanging[1] > face_surface(np.array(0.0), np.array(1.2), wrap=1.0)[1]


def test_nose_tip_is_where_the_point_is() -> None:
    tip = POINTS[2]
    face = face_surface(np.array(0.0), np.array(tip[1] / jaw_height(np.array(0.0))))
    assert face[2] + nose(np.array(0.0), np.array(tip[1])) == pytest.approx(tip[2], abs=0.12)
    assert nose(np.array(0.6), np.array(0.5)) < 0.01
