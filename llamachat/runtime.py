"""Ids in, ids out: a loaded model, its KV cache and one thread to run them. Knows no messages, tools or UI."""

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor

from llamachat.checkpoints import Checkpoint, open_checkpoint
from llamachat.errors import ConfigError, ContextOverflow, EngineError
from llamachat.model import KVCache, Transformer
from llamachat.protocol import Dialect
from llamachat.sampling import Constraint, GenerationStats, SamplingParams
from llamachat.tokenizer import Tokenizer

DEFAULT_CONTEXT = 8192  # the KV cache of an 8B model takes 1 GiB at this length, and 16 GiB at its full 131,072
REFUSALS = 64  # draws that a constraint may refuse before it is asked for all that may come
CHUNK = 512  # prompt ids a step: a cancel waits for one chunk (0.1 s with the embedded model on one core)


class LlamaRuntime:
    """Generates with one model on one device, one generation at a time, in a thread of its own.

    ``context`` is the longest prompt plus reply, in tokens. ``live_ids`` are the ids whose keys and values are in the
    cache: the next prompt is read only from where it departs from them. ``stats`` tells of the latest generation.
    """

    def __init__(
        self,
        model: Transformer,
        tokenizer: Tokenizer,
        *,
        dialect: Dialect = Dialect(),
        name: str = "llama",
        sampling: SamplingParams = SamplingParams(),
        context: int | None = None,
        threads: int | None = None,
    ) -> None:
        self.tokenizer, self.dialect, self.name = tokenizer, dialect, name
        self.sampling = sampling
        """What the model's makers recommend."""
        self.context = min(context or DEFAULT_CONTEXT, model.config.context)
        self.stats = GenerationStats()
        self.live_ids: list[int] = []
        self._model = model
        self._weight = model.output.weight
        self._cache: KVCache | None = None
        self._worker = ThreadPoolExecutor(
            1, "llamachat-engine", torch.set_num_threads, (threads or default_threads(model),)
        )

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        device: str | None = None,
        dtype: torch.dtype | None = None,
        max_context: int | None = None,
        threads: int | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> "LlamaRuntime":
        """Load a checkpoint: on CUDA in bfloat16 where there is one, else on the CPU in float32 (bfloat16 from 1e9
        weights on). ``progress`` gets the share loaded.

        Raises CheckpointError, TokenizerError, ConfigError (no such device), EngineError (not enough memory).
        """
        if max_context is not None and max_context < 2:
            raise ConfigError(f"A context of {max_context} tokens is too short.", "Give at least a few hundred.")
        checkpoint = open_checkpoint(path)
        tokenizer = checkpoint.load_tokenizer()
        place = pick_device(device)
        context = min(max_context or DEFAULT_CONTEXT, checkpoint.config.context)
        checkpoint = replace(checkpoint, config=replace(checkpoint.config, context=context))  # a shorter RoPE table
        try:
            model = checkpoint.load_model(place, dtype or default_dtype(place, checkpoint), progress)
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
        hop = _Hop(loop)
        picker = Picker(sampling, constraint)
        running = self._worker.submit(self._pump, hop, prompt, picker, frozenset(stop_ids))
        try:
            async for token_id in hop:
                yield token_id
        finally:
            hop.close()
            if not (running.cancel() or loop.is_closed()):
                await hop.ended.wait()
        running.result()

    def close(self) -> None:
        """Wait for the engine's thread and end it."""
        self._worker.shutdown(cancel_futures=True)

    def _checked(self, prompt_ids: Sequence[int]) -> list[int]:
        if not prompt_ids:
            raise EngineError("The prompt is empty.", "Give at least one id, such as the tokenizer's bos_id.")
        if len(prompt_ids) >= self.context:
            raise ContextOverflow(
                f"The prompt has {len(prompt_ids):,} tokens, and with the reply it must fit into {self.context:,}.",
                "Begin a new dialog, shorten the message, or start with a longer context if the model has one.",
            )
        vocabulary = self._weight.shape[0]
        if not 0 <= min(prompt_ids) <= max(prompt_ids) < vocabulary:
            raise EngineError(
                f"The prompt has ids outside the vocabulary of {vocabulary:,}.",
                "They were probably made with another model's tokenizer.",
            )
        return list(prompt_ids)

    def _pump(self, hop: "_Hop", prompt: list[int], picker: "Picker", stop_ids: frozenset[int]) -> None:
        """Run one generation in the engine's thread; what it says goes through ``hop``."""
        try:
            with torch.inference_mode():
                self._run(hop, prompt, picker, stop_ids)
        except (EngineError, RuntimeError, MemoryError) as error:
            self._cache, self.live_ids = None, []  # it may hold NaN, and its memory is wanted
            raise engine_error(error) from error
        finally:
            hop.end()

    def _run(self, hop: "_Hop", prompt: list[int], picker: "Picker", stop_ids: frozenset[int]) -> None:
        started = first = last = perf_counter()
        cached, generated = self._rewind(prompt), 0
        longest = min(picker.sampling.max_tokens, self.context - len(prompt))
        try:
            for token_id in islice(self._sample(hop, prompt, picker), longest):
                last = perf_counter()
                first = last if not generated else first
                generated += 1
                hop.put(token_id)
                if token_id in stop_ids or hop.closed:
                    break
        finally:
            prefilled = max(0, min(len(self.live_ids), len(prompt)) - cached)
            times = first - started, last - first
            self.stats = GenerationStats(
                len(prompt), cached, prefilled, generated, *times, picker.refused, picker.released
            )

    def _rewind(self, prompt: list[int]) -> int:
        """Shorten the cache to what it shares with ``prompt``, less its last id, for its logits; return its length."""
        shared = min(common_prefix(self.live_ids, prompt), len(prompt) - 1)
        if self._cache:
            self._cache.length = shared
        del self.live_ids[shared:]
        return shared

    def _sample(self, hop: "_Hop", prompt: list[int], picker: "Picker") -> Iterator[int]:
        """Read the rest of ``prompt``, then sample id after id; an id is read when the next one is wanted."""
        for start in range(len(self.live_ids), len(prompt), CHUNK):
            if hop.closed:
                return
            hidden = self._feed(prompt[start : start + CHUNK])
        while True:
            logits = self._model.output(hidden[0, -1])
            if not logits.max().isfinite():
                raise EngineError(
                    "The model computed numbers that are not finite.", "Its checkpoint is damaged; fetch it again."
                )
            token_id = picker.pick(logits)
            yield token_id
            hidden = self._feed([token_id])

    def _feed(self, ids: list[int]) -> Tensor:
        """Read ``ids`` behind the live ones; their last hidden states, (1, T, D)."""
        if self._cache is None:
            weight = self._weight
            self._cache = KVCache(self._model.config, self.context, device=weight.device, dtype=weight.dtype)
        hidden = self._model.hidden(torch.tensor([ids], device=self._weight.device), self._cache)
        self.live_ids += ids
        return hidden


