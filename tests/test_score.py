"""How likely ids are: the log-softmax of transformers, for given continuations and along a generation."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from tiny_llama import SHAPES, V, reference, save_huggingface
from torch import Tensor
from transformers import LlamaForCausalLM

from llamachat.errors import ConfigError, ContextOverflow, EngineError
from llamachat.runtime import LlamaRuntime
from llamachat.sampling import SamplingParams, TokenScore

PROMPT = list(b"The quick brown fox jumps over")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_huggingface(reference(), tmp_path_factory.mktemp("model") / "m")


@pytest.fixture
def runtime(folder: Path) -> Iterator[LlamaRuntime]:
    runtime = LlamaRuntime.open(folder, device="cpu", threads=1)
    yield runtime
    runtime.close()


def oracle(model: LlamaForCausalLM, prefix: Sequence[int], ids: Sequence[int]) -> Tensor:
    """Log-probabilities (T, V) at each of ``ids``."""
    logits = model(torch.tensor([[*prefix, *ids]])).logits[0, len(prefix) - 1 : -1]
    return logits.log_softmax(-1)


def compare(scores: Sequence[TokenScore], ids: Sequence[int], expected: Tensor, number: int) -> None:
    """``scores`` are what ``expected`` (T, V) says of ``ids``."""
    assert [score.token_id for score in scores] == list(ids)
    assert [score.logprob for score in scores] == pytest.approx(
        [float(row[i]) for row, i in zip(expected, ids, strict=True)], abs=1e-4
    )
    for score, row in zip(scores, expected, strict=True):
        best = row.topk(number)
        assert [logprob for _, logprob in score.alternatives] == pytest.approx(best.values.tolist(), abs=1e-4)
        assert [i for i, _ in score.alternatives] == best.indices.tolist()


# A runtime needs a tokenizer, and the bundled test tokenizer has V words.
@pytest.mark.parametrize("shape", [name for name, shape in SHAPES.items() if shape.get("vocab_size", V) == V])
async def test_continuations_are_scored_as_transformers_does(shape: str, tmp_path: Path) -> None:
    model, draw = reference(**SHAPES[shape]), random.Random(1)
    runtime = LlamaRuntime.open(save_huggingface(model, tmp_path / "m"), device="cpu", threads=1)
    wanted = [[draw.randrange(V) for _ in range(length)] for length in (3, 1, 70, 0, 12, 2, 130)]
    found = await runtime.score(PROMPT, wanted, 3)
    for ids, scores in zip(wanted, found, strict=True):
        compare(scores, ids, oracle(model, PROMPT, ids), 3)
    runtime.close()


async def test_the_prefix_is_read_once_and_stays(folder: Path, runtime: LlamaRuntime) -> None:
    wanted = [[i, 1, 2, 3] for i in range(400)]  # several rows full
    first = await runtime.score(PROMPT, wanted)
    assert (runtime.stats.prefilled_tokens, runtime.live_ids) == (len(PROMPT), PROMPT)
    alone = await runtime.score(PROMPT, wanted[399:])
    assert runtime.stats.prefilled_tokens == 1
    assert [s.logprob for s in alone[0]] == pytest.approx([s.logprob for s in first[399]], abs=1e-4)
    greedy = SamplingParams(temperature=0.0, max_tokens=5)
    said = [i async for i in runtime.generate(PROMPT, greedy, ())]
    assert runtime.stats.prefilled_tokens == 1
    fresh = LlamaRuntime.open(folder, device="cpu", threads=1)
    assert said == [i async for i in fresh.generate(PROMPT, greedy, ())]
    fresh.close()


async def test_nothing_to_score(runtime: LlamaRuntime) -> None:
    assert await runtime.score(PROMPT, []) == []
    assert await runtime.score(PROMPT, [[], []]) == [[], []]


async def test_what_can_not_be_scored(runtime: LlamaRuntime) -> None:
    for prefix, wanted, kind in (
        ([], [[1]], EngineError),
        (PROMPT, [[1], [V]], EngineError),
        (PROMPT, [[1], [-1]], EngineError),
        (PROMPT, [[1] * 300], ContextOverflow),
    ):
        with pytest.raises(kind):
            await runtime.score(prefix, wanted)
    longest = [1] * (runtime.context - len(PROMPT) - 1)
    assert len((await runtime.score(PROMPT, [longest, longest]))[1]) == len(longest)


@pytest.mark.parametrize("sampling", [SamplingParams(temperature=0.0), SamplingParams(1.5, 0.8, seed=3)])
async def test_a_generation_is_scored_as_it_goes(runtime: LlamaRuntime, sampling: SamplingParams) -> None:
    sampling, ids = sampling.override({"logprobs": 4, "max_tokens": 40}), list[int]()
    async for token_id in runtime.generate(PROMPT, sampling, ()):
        ids.append(token_id)
        assert runtime.scores[len(ids) - 1].token_id == token_id  # it is there before the id is
    compare(runtime.scores, ids, oracle(reference(), PROMPT, ids), 4)  # not of what temperature made of it
    (again,) = await runtime.score(PROMPT, [ids], 4)
    assert [s.logprob for s in again] == pytest.approx([s.logprob for s in runtime.scores], abs=1e-4)


async def test_nothing_is_noted_unasked(runtime: LlamaRuntime) -> None:
    for logprobs, noted in ((2, 5), (0, 0)):
        sampling = SamplingParams(max_tokens=5, logprobs=logprobs)
        assert len([i async for i in runtime.generate(PROMPT, sampling, ())]) == 5
        assert len(runtime.scores) == noted
    with pytest.raises(ConfigError, match="logprobs is -1"):
        SamplingParams(logprobs=-1)
