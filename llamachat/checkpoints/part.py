"""Which part of each weight one of several processes holds (Megatron-LM, arXiv 1909.08053 §3). Knows names only."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from llamachat.errors import ConfigError
from llamachat.model import ModelConfig

ROWS = ("attention.wq", "attention.wk", "attention.wv", "feed_forward.w1", "feed_forward.w3", "output")
"""Each process computes some of the outputs: whole heads, columns of the feed-forward, words of the vocabulary."""
COLUMNS = ("attention.wo", "feed_forward.w2")
"""Each process has some of the inputs; the outputs are added up."""


@dataclass(frozen=True, slots=True)
class Part:
    """The share of process ``rank`` of ``size``. Norms and the embedding table are whole in each: the table is only
    looked up, so that splitting it would save memory and no time, and cost one more exchange for every id."""

    rank: int = 0
    size: int = 1

    def span(self, name: str, shape: Sequence[int]) -> tuple[int, int, int] | None:
        """Axis, start and length of this share of a weight; None if it is whole."""
        stem = name.removesuffix(".weight")
        axis = 0 if stem.endswith(ROWS) else 1 if stem.endswith(COLUMNS) else None
        if axis is None or self.size == 1:
            return None
        length = shape[axis] // self.size
        return axis, self.rank * length, length

    def cut(self, name: str, weight: Tensor) -> Tensor:
        """This share of ``weight``; a view, so that of a mapped file only its own pages are read."""
        span = self.span(name, weight.shape)
        return weight.narrow(*span) if span else weight

    def joined(self, name: str, parts: Sequence[Tensor], axis: int) -> list[Tensor]:
        """What this share takes of a weight that lies in ``parts`` along ``axis``."""
        total = sum(part.shape[axis] for part in parts)
        span = self.span(name, [total if i == axis else size for i, size in enumerate(parts[0].shape)])
        if span is None:
            return list(parts)
        if span[0] != axis:
            return [part.narrow(*span) for part in parts]
        found, at, (_, start, length) = list[Tensor](), 0, span
        for part in parts:
            begin, end = max(start - at, 0), min(start + length - at, part.shape[axis])
            if begin < end:
                found.append(part.narrow(axis, begin, end - begin))
            at += part.shape[axis]
        return found

    def config(self, config: ModelConfig) -> ModelConfig:
        """The shape of this share, but for the vocabulary. Raises ConfigError if it can't be split so often."""
        numbers = {
            "key/value heads": config.n_kv_heads, "query heads": config.n_heads,
            "columns of the feed-forward": config.ffn_dim, "words": config.vocab_size,
        }  # fmt: skip
        for what, number in numbers.items():
            if number % self.size:
                hint = "Choose a number of processes that divides it: torchrun --nproc-per-node N."
                raise ConfigError(f"The model's {number:,} {what} can't be split over {self.size} processes.", hint)
        return replace(
            config,
            n_heads=config.n_heads // self.size,
            n_kv_heads=config.n_kv_heads // self.size,
            ffn_dim=config.ffn_dim // self.size,
            head_dim=config.width,
        )


WHOLE = Part()
