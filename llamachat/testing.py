"""Fakes that ship with the product: a runtime that speaks a script, a byte tokenizer, replay of a recorded turn.

They know the wire format as the real engine does (their replies are ids, control tokens included), but no weights.
"""

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from llamachat.errors import ContextOverflow, EngineError, LlamaChatError, StorageError
from llamachat.messages import Event
from llamachat.protocol import Dialect
from llamachat.sampling import Constraint, GenerationStats, SamplingParams
from llamachat.tokenizer import Tokenizer, Variant

Script = str | Sequence[str | asyncio.Event | LlamaChatError]
"""One reply: text in which ``<|…|>`` names are control tokens, e.g. ``"<|python_tag|>1 + 1<|eom_id|>"``.
As a sequence it may also hold an Event, where the reply waits until it is set, and an error, which is raised."""


def byte_tokenizer(variant: Variant = "3.1") -> Tokenizer:
    """A tokenizer of 256 bytes and the 256 special tokens: no file needed, one id per byte."""
    return Tokenizer({bytes([i]): i for i in range(256)}, variant)


class ScriptedRuntime:
    """Speaks ``script``, one entry per generation; keeps the ``prompts`` it was given and counts like the real runtime.

    Raises EngineError when the script is used up, ContextOverflow on a prompt longer than ``context``.
    """

    name = "scripted"
    notice = ""

    def __init__(
        self,
        script: Iterable[Script],
        *,
        tokenizer: Tokenizer | None = None,
        dialect: Dialect = Dialect(dates=False),
        context: int = 8192,
    ) -> None:
        self.script = list(script)
        self.tokenizer = tokenizer or byte_tokenizer()
        self.dialect = dialect
        self.context = context
        self.sampling = SamplingParams(temperature=0.0)
        self.stats = GenerationStats()
        self.prompts: list[list[int]] = []
        self._live: list[int] = []

    async def generate(
        self,
        prompt_ids: Sequence[int],
        sampling: SamplingParams,
        stop_ids: Collection[int],
        constraint: Constraint | None = None,
    ) -> AsyncGenerator[int, None]:
        """The ids of the next script entry, ended by the first stop id, ``max_tokens`` or the end of the entry.

        A script is said as it stands: ``constraint`` is told of its ids, and those it would refuse are counted.
        """
        if len(prompt_ids) >= self.context:
            raise ContextOverflow(
                f"The prompt has {len(prompt_ids)} tokens, the context {self.context}.", "Start anew."
            )
        if len(self.prompts) == len(self.script):
            raise EngineError("The script has no more replies.", "Add one to the ScriptedRuntime.")
        entry = self.script[len(self.prompts)]
        self.prompts.append(list(prompt_ids))
        cached = _common_prefix(self._live, prompt_ids)
        self._live = list(prompt_ids)
        self.stats = GenerationStats(len(prompt_ids), cached, len(prompt_ids) - cached)
        for part in (entry,) if isinstance(entry, str) else entry:
            if isinstance(part, LlamaChatError):
                raise part
            if isinstance(part, asyncio.Event):
                await part.wait()
                continue
            for token_id in self.tokenizer.tokenize(part, bos=False, eos=False, allowed_special="all"):
                await asyncio.sleep(0)  # as from a real engine, other tasks run between two ids
                refused = constraint is not None and not constraint.allows(token_id)
                if constraint:
                    constraint.accept(token_id)
                self.stats = replace(
                    self.stats,
                    generated_tokens=self.stats.generated_tokens + 1,
                    refused_tokens=self.stats.refused_tokens + refused,
                )
                self._live.append(token_id)
                yield token_id
                if token_id in stop_ids or self.stats.generated_tokens == sampling.max_tokens:
                    return


async def replay(path: Path) -> AsyncGenerator[Event, None]:
    """The events of a turn that ``llamachat -p … --output stream-json`` wrote. Raises StorageError if it is none."""
    for event in recorded(path):
        await asyncio.sleep(0)
        yield event


def recorded(path: Path) -> list[Event]:
    """All events of a recorded turn."""
    adapter: TypeAdapter[Event] = TypeAdapter(Event)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [adapter.validate_json(line) for line in lines]
    except OSError as error:
        raise StorageError(f"Can't read {path}: {error.strerror}.", "Give the path of a recorded turn.") from error
    except ValidationError as error:
        raise StorageError(f"{path} is no recorded turn.", "Record one with --output stream-json.") from error


def _common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """How many ids agree; at most all but the last of ``right``, which is always read again for its logits."""
    limit = min(len(left), len(right) - 1)
    return next((i for i in range(limit) if left[i] != right[i]), max(limit, 0))
