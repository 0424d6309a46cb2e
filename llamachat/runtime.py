"""Ids in, ids out: a loaded model, its KV cache and one thread to run them. Knows no messages, tools or UI."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Literal, TypeVar

import torch
from torch import Tensor

from llamachat.checkpoints import open_checkpoint
from llamachat.checkpoints.quantised import load_quantised
from llamachat.config import Weights
from llamachat.devices import default_dtype, default_threads, engine_error, pick_device, using_threads
from llamachat.engine import EngineThread, Hop
from llamachat.errors import ConfigError, EngineError
from llamachat.kv_store import fingerprint
from llamachat.kv_tiers import Budgets, Tiers
from llamachat.kv_tree import common_prefix
from llamachat.model import Branches, KVCache, Transformer
from llamachat.picking import Picker, score_ids
from llamachat.protocol import Dialect
from llamachat.sampling import Constraint, GenerationStats, SamplingParams, TokenScore, check_ids, check_prompt
from llamachat.speculation import Drafter, PromptLookup
from llamachat.steps import Decoder, fast
from llamachat.steps.decoding import decode, not_finite
from llamachat.tokenizer import Tokenizer

if TYPE_CHECKING:
    from llamachat.parallel import Team

DEFAULT_CONTEXT = 8192  # the KV cache of an 8B model takes 1 GiB at this length, and 16 GiB at its full 131,072
CHUNK = 512  # prompt ids a step: a cancel waits for one chunk (0.1 s with the embedded model on one core)


T = TypeVar("T")


class LlamaRuntime:
    """Generates with one model on one device, one generation at a time, in a thread of its own.

    ``context`` is the longest prompt plus reply, in tokens. ``live_ids`` are the ids whose keys and values are in the
    cache: the next prompt is read only from where it departs from them, or from what is
    ``parked`` in RAM or on disk. ``stats`` tells of the latest generation. ``notice`` is a sentence for the user where
    this is slower than it should be.
    """

    def __init__(  # noqa: PLR0913 options, by name
        self,
        model: Transformer,
        tokenizer: Tokenizer,
        *,
        dialect: Dialect = Dialect(),
        name: str = "llama",
        sampling: SamplingParams = SamplingParams(),
        context: int | None = None,
        threads: int | None = None,
        budgets: Budgets = Budgets(),
        kv: torch.dtype | None = None,
    ) -> None:
        self.tokenizer, self.dialect, self.name = tokenizer, dialect, name
        self.sampling = sampling
        """What the model's makers recommend."""
        self.context = min(context or DEFAULT_CONTEXT, model.config.context)
        self.speculative = True
        """Whether ids are guessed ahead from what was said before; what comes out is the same."""
        self.stats = GenerationStats()
        self.scores: list[TokenScore] = []
        """Of the ids of the latest ``generate``, each there before its id is, if ``sampling.logprobs`` asks for it."""
        self.live_ids: list[int] = []
        self._kv = kv or model.tok_embeddings.weight.dtype
        self.parked = Tiers(budgets, lambda: fingerprint(model.state_dict(), model.config, self._kv))
        wanted = threads or default_threads(sum(tensor.nbytes for tensor in model.state_dict().values()))
        with using_threads(wanted):
            self._model, self.notice = fast(model, threads, self._kv)
        self._weight = model.tok_embeddings.weight
        self._cache: KVCache | None = None
        self.lookup: Drafter = PromptLookup()  # who guesses
        self._worker = EngineThread(lambda: torch.set_num_threads(wanted))

    @classmethod
    def open(  # noqa: PLR0913 options, by name
        cls,
        path: Path | str,
        *,
        device: str | None = None,
        dtype: torch.dtype | None = None,
        max_context: int | None = None,
        threads: int | None = None,
        weights: Weights | None = None,
        kv: Literal["fp8"] | None = None,
        budgets: Budgets = Budgets(),
        team: "Team | None" = None,
        progress: Callable[[float], None] | None = None,
    ) -> "LlamaRuntime":
        """Load a checkpoint: on CUDA in bfloat16 where there is one, else on the CPU in float32 (bfloat16 from 1e9
        weights on). ``weights`` quantises its linear layers, or asks for bfloat16, and ``kv`` what is kept of ids that
        were read. ``progress`` gets the share loaded.
        With a ``team``, this process leads it.

        Raises CheckpointError, TokenizerError, ConfigError (no such device), EngineError (not enough memory).
        """
        if max_context is not None and max_context < 2:
            raise ConfigError(f"A context of {max_context} tokens is too short.", "Give at least a few hundred.")
        checkpoint = open_checkpoint(path)
        tokenizer = checkpoint.load_tokenizer()
        place = team.device if team else pick_device(device)
        context = min(max_context or DEFAULT_CONTEXT, checkpoint.config.context)
        checkpoint = replace(checkpoint, config=replace(checkpoint.config, context=context))  # a shorter RoPE table
        kept = dtype or (torch.bfloat16 if weights == "bf16" else default_dtype(place, checkpoint))
        try:
            with using_threads(threads or default_threads(checkpoint.parameters * kept.itemsize)):
                if team:
                    model: Transformer = team.load(checkpoint, kept, progress)
                elif weights and weights != "bf16":
                    model = load_quantised(checkpoint, weights, place, kept, progress)
                else:
                    model = checkpoint.load_model(place, kept, progress)
        except (RuntimeError, MemoryError) as error:
            raise engine_error(error) from error
        return cls(
            model,
            tokenizer,
            dialect=checkpoint.dialect,
            name=checkpoint.name,
            sampling=checkpoint.sampling,
            context=context,
            threads=threads,
            budgets=budgets,
            kv=torch.float8_e4m3fn if kv else None,
        )

    async def generate(
        self,
        prompt_ids: Sequence[int],
        sampling: SamplingParams,
        stop_ids: Collection[int],
        constraint: Constraint | None = None,
    ) -> AsyncGenerator[int, None]:
        """Sample ids after ``prompt_ids``, each given out as soon as it is there, until one of ``stop_ids`` (given out
        too), ``sampling.max_tokens`` or the end of the context. ``constraint`` may refuse some, in the engine's thread.

        Closing the generator stops the engine before its next id; calls at the same time run one after the other.
        Raises ContextOverflow, EngineError.
        """
        prompt = self._checked(prompt_ids)
        loop = asyncio.get_running_loop()
        hop = Hop(loop)
        picker = Picker(sampling, constraint)
        running = self._worker.submit(lambda: self._pump(hop, prompt, picker, frozenset(stop_ids)))
        try:
            async for token_id in hop:
                yield token_id
        finally:
            hop.close()
            if not (running.cancel() or loop.is_closed()):
                await hop.ended.wait()
        running.result()

    async def score(
        self, prefix_ids: Sequence[int], continuations: Sequence[Sequence[int]], alternatives: int = 0
    ) -> list[list[TokenScore]]:
        """How likely the model finds each id of ``continuations`` after ``prefix_ids`` and what precedes it there.

        All are read in one row behind the prefix, which is read once and stays live. Sum the ``logprob`` of a
        continuation for its own. Raises ContextOverflow, EngineError.
        """
        prefix, wanted = self._checked(prefix_ids), [list(ids) for ids in continuations]
        if longest := max(wanted, key=len, default=[]):
            self._checked(prefix + longest)
        check_ids([token_id for ids in wanted for token_id in ids], self._weight.shape[0])
        scoring = self._worker.submit(lambda: self._guard(lambda: self._score(prefix, wanted, alternatives)))
        scores: list[list[TokenScore]] = await asyncio.wrap_future(scoring)
        return scores

    def tune(self) -> None:
        """Try how the device is best used, if it can be; takes a minute the first time."""
        if isinstance(self._model, Decoder):
            self._worker.submit(partial(self._guard, self._model.tune)).result()

    def close(self) -> None:
        """Wait for the engine's thread and end it."""
        self._worker.close()

    def _checked(self, prompt_ids: Sequence[int]) -> list[int]:
        check_prompt(prompt_ids, self.context, self._weight.shape[0])
        return list(prompt_ids)

    def _pump(self, hop: Hop, prompt: list[int], picker: Picker, stop_ids: frozenset[int]) -> None:
        """Run one generation in the engine's thread; what it says goes through ``hop``."""
        try:
            self._guard(lambda: self._run(hop, prompt, picker, stop_ids))
        finally:
            hop.end()
        if self.parked.on_disk:
            with suppress(EngineError):  # closed meanwhile
                self._worker.submit(self._save)  # nobody waits for the disk

    @torch.inference_mode()
    def _save(self) -> None:
        self.parked.save(self._cache, self.live_ids)

    def _guard(self, work: Callable[[], T]) -> T:
        """The result of ``work`` with the model. If it fails, the next one begins anew. Raises EngineError."""
        try:
            with torch.inference_mode():
                return work()
        except BaseException as error:
            self._cache, self.live_ids = None, []  # it may hold NaN, and its memory is wanted
            self.parked.clear()
            if isinstance(error, RuntimeError | MemoryError):
                raise engine_error(error) from error
            raise

    def _run(self, hop: Hop, prompt: list[int], picker: Picker, stop_ids: frozenset[int]) -> None:
        started = first = last = perf_counter()
        self.scores = []
        self.lookup.begin()
        generated, shared, cached, lookup = 0, 0, 0, self.lookup
        longest = min(picker.sampling.max_tokens, self.context - len(prompt))
        try:
            shared, cached = self._rewind(prompt)
            for token_id in islice(self._sample(hop, prompt, picker, longest), longest):
                last = perf_counter()
                first = last if not generated else first
                generated += 1
                hop.put(token_id)
                if token_id in stop_ids or hop.closed:
                    break
        finally:
            prefilled = max(0, min(len(self.live_ids), len(prompt)) - cached)
            self.parked.learned(prefilled, first - started)
            self.stats = GenerationStats(
                prompt_tokens=len(prompt),
                cached_tokens=cached,
                prefilled_tokens=prefilled,
                generated_tokens=generated,
                prefill_seconds=first - started,
                decode_seconds=last - first,
                refused_tokens=picker.refused,
                released=picker.released,
                restored_tokens=cached - shared,
                drafted_tokens=lookup.drafted,
                accepted_tokens=lookup.accepted,
            )

    def _rewind(self, prompt: list[int]) -> tuple[int, int]:
        """Make the cache hold what is known of ``prompt``, but for its last id, which is read for its logits.

        Returns how much of it was live, and how much is now.
        """
        if self._cache is None:
            weight = self._weight
            self._cache = KVCache(self._model.config, self.context, device=weight.device, dtype=self._kv)
        known = prompt[:-1]
        shared = common_prefix(self.live_ids, known)
        self.live_ids = known[: self.parked.switch(self._cache, self.live_ids, known)]
        return shared, len(self.live_ids)

    def _prefill(self, prompt: list[int], hop: Hop | None = None) -> Tensor | None:
        """Read the rest of ``prompt``; the hidden state of its last id, (1, D). None if nobody listens any more."""
        for start in range(len(self.live_ids), len(prompt), CHUNK):
            if hop and hop.closed:
                return None
            hidden = self._feed(prompt[start : start + CHUNK])[-1:]
        return hidden

    def _sample(self, hop: Hop, prompt: list[int], picker: Picker, longest: int) -> Iterator[int]:
        """Read the rest of ``prompt``, then give id after id; an id is read when the next one is wanted.

        Guessed ids are read together with it. Each id is drawn as ever; while the guesses were right, the next draw
        needs no further reading. So guessing changes when ids come, not which (but for rounding: a pass over several
        ids may differ from passes over each in the last bit).
        """
        hidden, guess = self._prefill(prompt, hop), list[int]()
        if hidden is None:
            return
        generated, lookup = 0, self.lookup
        if isinstance(self._model, Decoder) and self._model.ready and self._cache and picker.plain:
            token_id = picker.pick(self._logits(hidden)[0])
            yield token_id  # not later: the first id is waited for
            self._model.begin(self._cache, picker.sampling, picker.random)
            lookup.follow([*prompt, token_id])
            ahead = lookup if self.speculative else None
            for following in decode(self._model, token_id, len(prompt), longest - 1, ahead):
                self._keep([token_id])
                token_id = following
                yield token_id
            return
        while True:
            for logits, guessed in zip(self._logits(hidden), [*guess, None], strict=True):
                token_id = picker.pick(logits)
                if number := picker.sampling.logprobs:
                    self.scores += score_ids(logits[None], [token_id], number)
                yield token_id
                if not generated:  # not sooner: the first id is waited for
                    lookup.follow(prompt)
                lookup.add(token_id)
                generated += 1
                if token_id != guessed:
                    break
                self._keep([token_id])
            guess = lookup.draft(longest - generated - 1) if self.speculative else []
            hidden = self._feed([token_id], guess)

    def _logits(self, hidden: Tensor) -> Tensor:
        """Logits (T, V) of ``hidden`` (T, D). Raises EngineError where they are not finite."""
        logits: Tensor = self._model.output(hidden)
        if not logits.amax().isfinite():
            raise not_finite()
        return logits

    def _feed(self, ids: list[int], guess: Sequence[int] = (), branches: Branches | None = None) -> Tensor:
        """Read ``ids`` behind the live ones, which they join, and then ``guess``; all their hidden states, (T, D)."""
        tokens = torch.tensor([[*ids, *guess]], device=self._weight.device)
        hidden = self._model.hidden(tokens, self._cache, branches)
        self._keep(ids)
        return hidden[0]

    def _keep(self, ids: list[int]) -> None:
        """The next positions of the cache hold ``ids``, and what is behind them is nothing."""
        self.live_ids += ids
        if self._cache:
            self._cache.length = len(self.live_ids)

    def _score(self, prefix: list[int], wanted: list[list[int]], alternatives: int) -> list[list[TokenScore]]:
        started = perf_counter()
        shared, cached = self._rewind(prefix)
        last = self._prefill(prefix)
        assert last is not None  # without a hop, nobody can leave
        scores: list[list[TokenScore]] = []
        for group in in_groups(wanted, min(CHUNK, self.context - len(prefix))):
            for ids, states in zip(group, self._behind(len(prefix), [ids[:-1] for ids in group]), strict=True):
                hidden = torch.cat((last, states))
                parts = [(ids[i : i + 64], hidden[i : i + 64]) for i in range(0, len(ids), 64)]  # 33 MB of logits each
                scores.append([s for part, rows in parts for s in score_ids(self._logits(rows), part, alternatives)])
        self.stats = GenerationStats(
            prompt_tokens=len(prefix),
            cached_tokens=cached,
            prefilled_tokens=len(prefix) - cached,
            prefill_seconds=perf_counter() - started,
            restored_tokens=cached - shared,
        )
        return scores

    def _behind(self, prefix: int, sequences: list[list[int]]) -> Sequence[Tensor]:
        """Hidden states (T, D) of each of ``sequences``, all read in one row behind the live ids, and none kept."""
        lengths = [len(ids) for ids in sequences]
        if not any(lengths):
            return [self._weight.new_empty(0, self._weight.shape[1])] * len(lengths)
        branches = Branches.behind(prefix, lengths, self._weight.device)
        hidden = self._feed([], [token_id for ids in sequences for token_id in ids], branches)
        return torch.split(hidden, lengths)


def in_groups(sequences: list[list[int]], room: int) -> Iterator[list[list[int]]]:
    """``sequences`` in order, as many together as have ``room`` ids, less the last of each; at least one."""
    group, used = list[list[int]](), 0
    for ids in sequences:
        if group and used + len(ids) - 1 > room:
            yield group
            group, used = [], 0
        group.append(ids)
        used += max(0, len(ids) - 1)
    if group:
        yield group
