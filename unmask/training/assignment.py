"""Which anchors of the detector answer for which face, and the losses on them.

Assignment is ATSS (Zhang et al., 2020, arXiv:1912.02424); the score's loss is the quality focal loss (Li et al., 2020,
arXiv:2006.04388), the box's DIoU (Zheng et al., 2020, arXiv:1911.08287).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.detector import ANCHORS, SIZES, STRIDES, centers, decode

NEAREST = 9
POINT_BETA = 0.02  # of the face's size: below it the loss on points is quadratic


@dataclass(frozen=True)
class Anchors:
    """All anchors of one scene size: ``center`` [A,2], ``size`` [A], ``stride`` [A], ``counts`` per level."""

    center: Tensor
    size: Tensor
    stride: Tensor
    counts: tuple[int, ...]


def anchors(height: int, width: int) -> Anchors:
    """The anchors of a scene, in the order of the detector's outputs (levels one after another)."""
    places = centers(height, width)
    sizes = [torch.tensor(pair).repeat(len(xy) // ANCHORS) for pair, xy in zip(SIZES, places, strict=True)]
    strides = [torch.full((len(xy),), float(s)) for s, xy in zip(STRIDES, places, strict=True)]
    return Anchors(torch.cat(places), torch.cat(sizes), torch.cat(strides), tuple(len(xy) for xy in places))


def assign(grid: Anchors, boxes: Tensor, ignored: Tensor) -> tuple[Tensor, Tensor]:
    """For each anchor the index of its face or -1 [A], and whether its score counts [A] (False inside ignored boxes).

    ``boxes`` [K,4] and ``ignored`` [J,4] are x1, y1, x2, y2 in pixels.
    """
    a = len(grid.center)
    owner = torch.full((a,), -1, dtype=torch.long)
    counts = torch.ones(a, dtype=torch.bool)
    if len(ignored):
        counts = ~_inside(grid.center, ignored).any(0)
    if not len(boxes):
        return owner, counts
    half = grid.size[:, None] / 2
    overlap = iou(torch.cat([grid.center - half, grid.center + half], 1)[None], boxes[:, None])  # [K, A]
    distance = ((boxes[:, None, :2] + boxes[:, None, 2:]) / 2 - grid.center[None]).norm(dim=2)
    candidate = torch.zeros_like(overlap, dtype=torch.bool)
    start = 0
    for count in grid.counts:
        near = distance[:, start : start + count].topk(min(NEAREST, count), largest=False).indices + start
        candidate.scatter_(1, near, True)
        start += count
    some = candidate.sum(1).clamp(min=1)
    mean = (overlap * candidate).sum(1) / some
    deviation = (((overlap - mean[:, None]) ** 2 * candidate).sum(1) / some).sqrt()
    positive = candidate & (overlap >= (mean + deviation)[:, None]) & _inside(grid.center, boxes)
    best = (overlap - distance * 1e-6).argmax(1)  # a face always has one anchor
    positive[torch.arange(len(boxes)), best] |= ~positive.any(1)
    claim, face = torch.where(positive, overlap + 1e-6, overlap.new_zeros(())).max(0)
    owner[claim > 0] = face[claim > 0]
    return owner, counts | (owner >= 0)


def _inside(center: Tensor, boxes: Tensor) -> Tensor:
    """Whether each center [A,2] lies in each box [K,4]: [K,A]."""
    c, b = center[None], boxes[:, None]
    return ((c > b[..., :2]) & (c < b[..., 2:])).all(-1)


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes [...,4] that broadcast against each other."""
    corner1, corner2 = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    common = (corner2 - corner1).clamp(min=0).prod(-1)
    areas = (a[..., 2:] - a[..., :2]).clamp(min=0).prod(-1) + (b[..., 2:] - b[..., :2]).clamp(min=0).prod(-1)
    return common / (areas - common).clamp(min=1e-6)


def diou(a: Tensor, b: Tensor) -> Tensor:
    """Distance IoU of boxes [N,4]: IoU minus the squared distance of centers over the squared diagonal of the hull."""
    hull = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    apart = ((a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]) / 2).square().sum(1)
    return iou(a, b) - apart / hull.square().sum(1).clamp(min=1e-6)


def quality_focal(logits: Tensor, quality: Tensor) -> Tensor:
    """``|quality - p|^2`` times the cross entropy, per anchor; quality 0 is background."""
    return (quality - logits.sigmoid()).square() * F.binary_cross_entropy_with_logits(logits, quality, reduction="none")


def losses(
    outputs: tuple[list[Tensor], list[Tensor], list[Tensor]],
    grid: Anchors,
    owner: Tensor,
    counts: Tensor,
    boxes: Tensor,
    points: Tensor,
    trusted: Tensor,
) -> dict[str, Tensor]:
    """The detector's losses.

    Args:
        outputs: of :class:`unmask.models.detector.Detector`.
        owner, counts: [N,A] of :func:`assign`.
        boxes, points, trusted: of the faces, [N,K,4], [N,K,5,2], [N,K] (whether the points are to be learned).
    """
    score = torch.cat(outputs[0], 1)[..., 0]
    found_boxes, found_points, start = [], [], 0
    for level, count in enumerate(grid.counts):
        center = grid.center[start : start + count]
        b, p = decode(outputs[1][level], outputs[2][level], center, STRIDES[level])
        found_boxes.append(b)
        found_points.append(p)
        start += count
    image, anchor = torch.nonzero(owner >= 0, as_tuple=True)
    face = owner[image, anchor]
    total = max(1, len(image))
    quality = torch.zeros_like(score)
    if not len(image):
        return {"score": (quality_focal(score, quality) * counts).sum() / total}
    box, truth = torch.cat(found_boxes, 1)[image, anchor], boxes[image, face]
    quality[image, anchor] = iou(box.detach(), truth).clamp(0, 1)
    weight = quality[image, anchor].clamp(min=0.1)
    size = (truth[:, 2:] - truth[:, :2]).prod(-1).sqrt()
    apart = (torch.cat(found_points, 1)[image, anchor] - points[image, face]) / size[:, None, None]
    off = F.smooth_l1_loss(apart, torch.zeros_like(apart), beta=POINT_BETA, reduction="none").mean((1, 2))
    known = weight * trusted[image, face]
    return {
        "score": (quality_focal(score, quality) * counts).sum() / total,
        "box": ((1 - diou(box, truth)) * weight).sum() / weight.sum(),
        "points": (off * known).sum() / known.sum().clamp(min=1e-3),
    }
