"""The loop that every objective runs in: AdamW, warm-up and decay, exact continuation, any number of processes.

A step takes rows in an order that only the seed decides, sums the loss over them in micro-batches, divides by how much
was learned, over all processes, and updates. So a run that was killed goes on as if it had not been, and two processes
do what one does (up to the order in which floats are added).
"""

import hashlib
import json
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn

from llamachat.errors import ConfigError, EngineError
from llamachat.model import Transformer
from llamachat.training.post.rows import Batch, Row, collate, micro_batches
from llamachat.training.team import place, summed

Log = Mapping[str, float]
STATE, LOG = "training.pt", "log.jsonl"


@dataclass(frozen=True, slots=True)
class Measured:
    """A loss, summed, with its gradient; and what else was summed on the way."""

    loss: Tensor
    sums: Mapping[str, float] = field(default_factory=dict)


class Objective(Protocol):
    """What is learned."""

    def count(self, rows: Sequence[Row]) -> int:
        """What a loss over ``rows`` is divided by: learned ids, or pairs."""

    def loss(self, model: Transformer, batch: Batch) -> Measured:
        """Summed over the batch."""

    def parameters(self) -> Sequence[Tensor]:
        """Weights beside the model's."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train. ``step_ids`` and ``micro_ids``: ids of an update, and of what is computed at once."""

    lr: float = 1e-4
    epochs: int = 1
    step_ids: int = 16_384
    micro_ids: int = 4096
    warm_up: float = 0.05
    """The share of the steps over which the learning rate grows; then it falls linearly to ``floor`` times itself."""
    floor: float = 0.1
    decay: float = 0.0
    """AdamW's weight decay."""
    clip: float = 1.0
    seed: int = 1

    def factor(self, step: int, steps: int) -> float:
        """The learning rate of ``step`` of ``steps``, as a share of ``lr``."""
        warm = max(1, round(self.warm_up * steps))
        if step < warm:
            return (step + 1) / warm
        return self.floor + (1 - self.floor) * (steps - step) / max(1, steps - warm)


