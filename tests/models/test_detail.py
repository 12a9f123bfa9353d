"""The layers that double a picture's side: they begin as bicubic enlarging and add gray."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from unmask.models.detail import Detail


def test_it_begins_as_bicubic_enlarging() -> None:
    picture, seen = torch.rand(2, 3, 16, 16), torch.rand(2, 4, 32, 32)
    found = Detail(4, 2)(picture, seen)
    wanted = [cv2.resize(one.permute(1, 2, 0).numpy(), (32, 32), interpolation=cv2.INTER_CUBIC) for one in picture]
    np.testing.assert_allclose(found.detach().permute(0, 2, 3, 1).numpy(), np.stack(wanted), atol=1e-5)


def test_what_it_adds_is_gray_and_every_layer_can_learn() -> None:
    torch.manual_seed(0)
    net = Detail(4, 2)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    picture, seen = torch.rand(1, 3, 16, 16), torch.rand(1, 4, 32, 32)
    added = net(picture, seen) - torch.nn.functional.interpolate(picture, scale_factor=2, mode="bicubic")
    torch.testing.assert_close(added, added[:, :1].expand_as(added))
    assert float(added.abs().max()) > 0
    added.square().sum().backward()
    assert all(float(p.grad.abs().max()) > 0 for p in net.parameters())
