"""A row of launches as one CUDA graph, and ids that come back without stopping the device. Knows streams and events; no
kernel, no model. On the CPU, where the interpreter runs the kernels, the same by plain calls.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

SLOTS = 4  # ids on their way to the host; there are never more than two


def record(work: Callable[[], None], device: torch.device, prepare: Callable[[], object]) -> Callable[[], None]:
    """``work`` as a graph that is replayed by calling it. It runs once before, behind ``prepare``, so that kernels are
    compiled: then it must have no effect that matters."""
    if device.type != "cuda":
        return work
    aside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    aside.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(aside):
        prepare()
        work()
    torch.cuda.synchronize(device)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        work()
    return graph.replay


@dataclass(frozen=True, slots=True)
class Ticket:
    """An id that will be in ``slot`` [1] on the host once ``there``, if that is not None, has happened."""

    slot: Tensor
    there: torch.cuda.Event | None


class Ring:
    """Copies ids from the device, each to a slot of its own in pinned memory."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._slots = torch.zeros(SLOTS, dtype=torch.int32, pin_memory=self._cuda)
        self._next = 0

    def send(self, found: Tensor) -> Ticket:
        """``found`` [1] as it will be when all that was launched is done."""
        slot = self._slots[self._next : self._next + 1]
        self._next = (self._next + 1) % SLOTS
        slot.copy_(found, non_blocking=True)
        if not self._cuda:
            return Ticket(slot, None)
        there = torch.cuda.Event()  # type: ignore[no-untyped-call]
        there.record()
        return Ticket(slot, there)

    def read(self, ticket: Ticket) -> int:
        """Wait for it. Raises what CUDA has to say."""
        if ticket.there:
            ticket.there.synchronize()
        return int(ticket.slot)
