"""A small parametric face: pose from five points and the surface a face mask lies on.

Face coordinates: x to the right of the picture, y down, z towards the camera, one unit = the distance between the
eyes, origin between the eyes. The camera is weak-perspective (rotation, one scale, one shift). The surface is given by
two angles of freedom: `theta`, the azimuth around the head in degrees (0 = nose, 90 = ear), and `t`, the height
(0 = eye level, 1 = the jaw line, above 1 = under the jaw or hanging below it).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Eyes, nose tip and mouth corners of the mean face. The frontal x and y are the ffhq template in eye distances.
POINTS = np.array([[-0.5, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, 0.587, 0.50], [-0.444, 1.043, 0.10], [0.444, 1.043, 0.10]])

_THETA = np.arange(0.0, 91.0, 15.0)
_JAW_Y = np.array([1.72, 1.69, 1.57, 1.35, 1.06, 0.75, 0.45])
_RING_X = np.array(
    [
        [0.0, 0.280, 0.540, 0.764, 0.935, 1.043, 1.08],  # eye level
        [0.0, 0.265, 0.515, 0.735, 0.905, 1.020, 1.06],  # mouth level
        [0.0, 0.270, 0.510, 0.720, 0.870, 0.960, 1.00],  # jaw line
    ]
)
_RING_Z = np.array(
    [
        [0.12, 0.08, -0.03, -0.20, -0.48, -0.82, -1.15],
        [0.26, 0.19, 0.01, -0.22, -0.54, -0.85, -1.12],
        [0.18, 0.13, -0.04, -0.30, -0.65, -0.92, -1.10],
    ]
)

_YAWS = np.radians(np.arange(-80.0, 80.1, 5.0))
_PITCHES = np.radians(np.arange(-35.0, 35.1, 5.0))


def rotation(yaw: float | Array, pitch: float | Array) -> Array:
    """Rotation matrices [..., 3, 3] for radians: positive yaw turns the nose right, positive pitch turns it up."""
    yaw, pitch = np.broadcast_arrays(np.asarray(yaw, np.float64), np.asarray(pitch, np.float64))
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    zero = np.zeros_like(cy)
    rows = [[cy, zero, sy], [sp * sy, cp, -sp * cy], [-cp * sy, sp, cp * cy]]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def _grid() -> tuple[Array, Array, Array]:
    yaw, pitch = np.meshgrid(_YAWS, _PITCHES, indexing="ij")
    projected = (rotation(yaw, pitch)[..., None, :, :] @ POINTS[:, :, None])[..., :2, 0]
    source = projected[..., 0] + 1j * projected[..., 1]
    center = source.mean(-1)
    source = source - center[..., None]
    # How far the pose is from straight ahead, in units of squared eye distance: noses differ in length from face to
    # face, so a little pitch is explained away; yaw is seen well and needs hardly any prior.
    prior = 0.010 * (pitch / np.radians(15.0)) ** 2 + 0.0006 * (yaw / np.radians(30.0)) ** 2
    return source, center, prior


_GRID_SOURCE, _GRID_CENTER, _GRID_PRIOR = _grid()


@dataclass(frozen=True)
class Pose:
    """A weak-perspective camera fitted to five points.

    Attributes:
        yaw, pitch, roll: degrees; positive yaw = nose to the right of the picture, pitch = up, roll = clockwise.
        scale: pixels per eye distance of the frontal face.
        camera: [3, 3] scaled rotation; the first two rows give pixels, the third a depth in pixels (near = large).
        shift: [2] pixel position of the origin between the eyes.
        residual: [5, 2] what the fit leaves of the five points, in pixels.
    """

    yaw: float
    pitch: float
    roll: float
    scale: float
    camera: Array
    shift: Array
    residual: Array

    def project(self, points: Array) -> Array:
        """Pixels and depth [..., 3] of face coordinates [..., 3]."""
        out = points @ self.camera.T
        out[..., :2] += self.shift
        return out

    def project_fitted(self, points: Array) -> Array:
        """Like `project`, bent smoothly so that the five points themselves are (mostly) met."""
        out = self.project(points)
        flat = points.reshape(-1, 3)
        distance = ((flat[:, None, :2] - POINTS[None, :, :2]) ** 2).sum(-1)
        weight = np.exp(-distance / 0.32)
        weight /= weight.sum(1, keepdims=True) + 0.35
        out[..., :2] += (weight @ self.residual).reshape(*out.shape[:-1], 2)
        return out


def ordered(kps: Array) -> Array:
    """Points [5, 2] with left and right exchanged where the face is upside down, so that no reflection is needed."""
    points = np.asarray(kps, np.float64)
    if points.shape != (5, 2):
        raise ValueError(f"five points are needed as [5, 2], got {points.shape}")
    if not np.isfinite(points).all():
        raise ValueError("the five points must be finite numbers")
    across = points[1] - points[0]
    down = points[3:].mean(0) - points[:2].mean(0)
    if across[0] * down[1] - across[1] * down[0] < 0:
        return points[[1, 0, 2, 4, 3]]
    return points


def fit_pose(kps: Array) -> Pose:
    """Yaw, pitch, roll, scale and shift from points [5, 2] by a search over a grid and one parabola step.

    For given yaw and pitch the best similarity is closed-form (complex least squares), so all poses are tried at once.
    """
    points = ordered(kps)
    target = points[:, 0] + 1j * points[:, 1]
    mean = target.mean()
    target = target - mean
    power = float((np.abs(target) ** 2).sum())
    if power < 1e-6:
        raise ValueError("the five points lie on one spot; they are no face")
    cross = (np.conj(_GRID_SOURCE) * target).sum(-1)
    source_power = (np.abs(_GRID_SOURCE) ** 2).sum(-1)
    # residual in eye distances: divide by the squared scale that the fit itself proposes
    scale2 = np.abs(cross) ** 2 / source_power**2 + 1e-9
    cost = (power - np.abs(cross) ** 2 / source_power) / scale2 + _GRID_PRIOR
    i, j = np.unravel_index(int(cost.argmin()), cost.shape)
    yaw = _refine(_YAWS, cost[:, j], int(i))
    pitch = _refine(_PITCHES, cost[i, :], int(j))
    return _pose(points, yaw, pitch)


def _refine(axis: Array, cost: Array, at: int) -> float:
    if at in (0, len(axis) - 1):
        return float(axis[at])
    a, b, c = cost[at - 1 : at + 2]
    curve = a - 2 * b + c
    offset = 0.0 if curve <= 1e-12 else float(np.clip(0.5 * (a - c) / curve, -0.5, 0.5))
    return float(axis[at] + offset * (axis[1] - axis[0]))


def _pose(points: Array, yaw: float, pitch: float) -> Pose:
    turn = rotation(yaw, pitch)
    flat = (POINTS @ turn.T)[:, :2]
    center = flat.mean(0)
    source = (flat - center) @ np.array([1, 1j])
    mean = points.mean(0)
    target = (points - mean) @ np.array([1, 1j])
    factor = (np.conj(source) * target).sum() / (np.abs(source) ** 2).sum()
    scale, roll = float(np.abs(factor)), float(np.angle(factor))
    cr, sr = np.cos(roll) * scale, np.sin(roll) * scale
    camera = np.array([[cr, -sr, 0.0], [sr, cr, 0.0], [0.0, 0.0, scale]]) @ turn
    shift = mean - np.array([[cr, -sr], [sr, cr]]) @ center
    residual = points - (POINTS @ camera[:2].T + shift)
    return Pose(np.degrees(yaw), np.degrees(pitch), np.degrees(roll), scale, camera, shift, residual)


def jaw_height(theta: Array) -> Array:
    """Height y of the jaw line at azimuth theta (degrees), in eye distances below the eyes."""
    return np.interp(np.abs(theta), _THETA, _JAW_Y)


def face_surface(theta: Array, t: Array, wrap: float = 1.0, width: float = 1.0, chin: float = 1.0) -> Array:
    """Points [..., 3] of the face without its nose.

    Args:
        theta: azimuth in degrees, negative to the left.
        t: height, 0 at the eyes, 1 on the jaw line; beyond 1 the surface turns under the jaw (`wrap` 1) or hangs
            straight down (`wrap` 0).
        width, chin: factors on the width of the face and on the height of the jaw below the mouth.
    """
    theta, t = np.broadcast_arrays(theta, t)
    azimuth = np.abs(theta)
    low = np.clip(t, -0.5, 1.0)
    ring_x = [np.interp(azimuth, _THETA, row) for row in _RING_X]
    ring_z = [np.interp(azimuth, _THETA, row) for row in _RING_Z]
    # quadratic Lagrange weights for the rings at t = 0, 0.6, 1
    w0 = (low - 0.6) * (low - 1.0) / 0.6
    w1 = low * (low - 1.0) / (0.6 * -0.4)
    w2 = low * (low - 0.6) / 0.4
    x = w0 * ring_x[0] + w1 * ring_x[1] + w2 * ring_x[2]
    z = w0 * ring_z[0] + w1 * ring_z[1] + w2 * ring_z[2]
    jaw = np.interp(azimuth, _THETA, _JAW_Y)
    y = low * jaw
    beyond = np.maximum(t - 1.0, 0.0)
    x = x * (1.0 - 1.2 * wrap * beyond)
    y = y + beyond * (0.25 * wrap + 1.6 * (1.0 - wrap))
    z = z - beyond * (1.9 * wrap + 0.2 * (1.0 - wrap))
    y = np.where(y > 1.0, 1.0 + (y - 1.0) * (1.0 + (chin - 1.0) * 2.4), y)
    return np.stack([np.sign(theta) * x * width, y, z], -1)


def nose(x: Array, y: Array, breadth: float = 0.17, tent: float = 0.0) -> Array:
    """Height of the nose over the face at (x, y); `tent` 0..1 lets cloth run on from its tip down to the chin."""
    up = np.interp(y, [-0.15, 0.0, 0.587, 0.74, 1.2, 1.72], [0.06, 0.10, 0.36, 0.0, 0.0, 0.0])
    cloth = np.interp(y, [-0.15, 0.0, 0.587, 0.80, 1.2, 1.72], [0.06, 0.10, 0.36, 0.33, 0.18, 0.03])
    return (up + tent * (cloth - up)) * np.exp(-((x / breadth) ** 2))