class Trainer:
    """Trains what of ``model`` wants gradients, and the objective's own weights, on ``rows``."""

    def __init__(
        self, model: Transformer, objective: Objective, rows: Sequence[Row], recipe: Recipe, out: Path | None = None
    ) -> None:
        """``out``: a folder for the log and for the state to go on from. Raises ConfigError."""
        if not rows:
            raise ConfigError("There is nothing to learn from.", "Give a file with at least one example.")
        self.model, self.objective, self.rows, self.recipe, self.out = model, objective, rows, recipe, out
        self.device = model.output.weight.device
        self.weights = [*(p for p in model.parameters() if p.requires_grad), *objective.parameters()]
        self.optimiser = torch.optim.AdamW(
            self.weights, lr=recipe.lr, betas=(0.9, 0.95), weight_decay=recipe.decay, fused=True
        )
        self.plan = [step for epoch in range(recipe.epochs) for step in steps_of(rows, recipe, epoch)]
        self.done = 0
        self.log: list[dict[str, float]] = []
        self._last = time.monotonic()

    def step(self) -> Log:
        """One update. Returns the loss and what else was measured, means over all processes."""
        rows = [self.rows[i] for i in self.plan[self.done]]
        rank, world = place()
        sums: dict[str, float] = {}
        for group in micro_batches(rows[rank::world], self.recipe.micro_ids):
            with precision(self.device):
                measured = self.objective.loss(self.model, collate(group).to(self.device))
            torch.autograd.backward(measured.loss)
            for name, value in {"loss": float(measured.loss.detach()), **measured.sums}.items():
                sums[name] = sums.get(name, 0.0) + value
        count = self.objective.count(rows)
        mean = {name: value / count for name, value in self._shared(sums).items()}
        self._update(count)
        self.done += 1
        self.log.append({"step": self.done, **mean})
        return mean

    def _shared(self, sums: dict[str, float]) -> dict[str, float]:
        """Sums over all processes; each may have seen other names."""
        if place()[1] == 1:
            return sums
        found: list[Any] = [None] * place()[1]
        dist.all_gather_object(found, sums)
        return {name: sum(other.get(name, 0.0) for other in found) for name in {n for other in found for n in other}}

    def _update(self, count: int) -> None:
        gradients = [torch.zeros_like(w) if w.grad is None else w.grad for w in self.weights]
        for weight, gradient in zip(self.weights, summed(gradients), strict=True):
            weight.grad = gradient.div_(max(1, count))
        norm = nn.utils.clip_grad_norm_(self.weights, self.recipe.clip)
        if not norm.isfinite():
            raise EngineError("The gradient is not finite.", "Choose a smaller learning rate (--lr).")
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.lr * self.recipe.factor(self.done, len(self.plan))
        self.optimiser.step()
        self.optimiser.zero_grad()

    def run(self, tell: Callable[["Trainer"], None] = lambda trainer: None, every: float = 60.0) -> bool:
        """Go on to the end; ``tell`` hears of every step. False if SIGTERM or Ctrl-C ended it: then the same call
        with the same ``out`` continues."""
        with asked_to_stop() as stopped:
            while self.done < len(self.plan) and not stopped:
                self.step()
                tell(self)
                if time.monotonic() - self._last > every:
                    self.save()
        self.save()
        return self.done == len(self.plan)

    def save(self) -> None:
        """Write the state, whole or not at all, and the log."""
        self._last = time.monotonic()
        if self.out is None or place()[0]:
            return
        self.out.mkdir(parents=True, exist_ok=True)
        state = {
            "run": self.fingerprint(),
            "done": self.done,
            "log": self.log,
            "weights": [weight.detach() for weight in self.weights],
            "optimiser": self.optimiser.state_dict(),
        }
        torch.save(state, self.out / f"{STATE}.tmp")
        (self.out / f"{STATE}.tmp").replace(self.out / STATE)
        (self.out / LOG).write_text("".join(json.dumps(entry) + "\n" for entry in self.log), encoding="utf-8")

    def resume(self) -> bool:
        """Continue from the state in ``out``, if there is one. Raises ConfigError if it is of another run."""
        if self.out is None or not (self.out / STATE).exists():
            return False
        state = torch.load(self.out / STATE, weights_only=True, map_location=self.device)
        if state["run"] != self.fingerprint():
            hint = "Give the same options and files to continue it, or another --out."
            raise ConfigError(f"{self.out} holds another run.", hint)
        with torch.no_grad():
            for weight, value in zip(self.weights, state["weights"], strict=True):
                weight.copy_(value)
        self.optimiser.load_state_dict(state["optimiser"])
        self.done, self.log = state["done"], state["log"]
        return True

    def fingerprint(self) -> str:
        """Differs for runs on other rows, by another recipe or of other weights."""
        digest = hashlib.sha256(repr((asdict(self.recipe), [tuple(w.shape) for w in self.weights])).encode())
        for row in self.rows:
            digest.update(repr((row.prompt, row.replies, row.better)).encode())
        return digest.hexdigest()[:16]


def steps_of(rows: Sequence[Row], recipe: Recipe, epoch: int) -> Iterator[list[int]]:
    """Rows, by number, of each step of an epoch: shuffled, about ``step_ids`` ids together."""
    order = list(range(len(rows)))
    random.Random(f"{recipe.seed}-{epoch}").shuffle(order)
    step: list[int] = []
    size = 0
    for number in order:
        if step and size + rows[number].size > recipe.step_ids:
            yield step
            step, size = [], 0
        step.append(number)
        size += rows[number].size
    if step:
        yield step


def precision(device: torch.device) -> AbstractContextManager[object]:
    """Matrix products in bfloat16 on a GPU, all else in float32; on a CPU it gained 15 % (AMX), for 3 digits."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


@contextmanager
def asked_to_stop() -> Iterator[list[int]]:
    """A list that is not empty once SIGTERM or Ctrl-C came; then a second Ctrl-C works as ever."""
    stopped: list[int] = []
    try:
        old = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

        def stop(number: int, _: object) -> None:
            stopped.append(number)
            signal.signal(signal.SIGINT, signal.default_int_handler)

        for number in old:
            signal.signal(number, stop)
    except ValueError:  # not the main thread
        yield stopped
        return
    try:
        yield stopped
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