class _Hop:
    """Ids from the engine's thread to one consumer in asyncio, in order and at once.

    Waking the event loop costs about 0.1 ms, so it is woken only when the consumer waits: a slow one gets many at once.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.ended = asyncio.Event()
        """Set when the engine is done with this generation."""
        self._loop, self._closed = loop, False
        self._ids: deque[int | None] = deque()
        self._ready, self._woken = asyncio.Event(), False

    def close(self) -> None:
        """In the consumer's thread: no more ids, please."""
        self._closed = True

    @property
    def closed(self) -> bool:
        """Whether nobody listens any more; the engine looks before every step."""
        return self._closed or self._loop.is_closed()

    def put(self, token_id: int | None) -> None:
        """In the engine's thread. None is the end. Appending before looking at ``_woken`` is what loses no id."""
        self._ids.append(token_id)
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._ready.set)

    def end(self) -> None:
        """In the engine's thread: no more ids."""
        self.put(None)
        self._loop.call_soon_threadsafe(self.ended.set)

    def __aiter__(self) -> "_Hop":
        return self

    async def __anext__(self) -> int:
        while not self._ids:
            await self._ready.wait()
            self._ready.clear()
            self._woken = False
        token_id = self._ids.popleft()
        if token_id is None:
            raise StopAsyncIteration
        return token_id


