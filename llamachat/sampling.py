"""What an engine is asked: how the next token is chosen, a prompt that it can read, constraints. Knows no model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Protocol

from llamachat.errors import ConfigError, ContextOverflow, EngineError


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """Sampling of one generation. Temperature 0 is greedy; top_k 0, top_p 1 and min_p 0 switch a filter off.

    Filters apply in the order temperature → top-k → top-p → min-p. Raises ConfigError on values out of range.
    """

    temperature: float = 0.6
    top_p: float = 0.9
    top_k: int = 0
    min_p: float = 0.0
    """Keep ids whose probability is at least ``min_p`` times that of the likeliest (arXiv 2407.01082)."""
    seed: int | None = None
    max_tokens: int = 2048
    """Longest single message, in tokens; the context may end it earlier."""
    logprobs: int = 0
    """For each id, note how likely it was, and so many of the likeliest in its place; 0 notes nothing."""

    def __post_init__(self) -> None:
        checks = {
            "temperature": (0.0 <= self.temperature <= 100.0, "between 0 (greedy) and 100"),
            "top_p": (0.0 < self.top_p <= 1.0, "above 0 and at most 1"),
            "top_k": (self.top_k >= 0, "0 (off) or more"),
            "min_p": (0.0 <= self.min_p <= 1.0, "between 0 and 1"),
            "max_tokens": (self.max_tokens >= 1, "1 or more"),
            "logprobs": (0 <= self.logprobs <= 100, "between 0 (off) and 100"),
        }
        for name, (good, range_) in checks.items():
            if not good:
                raise ConfigError(f"{name} is {getattr(self, name)}.", f"Choose {name} {range_}.")

    def override(self, changes: Mapping[str, Any]) -> "SamplingParams":
        """The same with some fields changed, by name."""
        return replace(self, **changes)


def uniform(random: Random) -> float:
    """A number from 0 up to, but never, 1, also when it is rounded to float32."""
    return random.getrandbits(24) / 2**24


@dataclass(frozen=True, slots=True)
class TokenScore:
    """How likely an id was to the model itself, before temperature, filters and constraint; natural logarithms."""

    token_id: int
    logprob: float
    alternatives: tuple[tuple[int, float], ...] = ()
    """The likeliest ids in its place and their logarithms, in falling order; it may be among them."""


@dataclass(frozen=True, slots=True)
class GenerationStats:
    """What one generation cost. Tokens are counts, times are seconds."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Ids of the prompt whose keys and values were still in the cache."""
    prefilled_tokens: int = 0
    """Ids of the prompt that were read: prompt_tokens - cached_tokens."""
    generated_tokens: int = 0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    """From the first generated id to the last."""
    refused_tokens: int = 0
    """Ids that were drawn and that the constraint refused."""
    released: bool = False
    """Whether the constraint had to let go, since nothing that it allowed could come next."""
    restored_tokens: int = 0
    """Cached ids whose keys and values were copied back from a branch that had been left."""
    drafted_tokens: int = 0
    """Ids that were guessed from what was said before, and verified in one pass with others."""
    accepted_tokens: int = 0
    """Those of them that came."""


class Constraint(Protocol):
    """What a generation may say: asked before an id is taken, told of every id that is. Lives for one generation.

    It is asked in the engine's thread, nearly always for the one id that was drawn.
    """

    def allows(self, token_id: int) -> bool:
        """Whether ``token_id`` may come next."""

    def accept(self, token_id: int) -> None:
        """``token_id`` came next."""

    def replaces(self, token_id: int) -> bool:
        """Whether ``token_id`` may come in place of one that was refused: what leads nowhere may not."""

    def replacements(self) -> Sequence[int]:
        """All ids that may; none if the generation is stuck."""

    def release(self) -> None:
        """It was stuck: allow everything."""


def check_prompt(ids: Sequence[int], context: int, vocabulary: int) -> None:
    """Raises EngineError for a prompt that is empty or has unknown ids, ContextOverflow for one that is too long."""
    if not ids:
        raise EngineError("The prompt is empty.", "Give at least one id, such as the tokenizer's bos_id.")
    if len(ids) >= context:
        raise ContextOverflow(
            f"The prompt has {len(ids):,} tokens, and with the reply it must fit into {context:,}.",
            "Begin a new dialog, shorten the message, or start the engine with a longer context if the model has one.",
        )
    check_ids(ids, vocabulary)


def check_ids(ids: Sequence[int], vocabulary: int) -> None:
    """Raises EngineError if a model with so many words does not have ``ids``."""
    if ids and not 0 <= min(ids) <= max(ids) < vocabulary:
        raise EngineError(
            f"The prompt has ids outside the vocabulary of {vocabulary:,}.",
            "They were probably made with another model's tokenizer.",
        )
