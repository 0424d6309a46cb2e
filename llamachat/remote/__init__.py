"""A model that another engine runs: the ``Runtime`` of agent.py over HTTP, ids in and ids out. Knows no messages.

Which engine it is, its server says (``servers.py``); the words, its tokenizer and dialect, come from a folder of ours.
"""

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter

from llamachat.checkpoints import open_checkpoint
from llamachat.protocol import Dialect
from llamachat.remote.engines import Engine, Piece, Question
from llamachat.remote.held import Held
from llamachat.remote.servers import find_server
from llamachat.remote.wire import Address
from llamachat.sampling import Constraint, GenerationStats, SamplingParams, check_prompt
from llamachat.tokenizer import Tokenizer

__all__ = ["Address", "RemoteRuntime"]

LAST_WORDS = 1.0  # seconds that a server is given behind the stop id, to say what it counted


@dataclass(slots=True)
class _Said:
    """What came of one generation so far, over all its questions."""

    ids: list[int] = field(default_factory=list)
    cached: int | None = None
    started: float = field(default_factory=perf_counter)
    first: float = 0.0
    last: float = 0.0

    def add(self, token_id: int) -> None:
        """It came, now."""
        self.last = perf_counter()
        self.first = self.first or self.last
        self.ids.append(token_id)

    def stats(self, prompt: int, held: Held) -> GenerationStats:
        """A server that tells of no cache is taken to have read everything."""
        cached = min(max(self.cached or 0, 0), prompt)
        return GenerationStats(
            prompt_tokens=prompt,
            cached_tokens=cached,
            prefilled_tokens=prompt - cached,
            generated_tokens=len(self.ids),
            prefill_seconds=(self.first or perf_counter()) - self.started,
            decode_seconds=self.last - self.first,
            refused_tokens=held.refused,
            released=held.released,
        )


class RemoteRuntime:
    """Speaks with one server. ``context`` is what the server has; ``stats`` tells of the latest generation."""

    notice = ""

    def __init__(
        self,
        address: Address,
        engine: Engine,
        tokenizer: Tokenizer,
        *,
        name: str,
        context: int,
        dialect: Dialect = Dialect(),
        sampling: SamplingParams = SamplingParams(),
    ) -> None:
        self.tokenizer, self.dialect, self.sampling = tokenizer, dialect, sampling
        self.name, self.context = name, context
        self.stats = GenerationStats()
        self.address, self.engine = address, engine

    @classmethod
    def open(cls, address: Address, folder: Path | str) -> "RemoteRuntime":
        """Ask the server who it is; ``folder`` has its model's tokenizer and config, weights or not.

        Raises CheckpointError (also if the server's model has another tokenizer), TokenizerError, EngineError.
        """
        words = open_checkpoint(folder, weights=False)
        tokenizer = words.load_tokenizer()
        found = find_server(address, tokenizer)
        return cls(
            address,
            found.engine,
            tokenizer,
            name=found.model,
            context=found.context or words.config.context,
            dialect=words.dialect,
            sampling=words.sampling,
        )

    async def generate(
        self,
        prompt_ids: Sequence[int],
        sampling: SamplingParams,
        stop_ids: Collection[int],
        constraint: Constraint | None = None,
    ) -> AsyncGenerator[int, None]:
        """Ids after ``prompt_ids`` as the server samples them, up to a stop id (given out too).

        An id that ``constraint`` refuses ends the question, and the next one asks from there without it; the server
        has the rest cached. Closing the generator hangs up. Raises ContextOverflow, EngineError.
        """
        prompt = list(prompt_ids)
        check_prompt(prompt, self.context, self.tokenizer.n_words)
        longest = min(sampling.max_tokens, self.context - len(prompt))
        said, held = _Said(), Held(constraint)
        try:
            more = True
            while more and len(said.ids) < longest:
                more, left = bool(held.bias), 1 if held.bias else longest - len(said.ids)
                question = Question([*prompt, *said.ids], replace(sampling, max_tokens=left), stop_ids, held.bias)
                async with aclosing(self._answer(question, said)) as answer:
                    async for token_id in answer:
                        if not held.takes(token_id):
                            more = True
                            break
                        said.add(token_id)
                        yield token_id
                        more = more and token_id not in stop_ids
        finally:
            self.stats = said.stats(len(prompt), held)

    def close(self) -> None:
        """As the other engine has it; between two generations nothing is open."""

    async def _answer(self, question: Question, said: _Said) -> AsyncGenerator[int, None]:
        """The ids of one answer, up to the first stop id. Before the last one is given out the server may say what it
        counted, as nobody will listen behind it."""
        seen, made, left = 0, 0, question.sampling.max_tokens
        async with aclosing(self.address.events(self.engine.path, self.engine.body(question))) as events:
            async for event in events:
                piece = self._read(event, made)
                made = made + len(piece.ids) if piece.made is None else piece.made
                ids = (*piece.ids, *(() if piece.stop_id is None else (piece.stop_id,)))[: left - seen]
                for token_id in ids:
                    seen += 1
                    self._count(piece, said)
                    if last := token_id in question.stop_ids or seen == left:
                        await self._hear_out(events, said)
                    yield token_id
                    if last:
                        return
                if piece.done:
                    self._count(piece, said)
                    if not seen:
                        raise self.address.strange("it ended without an id")
                    return
        raise self.address.gone()

    async def _hear_out(self, events: AsyncGenerator[object, None], said: _Said) -> None:
        """Read on to the end, if that is near: vLLM counts there."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                while (event := await anext(events, None)) is not None:
                    piece = self._read(event, len(said.ids) + 1)
                    self._count(piece, said)
                    if piece.ids:  # it does not know that this was the end
                        return

    def _count(self, piece: Piece, said: _Said) -> None:
        """What was cached of the prompt; later questions of the same generation find their own ids cached."""
        if piece.cached is not None:
            said.cached = piece.cached if said.cached is None else said.cached

    def _read(self, event: object, seen: int) -> Piece:
        """An event, checked. Raises EngineError."""
        try:
            if not isinstance(event, dict):
                raise TypeError
            piece = self.engine.read(event, seen)
            good = all(
                type(token_id) is int
                for token_id in (*piece.ids, *filter(None, (piece.stop_id, piece.cached, piece.made)))
            )
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise self.address.strange(f"its answer is not that of {self.engine.kind}") from error
        if not good or any(not 0 <= token_id < self.tokenizer.n_words for token_id in piece.ids):
            raise self.address.strange("it gave ids that its model does not have")
        return piece