class Picker:
    """Chooses the ids of one generation, among those that ``constraint`` allows.

    It is asked for the id that was drawn; a refused one gets probability 0 and the next is drawn, by the same filters.
    So a model that is right says bit for bit what it would have said, at the price of one question an id.
    """

    def __init__(self, sampling: SamplingParams, constraint: Constraint | None = None) -> None:
        self.sampling = sampling
        self.refused = 0
        self.released = False
        self._constraint = constraint
        self._generator = torch.Generator()  # on the CPU for every device, so that a seed means the same everywhere
        self._generator.seed() if sampling.seed is None else self._generator.manual_seed(sampling.seed)

    def pick(self, logits: Tensor) -> int:
        """The next id from ``logits`` (V)."""
        token_id = choose(logits, self.sampling, self._generator)
        if self._constraint is not None:
            if not self._constraint.allows(token_id):
                token_id = self._again(logits.clone(), token_id, self._constraint)
            self._constraint.accept(token_id)
        return token_id

    def _again(self, logits: Tensor, refused: int, constraint: Constraint) -> int:
        """An id in place of the refused one; if there is none, that one after all."""
        logits, wanted = logits.float(), refused
        for _ in range(REFUSALS):
            self.refused += 1
            logits[refused] = -torch.inf
            if logits.max() == -torch.inf:
                break
            refused = choose(logits, self.sampling, self._generator)
            if constraint.replaces(refused):
                return refused
        allowed = list(constraint.replacements())
        mask = torch.full_like(logits, -torch.inf)
        mask[allowed] = logits[allowed]
        if mask.max() > -torch.inf:
            return choose(mask, self.sampling, self._generator)
        self.released = True
        constraint.release()
        return wanted


def choose(logits: Tensor, sampling: SamplingParams, generator: torch.Generator) -> int:
    """The next id from ``logits`` (V): temperature, then top-k, top-p (the smallest set that reaches it) and min-p.

    Draws one number from ``generator``, which lives on the CPU, and none when greedy. Ties go to one of the likeliest.
    """
    if sampling.temperature == 0 or sampling.top_k == 1:
        return int(logits.argmax())
    # The likeliest at 0, so that a tiny temperature overflows to -inf, never to NaN; 1e-30 is still a normal float32.
    scaled = (logits.float() - logits.max()) / max(sampling.temperature, 1e-30)
    if sampling.top_k:
        scaled[scaled < scaled.topk(min(sampling.top_k, len(scaled))).values[-1]] = -torch.inf
    probabilities, ids = likeliest(scaled.softmax(0), sampling)
    keep = probabilities >= sampling.min_p * probabilities[0]
    if sampling.top_p < 1:
        keep &= probabilities.cumsum(0) - probabilities < sampling.top_p
    reached = (probabilities * keep).cumsum(0)
    drawn = torch.rand((), generator=generator).to(reached.device) * reached[-1]
    return int(ids[(reached <= drawn).sum().clamp(max=keep.sum() - 1)])


def likeliest(probabilities: Tensor, sampling: SamplingParams) -> tuple[Tensor, Tensor]:
    """At least those probabilities (V) that can pass top-p and min-p, in falling order, and their ids.

    512 nearly always do, and take 0.3 ms of a core where sorting all of Llama's 128,256 takes 10 ms.
    """
    head, ids = probabilities.topk(min(512, len(probabilities)))
    if (sampling.top_p < 1 and head.sum() >= sampling.top_p) or head[-1] < sampling.min_p * head[0]:
        return head, ids
    return probabilities.sort(descending=True)


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Number of leading ids that two sequences share."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


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


def default_threads(model: Transformer) -> int:
    """One for models below 100 MB, else the cores that are idle.

    The embedded model decodes 25 % faster with a second core that is free, and 15 times slower with one that is
    busy, since every small operation waits for the slowest thread.
    """
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0  # Windows has none
    return 1 if size < 100e6 else max(1, torch.get_num_threads() - round(load))


def engine_error(error: Exception) -> EngineError:
    """``error``, raised by torch, in our words."""
    if isinstance(error, EngineError):
        return error
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "memory" in str(error):
        return EngineError(
            "There is not enough memory for this model and context.",
            "Choose a shorter context, a smaller model or another device.",
        )
    reason = str(error).strip().splitlines()
    return EngineError(f"The engine failed: {reason[0] if reason else type(error).__name__}", "Restart llamachat.")
