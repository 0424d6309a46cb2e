"""A smaller model that guesses: what comes out stays the same, whatever it guesses, and good guesses save passes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_llama import count_passes, reference, save_huggingface, write_tokenizer

from llamachat.checkpoints import open_checkpoint
from llamachat.config import ChatConfig, Config
from llamachat.errors import CheckpointError, ConfigError, EngineError
from llamachat.opening import open_runtime
from llamachat.runtime import LlamaRuntime
from llamachat.sampling import SamplingParams
from llamachat.speculation import LONG_DRAFT, PATIENCE, SHORT, DraftModel

TRIES = settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
PROMPTS = st.lists(st.integers(0, 511), min_size=1, max_size=60)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The model, one just as good, and a smaller one that knows nothing of it."""
    top = tmp_path_factory.mktemp("models")
    return {
        "model": save_huggingface(reference(), top / "model"),
        "same": save_huggingface(reference(), top / "same"),
        "other": save_huggingface(reference(7, num_hidden_layers=1, hidden_size=32), top / "other"),
    }


@pytest.fixture(scope="module")
def plain(folders: dict[str, Path]) -> Iterator[LlamaRuntime]:
    runtime = LlamaRuntime.open(folders["model"], device="cpu", threads=1)
    runtime.speculative = False
    yield runtime
    runtime.close()


@pytest.fixture(scope="module", params=["same", "other"])
def drafted(folders: dict[str, Path], request: pytest.FixtureRequest) -> Iterator[LlamaRuntime]:
    runtime = open_drafted(folders, request.param)
    yield runtime
    runtime.close()


def open_drafted(folders: dict[str, Path], name: str, context: int = 256) -> LlamaRuntime:
    runtime = LlamaRuntime.open(folders["model"], device="cpu", threads=1)
    runtime.lookup = DraftModel(open_checkpoint(folders[name]).load_model(), context)
    return runtime


async def say(runtime: LlamaRuntime, prompt: Sequence[int], sampling: SamplingParams) -> list[int]:
    return [i async for i in runtime.generate(prompt, sampling, ())]


@TRIES
@given(PROMPTS, st.integers(1, 60))
async def test_greedy_ids_are_the_same(
    drafted: LlamaRuntime, plain: LlamaRuntime, prompt: list[int], tokens: int
) -> None:
    sampling = SamplingParams(temperature=0.0, max_tokens=tokens)
    assert await say(drafted, prompt, sampling) == await say(plain, prompt, sampling)


@TRIES
@given(PROMPTS, st.floats(0.05, 2.0), st.integers(0, 5))
async def test_drawn_ids_are_the_same(
    drafted: LlamaRuntime, plain: LlamaRuntime, prompt: list[int], temperature: float, seed: int
) -> None:
    sampling = SamplingParams(temperature, seed=seed, max_tokens=40)
    assert await say(drafted, prompt, sampling) == await say(plain, prompt, sampling)


async def test_a_model_that_knows_saves_passes_and_one_that_does_not_grows_silent(folders: dict[str, Path]) -> None:
    text = [i * 97 % 501 for i in range(20)]
    passes, stats = {}, {}
    for name in ("same", "other"):
        runtime = open_drafted(folders, name)
        counted = count_passes(runtime._model)
        await say(runtime, text, SamplingParams(temperature=1.0, top_p=1.0, seed=1, max_tokens=200))
        passes[name], stats[name] = len(counted), runtime.stats
        runtime.close()
    assert stats["other"].drafted_tokens <= SHORT * (7 + 200 / PATIENCE) * 2  # copies are guessed, too
    for name, number in passes.items():
        assert number == 200 - stats[name].accepted_tokens
    runtime = open_drafted(folders, "same")
    await say(runtime, text, SamplingParams(temperature=0.0, max_tokens=200))
    assert runtime.stats.accepted_tokens >= 200 * SHORT / (LONG_DRAFT + 1)
    runtime.close()


async def test_it_follows_from_branch_to_branch(folders: dict[str, Path], plain: LlamaRuntime) -> None:
    runtime, greedy = open_drafted(folders, "same"), SamplingParams(temperature=0.0, max_tokens=20)
    first = [i * 31 % 500 for i in range(40)]
    for prompt in (first, [*first[:20], 9, 9], first, [1], [*first, 2, 3]):
        assert await say(runtime, prompt, greedy) == await say(plain, prompt, greedy)
        assert runtime.stats.accepted_tokens > 5
    runtime.close()


async def test_beyond_its_own_context_it_is_silent(folders: dict[str, Path], plain: LlamaRuntime) -> None:
    runtime, greedy = open_drafted(folders, "same", context=50), SamplingParams(temperature=0.0, max_tokens=60)
    prompt = [i * 31 % 500 for i in range(30)]
    assert await say(runtime, prompt, greedy) == await say(plain, prompt, greedy)
    runtime.close()


async def test_its_fault_ends_only_a_turn(folders: dict[str, Path], plain: LlamaRuntime) -> None:
    model = open_checkpoint(folders["same"]).load_model()
    runtime = LlamaRuntime.open(folders["model"], device="cpu", threads=1)
    runtime.lookup = DraftModel(model, 256)

    def fail(*_: object) -> None:
        hook.remove()
        raise torch.OutOfMemoryError("CUDA out of memory.")

    hook = model.norm.register_forward_pre_hook(fail)
    prompt, greedy = [i * 31 % 500 for i in range(30)], SamplingParams(temperature=0.0, max_tokens=30)
    with pytest.raises(EngineError, match="not enough memory"):
        await say(runtime, prompt, greedy)
    assert await say(runtime, prompt, greedy) == await say(plain, prompt, greedy)
    runtime.close()


async def test_the_setting_opens_it_and_another_vocabulary_is_refused(
    folders: dict[str, Path], tmp_path: Path, plain: LlamaRuntime
) -> None:
    settings = Config(chat=ChatConfig(model=str(folders["model"]), draft=str(folders["other"])))
    shares = list[float]()
    runtime = open_runtime(settings, progress=shares.append)
    assert isinstance(runtime, LlamaRuntime)
    assert (shares[-1], sorted(shares)) == (1.0, shares)
    assert isinstance(runtime.lookup, DraftModel)
    prompt, greedy = [i * 31 % 500 for i in range(30)], SamplingParams(temperature=0.0, max_tokens=30)
    assert await say(runtime, prompt, greedy) == await say(plain, prompt, greedy)
    runtime.close()
    larger = save_huggingface(reference(vocab_size=515), tmp_path / "larger")
    write_tokenizer(larger, words=259)
    for draft, reason in ((larger, "other words than"), (tmp_path / "none", "doesn't exist")):
        with pytest.raises((ConfigError, CheckpointError), match=reason):
            open_runtime(Config(chat=ChatConfig(model=str(folders["model"]), draft=str(draft))))
