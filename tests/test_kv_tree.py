"""Parked branches: whatever was ever read is never read again, within the budget, and changes no logits."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from pathlib import Path
from threading import Event
from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_llama import reference, save_huggingface

from llamachat.checkpoints import open_checkpoint
from llamachat.kv_tiers import Budgets
from llamachat.kv_tree import KVTree, common_prefix
from llamachat.model import KVCache, Transformer
from llamachat.runtime import LlamaRuntime
from llamachat.sampling import SamplingParams

GREEDY = SamplingParams(temperature=0.0, max_tokens=12)
SYSTEM = list(b"You are a helpful assistant, with tools.")
PER_ID = 2 * 2 * 2 * 16 * 4  # bytes: keys and values, layers, heads, width, float32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_huggingface(reference(max_position_embeddings=1024), tmp_path_factory.mktemp("model") / "m")


@pytest.fixture(scope="module")
def model(folder: Path) -> Transformer:
    return open_checkpoint(folder).load_model()


@pytest.fixture
def runtime(folder: Path) -> Iterator[LlamaRuntime]:
    runtime = LlamaRuntime.open(folder, device="cpu", threads=1)
    yield runtime
    runtime.close()


class Line:
    """A cache, a tree, and what is live: the runtime's part in it, by hand."""

    def __init__(self, model: Transformer, budget: int, dtype: torch.dtype = torch.float32) -> None:
        self.model, self.tree = model, KVTree(budget)
        self.cache = KVCache(model.config, 200, device="cpu", dtype=dtype)
        self.live: list[int] = []

    def read(self, prompt: list[int]) -> tuple[int, torch.Tensor]:
        """How much of ``prompt`` was there, and the logits behind it."""
        known = self.tree.switch(self.cache, self.live, prompt[:-1])
        self.live = prompt
        return known, self.model(torch.tensor([prompt[known:]]), self.cache)[0, -1]


def error(found: torch.Tensor, cold: torch.Tensor) -> float:
    return float((found.float() - cold.float()).norm() / cold.float().norm())


# Few ids and shared beginnings, so that prompts fork at every depth.
PROMPTS = st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=14), min_size=2, max_size=12)


@settings(deadline=None, max_examples=60)
@given(PROMPTS)
def test_what_was_ever_read_is_there(model: Transformer, prompts: list[list[int]]) -> None:
    line, read = Line(model, 1 << 30), list[list[int]]()
    with torch.inference_mode():
        for prompt in prompts:
            known, logits = line.read(prompt)
            assert known == max((common_prefix(old, prompt[:-1]) for old in read), default=0)
            assert error(logits, model(torch.tensor([prompt]))[0, -1]) <= 1e-4
            read.append(prompt)


@settings(deadline=None, max_examples=60)
@given(PROMPTS, st.integers(0, 30))
def test_a_small_budget_is_kept_and_logits_stay_right(
    model: Transformer, prompts: list[list[int]], budget: int
) -> None:
    line = Line(model, budget * PER_ID)
    with torch.inference_mode():
        for prompt in prompts:
            _, logits = line.read(prompt)
            assert line.tree.size <= line.tree.budget
            assert error(logits, model(torch.tensor([prompt]))[0, -1]) <= 1e-4


def test_bfloat16_agrees_too(folder: Path) -> None:
    model = open_checkpoint(folder).load_model(dtype=torch.bfloat16)
    line, first, second = Line(model, 1 << 30, torch.bfloat16), list(range(40)), [*range(20), *range(100, 130)]
    for prompt in (first, second, first):
        known, logits = line.read(prompt)
        assert error(logits, model(torch.tensor([prompt]))[0, -1]) <= 0.01
    assert known == 39


