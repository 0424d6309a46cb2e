"""The runtime: ids out as the model chooses them, nothing read twice, and any interruption leaves it usable."""

import asyncio
from collections.abc import Collection, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_llama import byte_tokenizer, change_weights, edit_json, reference, save_huggingface
from torch import Tensor

from llamachat.checkpoints import open_checkpoint
from llamachat.errors import ConfigError, ContextOverflow, EngineError
from llamachat.model import Branches, KVCache
from llamachat.runtime import LlamaRuntime
from llamachat.sampling import GenerationStats, SamplingParams

GREEDY = SamplingParams(temperature=0.0, max_tokens=20)
PROMPT = list(b"It was a dark and stormy night; the rain fell in torrents.")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_huggingface(reference(), tmp_path_factory.mktemp("model") / "m")


@pytest.fixture
def runtime(folder: Path) -> Iterator[LlamaRuntime]:
    runtime = LlamaRuntime.open(folder, device="cpu", threads=1)
    yield runtime
    runtime.close()


async def collect(
    runtime: LlamaRuntime, prompt: Sequence[int], sampling: SamplingParams = GREEDY, stop_ids: Collection[int] = ()
) -> list[int]:
    return [i async for i in runtime.generate(prompt, sampling, stop_ids)]


def counts(stats: GenerationStats) -> tuple[int, int, int, int]:
    return stats.prompt_tokens, stats.cached_tokens, stats.prefilled_tokens, stats.generated_tokens


# -- what comes out ---------------------------------------------------------------------------------------------------


async def test_greedy_ids_are_the_argmax_of_the_whole_sequence(folder: Path, runtime: LlamaRuntime) -> None:
    model, ids = open_checkpoint(folder).load_model(), list(PROMPT)
    for _ in range(20):
        ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    assert await collect(runtime, PROMPT) == ids[len(PROMPT) :]
    assert counts(runtime.stats) == (len(PROMPT), 0, len(PROMPT), 20)
    assert runtime.stats.prefill_seconds > 0
    assert runtime.stats.decode_seconds > 0


async def test_it_stops_at_a_stop_id_and_gives_it_out(runtime: LlamaRuntime) -> None:
    free = await collect(runtime, PROMPT)
    stop = free[7]
    assert await collect(runtime, PROMPT, stop_ids={stop, 511}) == free[: free.index(stop) + 1]


async def test_a_seed_repeats_and_another_differs(runtime: LlamaRuntime) -> None:
    def sampled(seed: int | None) -> SamplingParams:
        return SamplingParams(temperature=1.0, top_p=1.0, seed=seed, max_tokens=30)

    first = await collect(runtime, PROMPT, sampled(1))
    assert await collect(runtime, PROMPT, sampled(1)) == first
    assert await collect(runtime, PROMPT, sampled(2)) != first
    assert await collect(runtime, PROMPT, sampled(None)) != await collect(runtime, PROMPT, sampled(None))


async def test_it_ends_with_the_context(folder: Path) -> None:
    runtime = LlamaRuntime.open(folder, device="cpu", max_context=len(PROMPT) + 5)
    assert runtime.context == len(PROMPT) + 5
    assert len(await collect(runtime, PROMPT)) == 5
    assert len(await collect(runtime, PROMPT[:-1])) == 6
    runtime.close()


async def test_it_takes_names_and_habits_from_the_checkpoint(tmp_path: Path) -> None:
    folder = save_huggingface(reference(), tmp_path / "m", llamachat={"name": "nano", "dialect": {"compact": True}})
    edit_json(folder / "generation_config.json", temperature=0.5)
    shares: list[float] = []
    runtime = LlamaRuntime.open(folder, device="cpu", max_context=1000, progress=shares.append)
    assert (runtime.name, runtime.context, shares[-1]) == ("nano", 256, 1.0)
    assert (runtime.dialect.compact, runtime.sampling.temperature, runtime.tokenizer.n_words) == (True, 0.5, 512)
    runtime.close()


