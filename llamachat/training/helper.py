"""A second process of low priority that computes gradients of some of a step's batches while its core is idle.

Both take batches from one list, the trainer from the front, the helper from the back. If the helper is starved by other
work, the trainer does what it left undone: a busy machine costs nothing, an idle core nearly doubles the speed.
"""

import os
import time
from collections.abc import Sequence
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Lock
from typing import Any

import torch
import torch.multiprocessing as mp
from torch import Tensor

from llamachat.model import ModelConfig, Transformer, rope_table
from llamachat.training.data import Batch
from llamachat.training.losses import summed_loss

FREE, TRAINER, HELPER, DONE = range(4)
NICE = 15


def _shared(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    zeros: Tensor = torch.zeros(shape, dtype=dtype).share_memory_()  # type: ignore[no-untyped-call]
    return zeros


class Board:
    """What the two processes share: weights, summed gradients, the batches of the step and who has which."""

    def __init__(self, size: int, units: int, budget: int, dtype: torch.dtype) -> None:
        self.weights = _shared(size, dtype=dtype)
        self.gradients = _shared(size)
        self.tokens = _shared(units, 2 * budget, dtype=torch.int32)
        self.learn = _shared(units, 2 * budget, dtype=torch.uint8)
        self.shapes = _shared(units, 2, dtype=torch.int32)
        self.claims = _shared(units, dtype=torch.int32)
        self.loss = _shared(1, dtype=torch.float64)
        context = mp.get_context("spawn")
        self.step: Synchronized[int] = context.Value("q", 0)
        self.lock: Lock = context.Lock()

    def post(self, batches: list[Batch], weights: Sequence[Tensor]) -> None:
        """Put up the work of the next step."""
        with self.lock:
            torch.cat([w.detach().flatten() for w in weights], out=self.weights)
            self.gradients.zero_()
            self.loss.zero_()
            for i, batch in enumerate(batches):
                rows, length = batch.tokens.shape
                self.shapes[i] = torch.tensor([rows, length])
                self.tokens[i, : rows * length] = batch.tokens.flatten().int()
                self.learn[i, : rows * length] = batch.learn.flatten()
            self.claims.zero_()
            self.step.value += 1

    def take(self, who: int) -> int | None:
        """Claim the first free batch (the trainer) or the last (the helper)."""
        with self.lock:
            free = (self.claims == FREE).nonzero()[:, 0].tolist()
            if not free:
                return None
            unit: int = free[0] if who == TRAINER else free[-1]
            self.claims[unit] = who
            return unit

    def batch(self, unit: int) -> Batch:
        """The batch of a claimed unit."""
        rows, length = self.shapes[unit].tolist()
        shape, size = (rows, length), rows * length
        return Batch(self.tokens[unit, :size].view(shape).long(), self.learn[unit, :size].view(shape).clone())

    def retake(self, unit: int) -> bool:
        """The trainer takes a batch back from a helper that is too slow; False if it is done by now."""
        with self.lock:
            if int(self.claims[unit]) == DONE:
                return False
            self.claims[unit] = TRAINER
            return True

    def deliver(self, unit: int, step: int, loss: float, gradients: list[Tensor]) -> None:
        """The helper adds the gradients of a batch, unless it is too late."""
        flat = torch.cat([g.flatten() for g in gradients]).float()
        with self.lock:
            if self.step.value == step and int(self.claims[unit]) == HELPER:
                self.gradients += flat
                self.loss += loss
                self.claims[unit] = DONE


class Helper:
    """Starts the process; ``gradients`` computes a step's summed loss and gradients with its help."""

    def __init__(self, config: ModelConfig, size: int, units: int, budget: int, dtype: torch.dtype) -> None:
        self.board = Board(size, units, budget, dtype)
        self._unit_seconds = self._patience = 1.0
        self._process: Any = mp.get_context("spawn").Process(
            target=work, args=(self.board, config, os.getpid()), daemon=True
        )
        self._process.start()

    def backward(self, model: Transformer, batches: list[Batch]) -> float:
        """Leave the gradients of the summed loss of ``batches`` in ``model``; return that loss."""
        weights = list(model.parameters())
        self.board.post(batches, weights)
        total = 0.0
        while (unit := self.board.take(TRAINER)) is not None:
            total += self._timed(model, batches[unit])
        total += sum(self._timed(model, batches[unit]) for unit in self._late())
        with self.board.lock:
            start = 0
            for weight in weights:
                part = self.board.gradients[start : start + weight.numel()].view_as(weight)
                weight.grad = part.to(weight.dtype) if weight.grad is None else weight.grad.add_(part)
                start += weight.numel()
            return total + float(self.board.loss)

    def _timed(self, model: Transformer, batch: Batch) -> float:
        started = time.monotonic()
        loss = summed_loss(model, batch)
        torch.autograd.backward(loss)
        self._unit_seconds = 0.9 * self._unit_seconds + 0.1 * (time.monotonic() - started)
        return float(loss.detach())

    def _late(self) -> list[int]:
        """Batches that the helper doesn't deliver in time: at most what doing one oneself takes, less after delays."""
        end = time.monotonic() + self._unit_seconds * self._patience
        while time.monotonic() < end:
            if not bool((self.board.claims == HELPER).any()):
                self._patience = min(1.0, 1.5 * self._patience)
                return []
            time.sleep(0.002)
        self._patience = max(0.05, 0.5 * self._patience)
        units = (self.board.claims == HELPER).nonzero()[:, 0].tolist()
        return [unit for unit in units if self.board.retake(unit)]


def work(board: Board, config: ModelConfig, parent: int) -> None:
    """The helper's life: wait for a step, work on its batches, until the trainer is gone."""
    os.nice(NICE)
    torch.set_num_threads(1)
    model = Transformer(config).to(board.weights.dtype)
    model.rope = rope_table(config)
    weights, seen = list(model.parameters()), 0
    while os.getppid() == parent:
        if board.step.value == seen:
            time.sleep(0.002)
            continue
        with board.lock, torch.no_grad():
            seen, start = board.step.value, 0
            for weight in weights:
                weight.copy_(board.weights[start : start + weight.numel()].view_as(weight))
                start += weight.numel()
        while board.step.value == seen and (unit := board.take(HELPER)) is not None:
            loss = summed_loss(model, board.batch(unit))
            torch.autograd.backward(loss)
            board.deliver(unit, seen, float(loss.detach()), [w.grad for w in weights if w.grad is not None])
            model.zero_grad()
