"""One model in several processes, each with a GPU of its own (torchrun), for what one can't hold. Knows no sampling.

Process 0 leads: it has the chat and the sampler, and tells the others what to compute; they follow. Split by hand as
``checkpoints/part.py`` says; two sums over all processes a layer, in float32.
"""

import atexit
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from llamachat.checkpoints import Checkpoint
from llamachat.checkpoints.part import Part
from llamachat.model import Branches, KVCache, ModelConfig, Transformer
from llamachat.products import Linear, product

PATIENCE = timedelta(days=365)  # a follower waits as long as its user thinks


@dataclass(frozen=True, slots=True)
class Step:
    """Read ``tokens`` (1, T) behind ``start`` positions of a cache of ``size``."""

    tokens: Tensor
    start: int
    size: int
    branches: Branches | None


@dataclass(frozen=True, slots=True)
class Head:
    """Logits of ``hidden`` (T, D)."""

    hidden: Tensor


class Team:
    """The processes that torchrun started. ``device`` is this one's.

    What to compute is told over gloo, where waiting costs nothing; a GPU that waits in NCCL would compute all the time.
    """

    def __init__(self, device: torch.device | str | None = None) -> None:
        cuda = device is None and torch.cuda.is_available()
        dist.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
        self.part = Part(dist.get_rank(), dist.get_world_size())
        self.device = torch.device(f"cuda:{self.part.rank}" if cuda else device or "cpu")
        if cuda:
            torch.cuda.set_device(self.device)
        self._orders = dist.new_group(backend="gloo", timeout=PATIENCE) if cuda else None
        self._over = False

    def load(
        self, checkpoint: Checkpoint, dtype: torch.dtype, progress: Callable[[float], None] | None = None
    ) -> "Shard":
        """This process's share of the model; of the files it reads little more than that.

        Raises CheckpointError, ConfigError (it can't be split so often), and what torch raises if memory is short."""
        self.part.config(checkpoint.config)
        build = Leader if self.part.rank == 0 else Shard
        model = checkpoint.load_model(self.device, dtype, progress, self.part, lambda config: build(config, self))
        assert isinstance(model, Shard)
        if self.part.rank == 0:
            atexit.register(self.stop)
        return model

    def tell(self, order: Step | Head | None) -> None:
        """The leader: what to do next; None is the end."""
        dist.broadcast_object_list([order], src=0, group=self._orders)

    @torch.inference_mode()
    def follow(self, model: "Shard") -> None:
        """All others: do what the leader says, to the end."""
        cache: KVCache | None = None
        while True:
            heard: list[Any] = [None]
            dist.broadcast_object_list(heard, src=0, group=self._orders)
            order = heard[0]
            if order is None:
                return
            if isinstance(order, Head):
                model.output(order.hidden.to(self.device))
                continue
            if cache is None or cache.size != order.size:
                weight = model.tok_embeddings.weight
                cache = KVCache(model.config, order.size, device=weight.device, dtype=weight.dtype)
            cache.length = order.start
            branches = order.branches and Branches(*(part.to(self.device) for part in both(order.branches)))
            model.hidden(order.tokens.to(self.device), cache, branches)

    def stop(self) -> None:
        """The leader: let the others go home."""
        if not self._over:
            self._over = True
            self.tell(None)


class Shard(Transformer):
    """One process's share. What comes out of ``hidden`` is the same in all."""

    def __init__(self, config: ModelConfig, team: Team) -> None:
        part = team.part
        super().__init__(part.config(config))
        self.team = team
        for layer in self.layers:
            for room, name in ((layer.attention, "wo"), (layer.feed_forward, "w2")):
                whole = getattr(room, name)
                setattr(room, name, Summed(whole.in_features, whole.out_features))
        self.output = Words(config.dim, config.vocab_size // part.size)
        self.output.team = team


class Leader(Shard):
    """The share of process 0, which tells the others before it computes."""

    def hidden(self, tokens: Tensor, cache: KVCache | None = None, branches: Branches | None = None) -> Tensor:
        """As Transformer.hidden, in all processes."""
        assert cache is not None
        told = branches and Branches(*(part.cpu() for part in both(branches)))
        self.team.tell(Step(tokens.cpu(), cache.length, cache.size, told))
        return super().hidden(tokens, cache, branches)


class Summed(Linear):
    """A layer whose inputs are split: all processes' outputs are added in float32, so that two make no other rounding
    than one by more than the order of additions."""

    def forward(self, x: Tensor) -> Tensor:
        partial = product(x, self.weight).float()
        dist.all_reduce(partial)
        return partial.type_as(x)


class Words(Linear):
    """The output layer, split by words; process 0 gets all logits, the others their own."""

    team: Team

    def forward(self, hidden: Tensor) -> Tensor:
        part = self.team.part
        if part.rank == 0:
            self.team.tell(Head(hidden.cpu()))
        own = product(hidden, self.weight).float().contiguous()
        parts = [torch.empty_like(own) for _ in range(part.size)] if part.rank == 0 else None
        dist.gather(own, parts)
        return torch.cat(parts, dim=-1).type_as(hidden) if parts else own


def both(branches: Branches) -> tuple[Tensor, Tensor]:
    """Its two tensors."""
    return branches.positions, branches.mask