# -- nothing is read twice --------------------------------------------------------------------------------------------


async def test_the_next_step_reads_only_its_new_ids(runtime: LlamaRuntime) -> None:
    prompt, new = list(PROMPT), list(b"[result]")
    for step in range(5):
        before = len(prompt)
        reply = await collect(runtime, prompt)
        if step:  # the last id of a reply was given out but not yet read
            assert counts(runtime.stats)[:3] == (before, before - len(new) - 1, len(new) + 1)
        prompt += reply + new


async def test_reuse_changes_nothing(folder: Path, runtime: LlamaRuntime) -> None:
    first = await collect(runtime, PROMPT)
    prompts = [PROMPT + first + [1, 2, 3], PROMPT[:20] + [7] * 30, PROMPT, PROMPT[:1], PROMPT + first[:10]]
    for prompt in prompts:
        fresh = LlamaRuntime.open(folder, device="cpu")
        assert await collect(runtime, prompt) == await collect(fresh, prompt)
        assert runtime.live_ids[: len(prompt)] == prompt
        fresh.close()


async def test_the_same_prompt_again_reads_one_id(runtime: LlamaRuntime) -> None:
    await collect(runtime, PROMPT)
    await collect(runtime, PROMPT)
    assert counts(runtime.stats) == (len(PROMPT), len(PROMPT) - 1, 1, 20)


async def test_a_fork_keeps_what_it_shares(runtime: LlamaRuntime) -> None:
    await collect(runtime, PROMPT)
    await collect(runtime, PROMPT[:30] + [0] * 10)
    assert counts(runtime.stats) == (40, 30, 10, 20)


async def test_a_long_prompt_is_read_in_chunks(tmp_path: Path) -> None:
    folder = save_huggingface(reference(max_position_embeddings=2048), tmp_path / "m")
    runtime, model = LlamaRuntime.open(folder, device="cpu"), open_checkpoint(folder).load_model()
    prompt = torch.randint(256, (1300,), generator=torch.Generator().manual_seed(3)).tolist()
    reply = await collect(runtime, prompt, replace(GREEDY, max_tokens=1))
    assert reply == [int(model(torch.tensor([prompt]))[0, -1].argmax())]
    runtime.close()


# -- interruptions ----------------------------------------------------------------------------------------------------


async def test_closing_stops_and_the_cache_stays_good(tmp_path: Path) -> None:
    folder = save_huggingface(reference(max_position_embeddings=8192), tmp_path / "m")
    runtime, uninterrupted = (LlamaRuntime.open(folder, device="cpu", threads=1) for _ in range(2))
    expected = await collect(uninterrupted, PROMPT, replace(GREEDY, max_tokens=60))
    got: list[int] = []
    async with aclosing(runtime.generate(PROMPT, replace(GREEDY, max_tokens=10_000), ())) as ids:
        async for token_id in ids:
            got.append(token_id)
            if len(got) == 5:
                break
    assert 5 <= runtime.stats.generated_tokens < 8000  # final, once the generator is closed
    assert got == expected[:5]
    assert await collect(runtime, PROMPT + got, replace(GREEDY, max_tokens=55)) == expected[5:]
    assert runtime.stats.prefilled_tokens == 1
    runtime.close()
    uninterrupted.close()


async def test_cancelling_the_task_stops_too(runtime: LlamaRuntime) -> None:
    begun = asyncio.Event()

    async def consume() -> None:
        async with aclosing(runtime.generate(PROMPT, replace(GREEDY, max_tokens=10_000), ())) as ids:
            async for _ in ids:
                begun.set()
                await asyncio.Event().wait()

    task = asyncio.create_task(consume())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(await collect(runtime, PROMPT)) == 20


