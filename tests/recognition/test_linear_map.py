"""The linear map: ridge regression, found again from made-up pairs, applied where its gate says so."""

from __future__ import annotations

import numpy as np
import torch

from unmask import recognition
from unmask.recognition import linear_map


def test_equals_least_squares_on_padded_rows(rng: np.random.Generator) -> None:
    """Ridge regression is least squares with sqrt(penalty) times the identity as further rows, without constant."""
    x, y = rng.normal(size=(50, 6)) + 2, rng.normal(size=(50, 6)) - 1
    found = linear_map.fit(x, y, 0.1).weight
    penalty = np.sqrt(0.1 * 50 * (x - x.mean(0)).var())
    rows = np.block([[x, np.ones((50, 1))], [penalty * np.eye(6), np.zeros((6, 1))]])
    wanted = np.concatenate([y, np.zeros((6, 6))])
    np.testing.assert_allclose(found, np.linalg.lstsq(rows, wanted)[0], atol=1e-9)


class Made:
    """A recognizer whose embeddings are the first pixels of a face."""

    name, fingerprint, template, size, differentiable = "made", "made", "arcface", (8, 8), False

    def embed(self, faces: np.ndarray) -> np.ndarray:
        return recognition.unit(faces[:, 0, 0, :6])


def test_masked_faces_move_and_clean_ones_stay(rng: np.random.Generator) -> None:
    clean = rng.normal(size=(400, 6))
    clean[:, 5] = -1
    clean /= np.linalg.norm(clean, axis=1, keepdims=True)
    turn = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    masked = clean.copy()
    masked[:, :5] = clean[:, :5] @ turn
    masked[:, 5] *= -1  # what gives a face mask away
    made = linear_map.MappedRecognizer(Made(), linear_map.fit(masked, clean, 1e-6))
    assert isinstance(made, recognition.Recognizer)

    def faces(rows: np.ndarray) -> torch.Tensor:
        found = torch.zeros(len(rows), 3, 8, 8)
        found[:, 0, 0, :6] = torch.from_numpy(rows).float()
        return found

    np.testing.assert_allclose(made.embed(faces(masked)).numpy(), clean, atol=1e-3)
    np.testing.assert_allclose(made.embed(faces(clean)).numpy(), clean, atol=1e-6)
    assert made.fingerprint != Made.fingerprint
