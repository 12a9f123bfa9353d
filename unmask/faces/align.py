"""Alignment of faces: five points, named templates, similarity transforms and warps.

A matrix here is always *forward*: float64 ``[2, 3]`` taking a point of the source (x right, y down, pixel
centers at integer coordinates) to its place in the target,
``target = matrix[:, :2] @ source + matrix[:, 2]``.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

_ARCFACE = [
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
]

# name -> ((height, width) the points are given for, left eye, right eye, nose, left and right mouth corner)
TEMPLATES: dict[str, tuple[tuple[int, int], FloatArray]] = {
    "ffhq": (
        (512, 512),
        np.array([(192.98, 239.95), (318.90, 240.19), (256.63, 314.02), (201.26, 371.41), (313.09, 371.15)]),
    ),
    "arcface": (
        (112, 112),
        np.array(_ARCFACE),
    ),
    "from": (
        (112, 96),
        np.array(_ARCFACE) - np.array([8.0, 0.0]),  # the arcface crop, eight columns narrower on each side
    ),
    # The arcface points, moved so that dlib's own landmarks of 30 London faces fall where its chips (150 pixels, a
    # quarter of padding) have them in the middle.
    "dlib": (
        (150, 150),
        (np.array(_ARCFACE) - np.mean(_ARCFACE[:2], axis=0)) * 1.47 + np.array([73.4, 44.0]),
    ),
}

_BORDERS = {
    "reflect": cv2.BORDER_REFLECT_101,
    "constant": cv2.BORDER_CONSTANT,
    "replicate": cv2.BORDER_REPLICATE,
}
_FILTERS = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "lanczos": cv2.INTER_LANCZOS4,
}
_SHRINK_BELOW = 0.75  # warps that shrink more than this get an averaging pass first


def _size(size: int | tuple[int, int]) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
    if height < 1 or width < 1:
        raise ValueError(f"a crop needs a positive size, not {height}x{width}")
    return height, width


def template(name: str, size: int | tuple[int, int] | None = None) -> FloatArray:
    """The five points of a named template in a crop of ``size`` (height, width), float64 ``[5, 2]``.

    Coordinates scale with the height (``x * size / native``, the convention this field shares); a crop of
    another shape keeps the face centerd from left to right. Without a size, the template's own size.

    Raises:
        ValueError: the name is not one of ``TEMPLATES`` or the size is not positive.
    """
    if name not in TEMPLATES:
        raise ValueError(f"no template named {name!r}; there are {', '.join(sorted(TEMPLATES))}")
    (native_h, native_w), points = TEMPLATES[name]
    height, width = (native_h, native_w) if size is None else _size(size)
    scale = height / native_h
    out = points * scale
    out[:, 0] += (width - native_w * scale) / 2
    return out


def similarity(src: ArrayLike, dst: ArrayLike) -> FloatArray:
    """The similarity transform that maps points ``src`` onto ``dst`` with least squared error.

    Closed form of Umeyama (1991) in two dimensions. With centerd points as complex numbers ``a`` and ``b``,
    rotation and scale are one complex factor ``sum(conj(a) * b) / sum(|a|^2)``, which cannot mirror.

    Args:
        src, dst: points ``[K, 2]``, K >= 2.

    Returns:
        float64 ``[2, 3]``, forward from ``src`` to ``dst``.

    Raises:
        ValueError: shapes differ, values are not finite, or the points do not fix a transform.
    """
    a, b = np.asarray(src, dtype=np.float64), np.asarray(dst, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 2 or a.shape[1] != 2 or len(a) < 2:
        raise ValueError(f"similarity needs two equal lists of at least two points: {a.shape}, {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("similarity needs finite points")
    mean_a, mean_b = a.mean(0), b.mean(0)
    a, b = a - mean_a, b - mean_b
    spread = float((a * a).sum())
    real = float((a * b).sum())
    imag = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum())
    if spread <= 1e-12 or math.hypot(real, imag) <= 1e-9 * spread:
        raise ValueError("the points lie on top of each other, they fix no transform")
    c, s = real / spread, imag / spread
    linear = np.array([[c, -s], [s, c]])
    return np.concatenate([linear, (mean_b - linear @ mean_a)[:, None]], axis=1)


def invert(matrix: ArrayLike) -> FloatArray:
    """The inverse of a ``[2, 3]`` transform, again ``[2, 3]``; ValueError when it has none."""
    m = np.asarray(matrix, dtype=np.float64)
    if m.shape != (2, 3) or not np.isfinite(m).all() or abs(np.linalg.det(m[:, :2])) < 1e-12:
        raise ValueError("the matrix has no inverse; it must be a finite, non-degenerate [2, 3] transform")
    linear = np.linalg.inv(m[:, :2])
    return np.concatenate([linear, (-linear @ m[:, 2])[:, None]], axis=1)


def compose(second: ArrayLike, first: ArrayLike) -> FloatArray:
    """The transform that applies ``first`` and then ``second``, ``[2, 3]``."""
    m2, m1 = np.asarray(second, dtype=np.float64), np.asarray(first, dtype=np.float64)
    return np.concatenate([m2[:, :2] @ m1[:, :2], (m2[:, :2] @ m1[:, 2] + m2[:, 2])[:, None]], axis=1)


def scale_of(matrix: ArrayLike) -> float:
    """How many target pixels one source pixel spans (the square root of the area factor)."""
    m = np.asarray(matrix, dtype=np.float64)
    return math.sqrt(abs(float(np.linalg.det(m[:, :2]))))


def transform_points(points: ArrayLike, matrix: ArrayLike) -> FloatArray:
    """Points ``[..., 2]`` taken through ``matrix`` ``[2, 3]``, float64."""
    m = np.asarray(matrix, dtype=np.float64)
    return np.asarray(points, dtype=np.float64) @ m[:, :2].T + m[:, 2]


def between(
    template_a: str, size_a: int | tuple[int, int], template_b: str, size_b: int | tuple[int, int]
) -> FloatArray:
    """The matrix from a crop of ``template_a`` at ``size_a`` to one of ``template_b`` at ``size_b``."""
    return similarity(template(template_a, size_a), template(template_b, size_b))


def _window(matrix: FloatArray, size: tuple[int, int], shape: tuple[int, int], margin: float) -> tuple[slice, slice]:
    """The part of a source ``shape`` that a warp to ``size`` reads, reflection at the borders included."""
    height, width = size
    corners = transform_points([(-1, -1), (width, -1), (-1, height), (width, height)], invert(matrix))
    slices = []
    for axis, extent in ((1, shape[0]), (0, shape[1])):
        low, high = corners[:, axis].min() - margin, corners[:, axis].max() + margin
        over = max(0.0, -low, high - (extent - 1))  # what hangs over a border is mirrored from inside
        if over > 0:
            low, high = low - over, high + over
        start = int(np.clip(math.floor(low), 0, extent - 1))
        stop = int(np.clip(math.ceil(high) + 1, start + 1, extent))
        slices.append(slice(start, stop))
    return slices[0], slices[1]


def warp(
    image: NDArray[Any],
    matrix: ArrayLike,
    size: int | tuple[int, int],
    border: str = "reflect",
    value: float = 0.0,
    filter: str = "cubic",
) -> NDArray[Any]:
    """Resample ``image`` through the forward ``matrix`` into a crop of ``size``.

    A warp that shrinks first averages over areas, so that fine patterns do not turn into false ones.

    Args:
        image: uint8, uint16 or float32 ``[H, W]`` or ``[H, W, C]`` with C up to 4.
        matrix: ``[2, 3]``, image to crop.
        size: (height, width), or one number for a square.
        border: what lies outside the image: ``reflect``, ``replicate``, or ``constant`` with ``value``.
        filter: ``nearest``, ``linear``, ``cubic`` or ``lanczos``; ``nearest`` skips the averaging.

    Returns:
        The crop, of the image's type, ``[h, w]`` or ``[h, w, C]``.
    """
    if border not in _BORDERS or filter not in _FILTERS:
        raise ValueError(f"warp knows the borders {sorted(_BORDERS)} and the filters {sorted(_FILTERS)}")
    if image.ndim not in (2, 3) or image.size == 0:
        raise ValueError(f"warp needs an image [H, W] or [H, W, C], not {image.shape}")
    m, (height, width) = np.asarray(matrix, dtype=np.float64), _size(size)
    scale = scale_of(m)
    rows, columns = _window(m, (height, width), image.shape[:2], 4 / min(scale, 1.0))
    source = np.ascontiguousarray(image[rows, columns])
    m = compose(m, np.array([[1.0, 0.0, columns.start], [0.0, 1.0, rows.start]]))
    if scale < _SHRINK_BELOW and filter != "nearest":
        old_h, old_w = source.shape[:2]
        new_h, new_w = max(1, round(old_h * scale)), max(1, round(old_w * scale))
        source = cv2.resize(source, (new_w, new_h), interpolation=cv2.INTER_AREA)
        fx, fy = old_w / new_w, old_h / new_h  # centers of small pixels, seen in the large image
        m = compose(m, np.array([[fx, 0.0, (fx - 1) / 2], [0.0, fy, (fy - 1) / 2]]))
    crop = cv2.warpAffine(
        source,
        invert(m),
        (width, height),
        flags=_FILTERS[filter] | cv2.WARP_INVERSE_MAP,
        borderMode=_BORDERS[border],
        borderValue=(float(value),) * 4,
    )
    return crop.reshape(height, width, *image.shape[2:])


def crop_face(
    image: NDArray[Any], kps: ArrayLike, name: str, size: int | tuple[int, int], border: str = "replicate"
) -> tuple[NDArray[Any], FloatArray]:
    """A face aligned to a named template: the crop and the matrix from the photo to it.

    Args:
        image: uint8 or float32 ``[H, W, C]``.
        kps: the five points in the photo, ``[5, 2]``.
        border: what lies outside the photo; mirrored, it would show second faces that mislead every network.
    """
    matrix = similarity(kps, template(name, size))
    return warp(image, matrix, size, border=border), matrix


def warp_batch(
    x: NDArray[np.float32], matrix: ArrayLike, size: int | tuple[int, int], border: str = "replicate"
) -> NDArray[np.float32]:
    """:func:`warp` for batches, bilinear.

    Args:
        x: ``[N, C, H, W]``.
        matrix: forward, input to output, ``[2, 3]`` for all or ``[N, 2, 3]`` one each.
        size: (height, width) of the result, or one number.
        border: as there.

    Returns:
        ``[N, C, h, w]``.
    """
    m = np.asarray(matrix, dtype=np.float64).reshape(-1, 2, 3)
    if len(m) not in (1, len(x)):
        raise ValueError(f"{len(m)} matrices for a batch of {len(x)}")
    each = [m[0]] * len(x) if len(m) == 1 else list(m)
    rows = [
        warp(np.ascontiguousarray(one.transpose(1, 2, 0)), own, size, border, filter="linear")
        for one, own in zip(x, each, strict=True)
    ]
    return np.ascontiguousarray(np.stack(rows).transpose(0, 3, 1, 2))


def resized(x: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """A batch ``[N, C, H, W]`` at ``size`` x ``size`` pixels, averaged where it shrinks; itself if it has that size."""
    if x.shape[2:] == (size, size):
        return x
    way = cv2.INTER_AREA if size < x.shape[2] else cv2.INTER_LINEAR
    pictures = [np.ascontiguousarray(one.transpose(1, 2, 0)) for one in x]
    rows = [cv2.resize(one, (size, size), interpolation=way).reshape(size, size, -1) for one in pictures]
    return np.ascontiguousarray(np.stack(rows).transpose(0, 3, 1, 2), np.float32)