def test_an_event_loop_that_is_gone_stops_it_too(tmp_path: Path) -> None:
    folder = save_huggingface(reference(max_position_embeddings=8192), tmp_path / "m")
    runtime, loop = LlamaRuntime.open(folder, device="cpu", threads=1), asyncio.new_event_loop()
    ids = runtime.generate(PROMPT, replace(GREEDY, max_tokens=10_000), ())
    loop.run_until_complete(anext(ids))
    loop.close()
    runtime.close()
    assert runtime.stats.generated_tokens < 8000


async def test_calls_at_the_same_time_run_one_after_the_other(folder: Path, runtime: LlamaRuntime) -> None:
    prompts = [PROMPT, PROMPT[:10], PROMPT[10:40]]
    alone = [await collect(runtime, prompt) for prompt in prompts]
    assert await asyncio.gather(*(collect(runtime, prompt) for prompt in prompts)) == alone


async def test_closing_a_waiting_call_leaves_the_running_one_alone(runtime: LlamaRuntime) -> None:
    alone = await collect(runtime, PROMPT)
    running = runtime.generate(PROMPT, GREEDY, ())
    first = await anext(running)
    waiting = asyncio.create_task(collect(runtime, PROMPT[:10], replace(GREEDY, max_tokens=10_000)))
    await asyncio.sleep(0)
    waiting.cancel()
    assert [first] + [i async for i in running] == alone
    assert len(await asyncio.gather(waiting, return_exceptions=True)) == 1


def test_each_event_loop_may_use_it(runtime: LlamaRuntime) -> None:
    assert asyncio.run(collect(runtime, PROMPT)) == asyncio.run(collect(runtime, PROMPT))


async def test_a_slow_consumer_gets_every_id(runtime: LlamaRuntime) -> None:
    expected, got = await collect(runtime, PROMPT), []
    async for token_id in runtime.generate(PROMPT, GREEDY, ()):
        got.append(token_id)
        for _ in range(50):
            await asyncio.sleep(0)
    assert got == expected


# -- trouble ----------------------------------------------------------------------------------------------------------


async def test_prompts_that_do_not_fit(runtime: LlamaRuntime) -> None:
    for prompt, kind, reason in (
        ([], EngineError, "empty"),
        ([1] * 256, ContextOverflow, "256 tokens, and with the reply it must fit into 256"),
        ([1] * 5000, ContextOverflow, "5,000 tokens"),
        ([512], EngineError, "outside the vocabulary of 512"),
        ([-1], EngineError, "outside the vocabulary of 512"),
    ):
        with pytest.raises(kind, match=reason):
            await collect(runtime, prompt)
    assert len(await collect(runtime, PROMPT)) == 20


async def test_damaged_weights_are_noticed(tmp_path: Path) -> None:
    folder = save_huggingface(reference(), tmp_path / "m")
    change_weights(folder, lambda weights: weights["model.layers.1.mlp.up_proj.weight"].fill_(torch.nan))
    runtime = LlamaRuntime.open(folder, device="cpu")
    for _ in range(2):
        with pytest.raises(EngineError, match="not finite"):
            await collect(runtime, PROMPT)
        assert runtime.live_ids == []
    runtime.close()


async def test_a_context_that_does_not_fit_into_memory(folder: Path) -> None:
    model = open_checkpoint(folder).load_model()
    model.config = replace(model.config, context=2**40)  # a cache of 512 TiB
    runtime = LlamaRuntime(model, byte_tokenizer(), context=2**40)
    with pytest.raises(EngineError, match="not enough memory") as caught:
        await collect(runtime, PROMPT)
    assert "shorter context" in caught.value.hint
    runtime.close()


def test_a_context_of_nothing(folder: Path) -> None:
    with pytest.raises(ConfigError, match="A context of 0 tokens"):
        LlamaRuntime.open(folder, max_context=0)


def test_a_device_that_is_not_there(folder: Path) -> None:
    for device in ("meta3", "xpu:99", "cuda:99"):
        with pytest.raises(ConfigError, match=device):
            LlamaRuntime.open(folder, device=device)


# -- faults -----------------------------------------------------------------------------------------------------------


