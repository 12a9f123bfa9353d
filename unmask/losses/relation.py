"""Relational distillation: a student's embeddings of a batch lie to each other as the teacher's do.

Distance- and angle-wise losses after Park et al. 2019 ("Relational Knowledge Distillation", eq. 4 to 9). G2D (Ge et al.
2024) names relation knowledge between the masked student and the unmasked teacher without a formula that is public;
these two and ``1 - cos`` per face (:func:`unmask.losses.identity.cosine`) are our reading of it. :func:`contrast` asks
for the order of the likenesses alone, which is what verification lives on.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def distances(embeddings: Tensor) -> Tensor:
    """Euclidean distances [N (N - 1) / 2] of all pairs of rows [N,D], over their mean."""
    i, j = torch.triu_indices(len(embeddings), len(embeddings), 1, device=embeddings.device)
    found = ((embeddings[i] - embeddings[j]).square().sum(1) + 1e-12).sqrt()
    return found / found.mean().clamp(min=1e-6)


def distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean Huber loss (delta 1) between the two sets' :func:`distances`; rows [N,D] and [N,E] need not be as long."""
    if len(student) < 2:
        return student.sum() * 0.0
    return functional.smooth_l1_loss(distances(student), distances(teacher.detach()))


def angles(embeddings: Tensor) -> Tensor:
    """Cosines [N (N - 1) (N - 2)] of the angle at j between i and k, for all ordered triples of distinct rows [N,D]."""
    n = len(embeddings)
    rays = functional.normalize(embeddings[None] - embeddings[:, None], dim=2)  # [j, i, D], from j to i
    cosines = rays @ rays.transpose(1, 2)  # [j, i, k]
    other = ~torch.eye(n, dtype=torch.bool, device=embeddings.device)
    return cosines[other[:, :, None] & other[:, None, :] & other[None]]


def angle(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean Huber loss (delta 1) between the two sets' :func:`angles`, zero for fewer than three rows; memory is N^3."""
    if len(student) < 3:
        return student.sum() * 0.0
    return functional.smooth_l1_loss(angles(student), angles(teacher.detach()))


def contrast(
    student: Tensor, teacher: Tensor, others: Tensor | None = None, scale: float = 30.0, same: float = 0.5
) -> Tensor:
    """Mean cross-entropy of telling faces by their teacher vectors (InfoNCE, van den Oord et al. 2018).

    Args:
        student, teacher: unit-length rows [N,D] of the same faces; row i is to be told by teacher row i.
        others: teacher rows [M,D] that it is told from, such as those of a whole face set; ``teacher`` if None.
        scale: of the cosines, which are the logits.
        same: what is more alike than this to the teacher may be one person and is not held against each other.
    """
    teacher = teacher.detach()
    others = teacher if others is None else others
    own = scale * (student * teacher).sum(1, keepdim=True)
    rest = (scale * student @ others.t()).masked_fill(teacher @ others.t() > same, -torch.inf)
    target = torch.zeros(len(student), dtype=torch.long, device=student.device)
    return functional.cross_entropy(torch.cat([own, rest], 1), target)
