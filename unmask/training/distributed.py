"""One process or many by ``torchrun``: start, rank, and what all processes know together."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn


def start(device: torch.device) -> torch.device:
    """Join the process group that ``torchrun`` describes, if any, and return this process's device."""
    if "WORLD_SIZE" not in os.environ or int(os.environ["WORLD_SIZE"]) < 2:
        return device
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
    return device


def rank() -> int:
    """This process's number, 0 without ``torchrun``."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def is_main() -> bool:
    """Whether this process writes the logs and checkpoints."""
    return rank() == 0


def stop() -> None:
    """Wait for the others and leave the process group, if there is one."""
    if count() > 1:
        dist.barrier()
        dist.destroy_process_group()


def count() -> int:
    """How many processes train together, 1 without ``torchrun``."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Average gradients over all processes (nothing to do in a single one)."""
    _average([p.grad for p in parameters if p.grad is not None])


def average_buffers(modules: Iterable[nn.Module]) -> None:
    """Average running statistics over all processes: each has seen other pictures."""
    found = {id(b): b for module in modules for b in module.buffers() if b.is_floating_point()}
    _average(list(found.values()))


def mean(value: Tensor) -> Tensor:
    """The mean of a tensor over all processes; gradients do not pass."""
    found = value.detach().clone()
    _average([found])
    return found


def together(value: Tensor) -> Tensor:
    """The rows [N,...] of all processes, in the order of their ranks; each must have as many."""
    if count() == 1:
        return value
    parts = [torch.empty_like(value) for _ in range(count())]
    dist.all_gather(parts, value.contiguous())
    return torch.cat(parts)


def any_of(flag: bool, device: torch.device) -> bool:
    """Whether a flag is set in any process: what follows from it is then the same in all."""
    if count() == 1:
        return flag
    found = torch.tensor(float(flag), device=device)
    dist.all_reduce(found, dist.ReduceOp.MAX)
    return bool(found)


def _average(tensors: Sequence[Tensor]) -> None:
    if count() == 1 or not tensors:
        return
    flat = torch.cat([t.reshape(-1).float() for t in tensors])
    dist.all_reduce(flat)
    flat /= count()
    for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step of an optimizer down a loss, by the gradients of all processes; those of before are dropped."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    average_gradients(p for group in optimizer.param_groups for p in group["params"])
    optimizer.step()


def broadcast(module: nn.Module) -> None:
    """Give every process the parameters and buffers of process 0."""
    if dist.is_available() and dist.is_initialized():
        for tensor in module.state_dict().values():
            dist.broadcast(tensor, 0)