class Fault:
    """Raises ``error`` in the model's ``at``-th pass from now on, once, in the engine's thread, the cache written."""

    def __init__(self, runtime: LlamaRuntime, at: int, error: BaseException) -> None:
        self.left, self.error = at, error
        self.runtime, self.steps, self.config = runtime, runtime._model, runtime._model.config
        self.output = self.steps.output
        runtime._model = self

    def hidden(self, tokens: Tensor, cache: KVCache | None = None, branches: Branches | None = None) -> Tensor:
        found = self.steps.hidden(tokens, cache, branches)
        self.left -= 1
        if self.left == 0:
            self.runtime._model = self.steps
            raise self.error
        return found


FAULTS = [
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), "not enough memory"),
    (MemoryError(), "not enough memory"),
    (RuntimeError("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory"), "not enough mem"),
    (RuntimeError("CUDA error: device-side assert triggered\nCUDA kernel errors might be …"), "CUDA error"),
    (RuntimeError(""), "The engine failed: RuntimeError"),
    (SystemExit(), "The engine was killed"),
    (KeyboardInterrupt(), "The engine was killed"),
]


@pytest.mark.parametrize(("error", "reason"), FAULTS)
@pytest.mark.parametrize("at", [1, 2, 9])
async def test_a_fault_ends_the_turn_and_the_next_one_works(
    runtime: LlamaRuntime, at: int, error: BaseException, reason: str
) -> None:
    expected = await collect(runtime, PROMPT)
    await collect(runtime, PROMPT[:30])
    Fault(runtime, at, error)
    ids = runtime.generate([*PROMPT, 1], GREEDY, ())
    got = [await anext(ids) for _ in range(at - 1)]
    with pytest.raises(EngineError, match=reason):
        await anext(ids)
    assert len(got) == at - 1  # all that was said before is kept
    assert runtime.stats.generated_tokens == at - 1
    assert await collect(runtime, PROMPT) == expected
    Fault(runtime, 1, error)
    with pytest.raises(EngineError, match=reason):
        await runtime.score(PROMPT[:20], [[1, 2]])
    assert await collect(runtime, PROMPT) == expected


async def test_a_fault_ends_only_its_own_turn(runtime: LlamaRuntime) -> None:
    expected = await collect(runtime, PROMPT)
    for error in (RuntimeError("broken"), SystemExit()):
        Fault(runtime, 3, error)
        results = await asyncio.gather(*(collect(runtime, PROMPT) for _ in range(3)), return_exceptions=True)
        assert isinstance(results[0], EngineError)
        assert results[1:] == [expected, expected]


async def test_after_a_fault_nothing_of_it_is_reused(runtime: LlamaRuntime) -> None:
    await collect(runtime, PROMPT)
    await collect(runtime, PROMPT[:30])
    Fault(runtime, 1, RuntimeError("broken"))
    with pytest.raises(EngineError):
        await collect(runtime, PROMPT)
    await collect(runtime, PROMPT)
    assert counts(runtime.stats)[:3] == (len(PROMPT), 0, len(PROMPT))


async def test_a_runtime_that_is_closed_says_so(runtime: LlamaRuntime) -> None:
    await collect(runtime, PROMPT)
    runtime.close()
    with pytest.raises(EngineError, match="closed"):
        await collect(runtime, PROMPT)


async def test_idle_cores_are_counted_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a model is opened torch has fewer threads; what the engine gets is counted from what there was before."""
    before, given, really = torch.get_num_threads(), list[int](), torch.set_num_threads
    really(4)
    monkeypatch.setattr("llamachat.runtime.default_threads", lambda size: torch.get_num_threads() - 1)
    monkeypatch.setattr(torch, "set_num_threads", lambda number: (given.append(number), really(number))[1])
    try:
        runtime = LlamaRuntime.open(folder, device="cpu")
        await collect(runtime, PROMPT)
        runtime.close()
        assert given[-1] == 3  # the engine's thread, which begins last
        assert torch.get_num_threads() == 4
    finally:
        really(before)
