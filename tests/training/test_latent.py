"""The latent adversary's memory, and moments against plain ones."""

from __future__ import annotations

import torch

from unmask.training import latent


def test_the_memory_keeps_the_newest_codes_and_is_saved() -> None:
    one = latent.LatentDiscriminator(3, width=4)
    one.remember(torch.arange(3 * latent.MEMORY, dtype=torch.float32).view(-1, 3))
    one.remember(torch.full((5, 3), -1.0))
    assert len(one.memory) == latent.MEMORY and (one.memory[-5:] == -1).all() and float(one.memory[0, 0]) == 15
    other = latent.LatentDiscriminator(3, width=4)
    other.load_state_dict(one.state_dict())
    assert torch.equal(other.memory, one.memory)


def test_moments_see_correlations() -> None:
    torch.manual_seed(0)
    turn = torch.tensor([[1.0, 0.9], [0.0, 0.3]])
    faces = torch.randn(4096, 2) @ turn + 2
    alike, alone = torch.randn(4096, 2) @ turn + 2, torch.randn(4096, 2) * faces.std(0) + 2
    assert float(latent.moments(alike, faces)) < 0.01
    assert float(latent.moments(alone, faces)) > 0.1  # the right spread of each channel, but not together
    wanted = (torch.cov(alone.T) - torch.cov(faces.T)).norm() ** 2 / torch.cov(faces.T).norm() ** 2
    mean = (alone.mean(0) - faces.mean(0)).square().mean() / faces.std(0).square().mean()
    assert torch.isclose(latent.moments(alone, faces), wanted + mean, rtol=1e-4)


def test_the_latent_discriminator_learns_to_tell_codes_apart() -> None:
    torch.manual_seed(0)
    network = latent.LatentDiscriminator(4, width=16)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        latent.discriminator_loss(network, torch.randn(64, 4) + 1, torch.randn(64, 4) - 1).backward()
        optimizer.step()
    with torch.no_grad():
        assert float(network(torch.ones(8, 4)).mean()) > float(network(-torch.ones(8, 4)).mean()) + 0.5
