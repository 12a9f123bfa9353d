"""G2D as a recognizer: the region comes from the embedded segmenter, so that faces alone are enough."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

from .. import weights
from ..models.small import fuse
from ..recognition.arcface import TorchRecognizer
from .network import G2D, Segmented

__all__ = ["load", "segmented"]

SEGMENTER = "segmenter"


def segmented(network: G2D, segmenter: str | Path = SEGMENTER) -> Segmented:
    """``network`` behind a segmenter of the table or of a path; UnmaskError where there is none."""
    found = weights.read(segmenter, kind="segmenter")
    return Segmented(network, fuse(weights.build(found)), int(found.meta.get("size", 128))).eval()


def load(
    name_or_path: str | Path, device: str | torch.device = "cpu", segmenter: str | Path = SEGMENTER
) -> TorchRecognizer:
    """Load a checkpoint of kind ``g2d`` by name or path (template ``ffhq``); UnmaskError where it does not fit."""
    checkpoint = weights.read(name_or_path, kind="g2d")
    both = segmented(weights.build(checkpoint), segmenter).to(device)
    seen = weights.read(segmenter, kind="segmenter").sha256
    fingerprint = hashlib.sha256(f"{checkpoint.sha256}/{seen}".encode()).hexdigest()
    return TorchRecognizer(both, Path(checkpoint.path).stem, fingerprint, "ffhq")
