"""Several processes that train one model, as torchrun starts them: which one this is, and sums over all of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor

from llamachat.devices import pick_device
from llamachat.paths import variable


def place() -> tuple[int, int]:
    """Rank and number of processes; (0, 1) if this one is alone."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else (0, 1)


def local_rank() -> int:
    """Which of this machine's processes this is, as torchrun says."""
    return int(variable("LOCAL_RANK") or 0)


def own_device(name: str | None) -> torch.device:
    """The device called ``name``; by default the GPU of this process, else the CPU. Raises ConfigError."""
    return pick_device(f"cuda:{local_rank()}" if name is None and torch.cuda.is_available() else name)


@contextmanager
def processes() -> Iterator[None]:
    """Join the other processes if torchrun started this one: NCCL between GPUs, gloo between CPUs."""
    if variable("WORLD_SIZE") is None or not dist.is_available():
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank())
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def summed(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Sums of ``tensors`` (of one dtype and device) over all processes, in one message."""
    if place()[1] == 1:
        return list(tensors)
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    parts = torch.split(flat, [tensor.numel() for tensor in tensors])
    return [part.view_as(old) for part, old in zip(parts, tensors, strict=True)]
