"""Where a model computes, in what dtype and with how many threads; torch's errors in our words. Knows no ids."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from llamachat.checkpoints import Checkpoint
from llamachat.errors import ConfigError, EngineError


def pick_device(name: str | None) -> torch.device:
    """The device called ``name``; by default CUDA if there is one, else the CPU. Raises ConfigError."""
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        raise ConfigError(f"The device {name!r} can't be used here.", "Choose cpu, or cuda with a CUDA GPU.") from error
    return device


def default_dtype(device: torch.device, checkpoint: Checkpoint) -> torch.dtype:
    """float32 for small models on the CPU, where it is 1.5 times as fast as bfloat16 at batch 1; else bfloat16."""
    return torch.float32 if device.type == "cpu" and checkpoint.parameters < 1e9 else torch.bfloat16


def default_threads(size: int) -> int:
    """One for models below 100 MB (``size`` is in bytes), else the cores that are idle.

    The embedded model decodes 25 % faster with a second core that is free, and 15 times slower with one that is
    busy, since every small operation waits for the slowest thread; it opens in 0.1 s, or in 1.5 s.
    """
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0  # Windows has none
    return 1 if size < 100e6 else max(1, torch.get_num_threads() - round(load))


@contextmanager
def using_threads(number: int) -> Iterator[None]:
    """Let torch's operations have ``number`` threads, in this thread and those that begin meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def engine_error(error: Exception) -> EngineError:
    """``error``, raised by torch, in our words."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "memory" in str(error):
        return EngineError(
            "There is not enough memory for this model and context.",
            "Choose a shorter context, a smaller model or another device.",
        )
    reason = str(error).strip().splitlines()
    return EngineError(f"The engine failed: {reason[0] if reason else type(error).__name__}", "Restart llamachat.")