class Rounded(KVCache):
    """What fp8 would hold, in bfloat16."""

    def put(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return super().put(layer, *(part.to(torch.float8_e4m3fn).bfloat16() for part in (keys, values)))


def test_fp8_halves_the_bytes_and_means_its_numbers(folder: Path) -> None:
    model = open_checkpoint(folder).load_model(dtype=torch.bfloat16)
    lines = [Line(model, 1 << 30, dtype) for dtype in (torch.float8_e4m3fn, torch.bfloat16)]
    lines[1].cache = Rounded(model.config, 200, device="cpu", dtype=torch.bfloat16)
    for prompt in (list(range(40)), [*range(20), *range(100, 130)], list(range(40))):
        (known, logits), (_, expected) = (line.read(prompt) for line in lines)
        assert torch.equal(logits, expected)
    assert known == 39
    assert 0 < 2 * lines[0].tree.size == lines[1].tree.size


@pytest.mark.parametrize("kv", [None, "fp8"])
async def test_fp8_is_asked_for_by_name(folder: Path, kv: Literal["fp8"] | None) -> None:
    runtime = LlamaRuntime.open(folder, device="cpu", threads=1, kv=kv)
    await say(runtime, SYSTEM)
    assert runtime._cache
    assert runtime._cache.values.dtype == (torch.float8_e4m3fn if kv else torch.float32)
    await say(runtime, [*SYSTEM[:20], 1, 2])
    await say(runtime, [*SYSTEM, 1])
    assert runtime.stats.prefilled_tokens == 1
    runtime.close()


def test_what_was_left_first_goes_first_and_from_its_end(model: Transformer) -> None:
    line = Line(model, 25 * PER_ID)
    for first in (1, 2, 3):  # three branches of 20 that share nothing
        line.read([first] * 20)
    line.read([4])
    assert line.tree.size == 25 * PER_ID
    assert [line.read([first] * 20)[0] for first in (3, 2, 1)] == [19, 4, 0]  # [4] itself was parked


def test_branches_share_what_they_share(model: Transformer) -> None:
    line = Line(model, 1 << 30)
    for i in range(5):
        line.read([*range(100), 200 + i, 7])
        line.read([*range(100), 200 + i, 8, 9])
    line.read([300])
    assert line.tree.size == (100 + 5 * (1 + 1 + 2)) * PER_ID


def test_the_live_branch_is_not_parked(model: Transformer) -> None:
    line = Line(model, 1 << 30)
    line.read(list(range(100)))
    line.read([*range(100), 7, 8])
    assert line.tree.size == 0
    line.read([*range(100), 9])  # only what is left is
    assert line.tree.size == 2 * PER_ID


# -- a dialog ----------------------------------------------------------------------------------------------------------


async def say(runtime: LlamaRuntime, prompt: Sequence[int]) -> list[int]:
    """One generation; it may read only what the dialogs so far did not hold."""
    return [i async for i in runtime.generate(prompt, GREEDY, ())]


async def test_ten_tool_steps_a_retry_an_edit_and_the_way_back(runtime: LlamaRuntime) -> None:
    dialog = SYSTEM + list(b"user: compute")
    prompts = []
    for step in range(10):
        prompts.append(list(dialog))
        dialog += await say(runtime, dialog)
        if step:
            assert runtime.stats.prefilled_tokens == len(b"result 0") + 1
        dialog += list(f"result {step}".encode())
    last = prompts[-1]
    await say(runtime, last)  # retry: one id, for its logits
    assert runtime.stats.prefilled_tokens == 1
    edited = prompts[4][:-8] + list(b"another result")
    await say(runtime, edited)
    assert runtime.stats.prefilled_tokens == len(b"another result")
    await say(runtime, [*last, 1])  # switch back to the long branch
    assert runtime.stats.prefilled_tokens == 1
    assert runtime.stats.restored_tokens > len(last) - len(edited)
    await say(runtime, edited)
    assert runtime.stats.prefilled_tokens == 1


async def test_compaction_and_its_undoing(runtime: LlamaRuntime) -> None:
    dialog = SYSTEM + list(b"user: a long story, told in many words")
    dialog += await say(runtime, dialog)
    summary = SYSTEM + list(b"summary: a story")
    await say(runtime, summary)
    assert runtime.stats.prefilled_tokens == len(b"summary: a story")
    await say(runtime, dialog)
    assert runtime.stats.prefilled_tokens == 1
    await say(runtime, summary)
    assert runtime.stats.prefilled_tokens == 1


async def test_four_samples_of_one_prompt_read_it_once(runtime: LlamaRuntime) -> None:
    replies = []
    for seed in range(4):
        sampling = SamplingParams(1.0, 1.0, seed=seed, max_tokens=12)
        replies.append([i async for i in runtime.generate(SYSTEM, sampling, ())])
    assert runtime.stats.prefilled_tokens == 1
    for reply in replies:  # and going on from any of them reads its last id, which was given out but not read
        await say(runtime, [*SYSTEM, *reply, 1])
        assert runtime.stats.prefilled_tokens == 2


class Gate:
    """A constraint that lets nine ids pass, and the others when it is opened."""

    def __init__(self) -> None:
        self.asked, self.reached, self.opened = 0, Event(), Event()

    def allows(self, token_id: int) -> bool:
        self.asked += 1
        if self.asked == 10:
            self.reached.set()
            assert self.opened.wait(60)
        return True

    replaces = allows

    def accept(self, token_id: int) -> None: ...

    def replacements(self) -> Sequence[int]:
        raise AssertionError

    release = replacements


async def test_an_interrupted_branch_is_kept(runtime: LlamaRuntime) -> None:
    """The engine has read the last id that was given out, to choose the next: so only what is new is read."""
    got, gate = list[int](), Gate()
    long = SamplingParams(temperature=0.0, max_tokens=900)
    async with aclosing(runtime.generate(SYSTEM, long, (), gate)) as ids:
        async for token_id in ids:
            got.append(token_id)
            if len(got) == 9:
                await asyncio.to_thread(gate.reached.wait, 60)
                gate.opened.set()
                break
    await say(runtime, list(b"something else"))
    await say(runtime, [*SYSTEM, *got, 1, 2])
    assert runtime.stats.prefilled_tokens == 2


async def test_a_budget_of_nothing_parks_nothing(folder: Path, model: Transformer) -> None:
    with_room = LlamaRuntime.open(folder, device="cpu", threads=1)
    runtime = LlamaRuntime(model, with_room.tokenizer, context=1024, threads=1, budgets=Budgets(ram=0))
    for _ in range(2):
        assert await say(runtime, SYSTEM) == await say(with_room, SYSTEM)
        assert await say(runtime, list(b"else")) == await say(with_room, list(b"else"))
    assert (runtime.stats.cached_tokens, with_room.stats.cached_tokens) == (0, 3)
    runtime.close()
    with_room.close()
