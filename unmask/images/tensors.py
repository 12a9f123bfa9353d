"""Pictures to batches and back, channel order for OpenCV users, and contact sheets."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from torch import Tensor


def to_float(arrays: NDArray[np.uint8] | Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """uint8 ``[H, W, 3]``, a list of them, or ``[N, H, W, 3]`` to float32 ``[N, 3, H, W]`` in [-1, 1]."""
    batch = np.stack([np.asarray(a) for a in arrays]) if not isinstance(arrays, np.ndarray) else arrays
    if batch.ndim == 3:
        batch = batch[None]
    if batch.ndim != 4 or batch.shape[3] != 3 or batch.dtype != np.uint8:
        raise ValueError(f"expected uint8 [N, H, W, 3], got {batch.dtype} {list(batch.shape)}")
    levels = np.ascontiguousarray(batch.transpose(0, 3, 1, 2)).astype(np.float32)
    return np.asarray(levels / np.float32(127.5) - np.float32(1))


def to_tensor(arrays: NDArray[np.uint8] | Sequence[NDArray[np.uint8]]) -> Tensor:
    """:func:`to_float` as a tensor of torch, for training and evaluation."""
    import torch

    return torch.from_numpy(to_float(arrays))


def to_uint8(batch: NDArray[np.floating] | Tensor) -> NDArray[np.uint8]:
    """Float ``[N, 3, H, W]`` in [-1, 1] (clipped) to uint8 ``[N, H, W, 3]``: :func:`to_float` undone."""
    if batch.ndim != 4:
        raise ValueError(f"expected [N, 3, H, W], got {list(batch.shape)}")
    levels = batch if isinstance(batch, np.ndarray) else batch.detach().float().cpu().numpy()
    levels = np.rint((levels.astype(np.float32) + np.float32(1)) * np.float32(127.5)).clip(0, 255)
    return np.ascontiguousarray(levels.astype(np.uint8).transpose(0, 2, 3, 1))


def bgr(pixels: NDArray[Any]) -> NDArray[Any]:
    """RGB ``[H, W, 3]`` to BGR for libraries that want it (or back), contiguous."""
    return np.ascontiguousarray(pixels[:, :, ::-1])


def _cell(picture: NDArray[Any]) -> NDArray[np.uint8]:
    array = np.asarray(picture)
    if array.dtype != np.uint8:  # a region: [0, 1]
        array = np.rint(np.clip(array.astype(np.float64), 0, 1) * 255).astype(np.uint8)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    return np.repeat(array[:, :, None], 3, axis=2) if array.ndim == 2 else array[:, :, :3]


def sheet(
    rows: Sequence[Sequence[NDArray[Any]]],
    labels: Sequence[str] | Sequence[Sequence[str]] | None = None,
    pad: int = 2,
    title: str = "",
) -> NDArray[np.uint8]:
    """A contact sheet.

    Args:
        rows: pictures, uint8 ``[H, W, 3]`` or ``[H, W]``, or regions as floats in [0, 1]; sizes may differ.
        labels: one string per column (printed on top) or, as nested lists, one per picture (printed below).
        pad: white pixels around each picture.
        title: what is printed over all of it, in as many lines as it takes.

    Returns:
        uint8 ``[H, W, 3]``, white where there is nothing.
    """
    cells = [[_cell(picture) for picture in row] for row in rows]
    if not any(cells):
        raise ValueError("a contact sheet needs at least one picture")
    columns = max(len(row) for row in cells)
    widths = [max((row[c].shape[1] for row in cells if c < len(row)), default=0) for c in range(columns)]
    heights = [max((cell.shape[0] for cell in row), default=0) for row in cells]
    heading = labels is not None and len(labels) > 0 and isinstance(labels[0], str)
    below = labels is not None and not heading
    line = max(12, min(20, max(widths) // 8)) if labels else 0
    total_h = sum(heights) + 2 * pad * len(heights) + line * (1 if heading else len(heights) if below else 0)
    total_w = sum(widths) + 2 * pad * columns
    lines = textwrap.wrap(title, max(10, total_w // 7))  # letters of 12 pixels are narrower than 7
    top = 15 * len(lines)
    out = Image.new("RGB", (total_w, total_h + top), "white")
    draw = ImageDraw.Draw(out)
    for i, text in enumerate(lines):
        draw.text((pad, 15 * i), text, fill="black", font=ImageFont.load_default(size=12))
    font = ImageFont.load_default(size=max(8, line - 4)) if labels else None
    y = top + pad
    if heading and labels is not None:
        for c, label in enumerate(labels[:columns]):
            draw.text((sum(widths[:c]) + 2 * pad * c + pad, top + 1), str(label), fill="black", font=font)
        y += line
    for r, row in enumerate(cells):
        for c, cell in enumerate(row):
            x = sum(widths[:c]) + 2 * pad * c + pad
            out.paste(Image.fromarray(cell), (x, y))
            if below and labels is not None and r < len(labels) and c < len(labels[r]):
                draw.text((x, y + heights[r]), labels[r][c], fill="black", font=font)
        y += heights[r] + 2 * pad + (line if below else 0)
    return np.asarray(out).copy()
