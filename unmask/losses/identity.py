"""Identity losses on unit-length embeddings, and the margin softmax of CosFace and ArcFace."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Mean of ``1 - cos(a, b)`` over a batch of unit-length embeddings [N,D]; in [0,2]."""
    return 1 - (a * b).sum(1).mean()


class MarginSoftmax(nn.Module):
    """Cross-entropy over scaled cosines with the margins of ArcFace and CosFace.

    ``logit_y = s * (cos(theta_y + m_arc) - m_cos)`` for the true class and ``s * cos(theta_j)`` for the others
    (Deng et al. 2019, eq. 4; Wang et al. 2018, eq. 4). Labels below zero (unknown people) are left out.
    """

    def __init__(
        self, features: int, classes: int, scale: float = 30.0, m_arc: float = 0.0, m_cos: float = 0.35
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, features) * features**-0.5)
        self.scale, self.m_arc, self.m_cos = scale, m_arc, m_cos

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Embeddings [N,D] (any length), labels [N] int64 -> scalar; zero where no label is known."""
        known = labels >= 0
        if not bool(known.any()):
            return embeddings.sum() * 0.0
        cosines = functional.normalize(embeddings[known].float()) @ functional.normalize(self.weight.float()).T
        target = labels[known]
        true = cosines.gather(1, target[:, None]).clamp(-1 + 1e-6, 1 - 1e-6)
        if self.m_arc:
            sine = (1 - true.square()).sqrt()
            true = true * math.cos(self.m_arc) - sine * math.sin(self.m_arc)
        logits = cosines.scatter(1, target[:, None], true - self.m_cos)
        return functional.cross_entropy(self.scale * logits, target)
