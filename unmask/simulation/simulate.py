"""Simulated face masks: a photo of a bare face and its five points -> the same photo with a face mask on.

The garment is a mesh over a simple 3-D face (`shape3d`, `drape`), colored and creased (`textures`), lit by the light
that the visible skin shows (`lighting`), drawn with anti-aliasing, blurred and grained like the photo, and put over it
with a soft shadow. Everything random comes from the given generator: same generator state, same picture.

The region is every pixel that the garment covers, straps inside the picture included; soft edges are the covered
share of a pixel. The contact shadow lies outside the region: there the photo is a little darker, never covered.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from unmask.simulation import lighting
from unmask.simulation.compose import Layer, Simulated, check_image, compose
from unmask.simulation.drape import Drape, drape
from unmask.simulation.garments import Garment, sample_garment
from unmask.simulation.occluders import occlude
from unmask.simulation.relief import emboss
from unmask.simulation.render import Strap, normals_of, rasterise, surface
from unmask.simulation.shape3d import Array, Pose, fit_pose
from unmask.simulation.textures import paint, place_valves

__all__ = ["Garment", "Simulated", "occlude", "sample_garment", "simulate"]

Float = NDArray[np.float32]
Image = NDArray[np.uint8]

_OVERSAMPLE = 2.0
_ODD = 0.08  # share of garments whose light and grain do not match the photo, for variety
# Eye distances in drawn pixels: smaller faces are drawn enlarged, larger ones reduced.
_SMALLEST, _LARGEST = 48.0, 220.0


def simulate(image: Image, kps: Array, rng: np.random.Generator, garment: Garment | None = None) -> Simulated:
    """Put a face mask on a face.

    Args:
        image: uint8 RGB [H, W, 3], any size.
        kps: five points [5, 2] of the bare face (eyes, nose tip, mouth corners) in pixels of `image`.
        rng: source of everything random.
        garment: what to put on; drawn by `sample_garment` when None. Its fit and folds stay random.

    Raises:
        ValueError: the image is not uint8 [H, W, 3], or the points are no face.
    """
    check_image(image)
    pose = fit_pose(kps)
    garment = garment or sample_garment(rng)
    worn = drape(garment, rng, width=float(rng.normal(1.0, 0.03)), chin=float(rng.normal(1.015, 0.035)))
    light = lighting.estimate_light(image, pose, rng)
    grain = lighting.estimate_grain(image, pose)
    if rng.random() < _ODD:
        light, grain = _odd(light, grain, rng)
    layer = _draw(garment, worn, pose, light, rng, image.shape[:2])
    return Simulated(*compose(image, layer, grain, rng, pose.scale), garment)


def _odd(
    light: lighting.Light, grain: lighting.Grain, rng: np.random.Generator
) -> tuple[lighting.Light, lighting.Grain]:
    """Light and grain that do not fit the photo: flash, shade, pasted pictures, other cameras."""
    level = light.level * rng.uniform(0.6, 1.5) * np.exp(rng.normal(0, 0.1, 3) * light.colorful)
    slope = light.slope * rng.uniform(0.0, 1.6) + rng.normal(0, 0.2, 3)
    odd = lighting.Grain(grain.noise * rng.uniform(0, 2), float(rng.uniform(0.3, 1.0)))
    return lighting.Light(level, slope, light.colorful), odd


def _draw(
    garment: Garment,
    worn: Drape,
    pose: Pose,
    light: lighting.Light,
    rng: np.random.Generator,
    shape: tuple[int, ...],
) -> Layer | None:
    zoom = min(max(_OVERSAMPLE, _SMALLEST / pose.scale), _LARGEST / pose.scale, 8.0)
    width = int(np.clip(2.0 * pose.scale * zoom, 40, 480)) // 4 * 4
    height = width * 3 // 4
    mesh = pose.project_fitted(worn.mesh)
    points = surface(mesh, height, width)
    valves = place_valves(garment, rng)
    relief = emboss(garment, rng, height, width, valves)
    smooth = cv2.resize(normals_of(surface(mesh, height // 4, width // 4)), (width, height))
    points += smooth * (relief * pose.scale)[..., None]
    shade = _shading(points, relief, light)
    albedo = lighting.to_linear_table()[paint(garment, rng, height, width, valves)]
    if not light.colorful:
        albedo = np.repeat(albedo @ np.array([[0.2126], [0.7152], [0.0722]], np.float32), 3, axis=2)
    colors = lighting.encode(albedo * shade[..., None] * light.level.astype(np.float32))
    straps = _straps(garment, worn, pose, light, rng)
    return rasterise(points, smooth[..., 2] > -0.02, colors, straps, pose, zoom, shape)


def _straps(garment: Garment, worn: Drape, pose: Pose, light: lighting.Light, rng: np.random.Generator) -> list[Strap]:
    albedo = lighting.to_linear_table()[np.array(garment.loop_color, np.uint8)]
    broad = garment.style in ("contour", "sport") and rng.random() < 0.5
    thickness = pose.scale * float(rng.uniform(0.06, 0.14) if broad else rng.uniform(0.02, 0.05))
    straps = []
    for line in worn.straps:
        tone = (albedo if light.colorful else albedo.mean()) * light.level * rng.uniform(0.6, 0.95)
        visible = _visible(line, pose)
        if len(visible) > 1:
            straps.append(Strap(visible, lighting.encode(tone.astype(np.float32)), thickness))
    return straps


def _visible(line: Array, pose: Pose) -> Array:
    """The part of a strap that the head does not hide, in pixels [m, 3]; m may be 0."""
    outward = np.stack([line[:, 0], np.zeros(len(line)), line[:, 2] + 1.15], -1)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    hidden = outward @ pose.camera[2] < -0.05 * pose.scale
    return pose.project_fitted(line[: int(hidden.argmax()) if hidden.any() else len(line)])


def _shading(points: Float, relief: Float, light: lighting.Light) -> Float:
    """Light on each texel, relative to a surface that faces the camera, with the dark of creases."""
    normals = normals_of(points)
    slope = 1.25 * light.slope.astype(np.float32)
    shade = np.exp(normals @ slope - slope[2])
    hollow = relief - cv2.blur(relief, (7, 9))
    return np.clip(shade * (1.0 + np.clip(hollow * 24.0, -0.40, 0.10)), 0.02, 2.5)
