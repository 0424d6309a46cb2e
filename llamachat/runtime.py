"""Ids in, ids out: a loaded model, its KV cache and one thread to run them. Knows no messages, tools or UI."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor

from llamachat.checkpoints import Checkpoint, open_checkpoint
from llamachat.engine import EngineThread, Hop
from llamachat.errors import ConfigError, ContextOverflow, EngineError
from llamachat.kv_tree import KVTree, common_prefix, default_budget
from llamachat.model import KVCache, Transformer
from llamachat.picking import Picker
from llamachat.protocol import Dialect
from llamachat.sampling import Constraint, GenerationStats, SamplingParams
from llamachat.tokenizer import Tokenizer

DEFAULT_CONTEXT = 8192  # the KV cache of an 8B model takes 1 GiB at this length, and 16 GiB at its full 131,072
CHUNK = 512  # prompt ids a step: a cancel waits for one chunk (0.1 s with the embedded model on one core)


class LlamaRuntime:
    """Generates with one model on one device, one generation at a time, in a thread of its own.

    ``context`` is the longest prompt plus reply, in tokens. ``live_ids`` are the ids whose keys and values are in the
    cache: the next prompt is read only from where it departs from them, or from the branches that were left and are
    ``parked`` in RAM. ``stats`` tells of the latest generation.
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
        parked_bytes: int | None = None,
    ) -> None:
        self.tokenizer, self.dialect, self.name = tokenizer, dialect, name
        self.sampling = sampling
        """What the model's makers recommend."""
        self.context = min(context or DEFAULT_CONTEXT, model.config.context)
        self.stats = GenerationStats()
        self.live_ids: list[int] = []
        self.parked = KVTree(default_budget() if parked_bytes is None else parked_bytes)
        self._model = model
        self._weight = model.output.weight
        self._cache: KVCache | None = None
        threads = threads or default_threads(model)
        self._worker = EngineThread(lambda: torch.set_num_threads(threads))

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

    def close(self) -> None:
        """Wait for the engine's thread and end it."""
        self._worker.close()

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

    def _pump(self, hop: Hop, prompt: list[int], picker: Picker, stop_ids: frozenset[int]) -> None:
        """Run one generation in the engine's thread; what it says goes through ``hop``."""
        try:
            with torch.inference_mode():
                self._run(hop, prompt, picker, stop_ids)
        except (EngineError, RuntimeError, MemoryError) as error:
            self._cache, self.live_ids = None, []  # it may hold NaN, and its memory is wanted
            self.parked.clear()
            raise engine_error(error) from error
        finally:
            hop.end()

    def _run(self, hop: Hop, prompt: list[int], picker: Picker, stop_ids: frozenset[int]) -> None:
        started = first = last = perf_counter()
        shared, cached = self._rewind(prompt)
        generated = 0
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
                len(prompt), cached, prefilled, generated, *times, picker.refused, picker.released, cached - shared
            )

    def _rewind(self, prompt: list[int]) -> tuple[int, int]:
        """Make the cache hold what is known of ``prompt``, but for its last id, which is read for its logits.

        Returns how much of it was live, and how much is now.
        """
        if self._cache is None:
            weight = self._weight
            self._cache = KVCache(self._model.config, self.context, device=weight.device, dtype=weight.dtype)
        known = prompt[:-1]
        shared = common_prefix(self.live_ids, known)
        self.live_ids = known[: self.parked.switch(self._cache, self.live_ids, known)]
        return shared, len(self.live_ids)

    def _sample(self, hop: Hop, prompt: list[int], picker: Picker) -> Iterator[int]:
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
        hidden = self._model.hidden(torch.tensor([ids], device=self._weight.device), self._cache)
        self.live_ids += ids
        return hidden


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
