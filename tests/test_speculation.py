"""Guessing ahead changes when ids come, and how many passes they take; never which."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import aclosing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_llama import change_weights, count_passes, reference, save_huggingface
from torch import Tensor

from llamachat.runtime import LlamaRuntime
from llamachat.sampling import SamplingParams
from llamachat.speculation import LONG, PATIENCE, SHORT, PromptLookup

GREEDY = SamplingParams(temperature=0.0, max_tokens=60)
Pair = tuple[LlamaRuntime, LlamaRuntime]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """The same model with guesses and without. It says a dozen ids, mostly by the one before: so it runs in loops, and
    leaves them where what it read long ago tips the scales. About two guesses in five are right."""
    folder = save_huggingface(reference(), tmp_path_factory.mktemp("model") / "m")
    change_weights(folder, _weaken)
    guessing, plain = (LlamaRuntime.open(folder, device="cpu", threads=1) for _ in range(2))
    plain.speculative = False
    yield guessing, plain
    guessing.close()
    plain.close()


def _weaken(weights: dict[str, Tensor]) -> None:
    weights["lm_head.weight"][12:] *= 0.02
    for name, weight in weights.items():
        if "o_proj" in name or "down_proj" in name:
            weight *= 0.05


class Thirds:
    """A constraint that depends on all that came."""

    def __init__(self) -> None:
        self.sum = 0
        self.heard: list[int] = []

    def allows(self, token_id: int) -> bool:
        return token_id % 3 == self.sum % 3

    def accept(self, token_id: int) -> None:
        self.sum += token_id // 3
        self.heard.append(token_id)

    replaces = allows

    def replacements(self) -> Sequence[int]:
        return [i for i in range(512) if self.allows(i)]

    def release(self) -> None:
        raise AssertionError("there is always something to say")


async def say(
    runtime: LlamaRuntime,
    prompt: Sequence[int],
    sampling: SamplingParams = GREEDY,
    stop_ids: Collection[int] = (),
    constraint: Thirds | None = None,
) -> list[int]:
    return [i async for i in runtime.generate(prompt, sampling, stop_ids, constraint)]


FREE = st.lists(st.integers(0, 511), min_size=1, max_size=80)
PERIODS = st.lists(st.integers(0, 511), min_size=1, max_size=8).map(lambda ids: (ids * 80)[:80])
TRIES = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@TRIES
@given(FREE | PERIODS, st.integers(1, 60))
async def test_greedy_ids_are_the_same(pair: Pair, prompt: list[int], tokens: int) -> None:
    sampling = SamplingParams(temperature=0.0, max_tokens=tokens)
    said = [await say(runtime, prompt, sampling) for runtime in pair]
    assert said[0] == said[1]
    assert len(said[0]) == tokens


@TRIES
@given(FREE | PERIODS, st.floats(0.05, 2.0), st.integers(0, 5))
async def test_drawn_ids_are_the_same(pair: Pair, prompt: list[int], temperature: float, seed: int) -> None:
    sampling = SamplingParams(temperature, seed=seed, max_tokens=40)
    said = [await say(runtime, prompt, sampling) for runtime in pair]
    assert said[0] == said[1]


@TRIES
@given(FREE | PERIODS)
async def test_a_constraint_hears_the_same(pair: Pair, prompt: list[int]) -> None:
    heard = []
    for runtime in pair:
        constraint = Thirds()
        said = await say(runtime, prompt, constraint=constraint)
        assert said == constraint.heard
        heard.append((said, runtime.stats.refused_tokens))
    assert heard[0] == heard[1]


async def test_loops_are_guessed_and_take_few_passes(pair: Pair) -> None:
    guessing, plain = pair
    passes = count_passes(guessing._model)
    prompt = list(b"abcabcabc")
    said = await say(guessing, prompt, SamplingParams(temperature=0.0, max_tokens=200))
    stats = guessing.stats
    assert said == await say(plain, prompt, SamplingParams(temperature=0.0, max_tokens=200))
    assert 0 < stats.accepted_tokens <= stats.drafted_tokens
    assert len(passes) == 200 - stats.accepted_tokens
    assert len(passes) < 150
    assert (plain.stats.drafted_tokens, plain.stats.accepted_tokens) == (0, 0)


async def test_a_stop_id_among_the_guesses_ends_it_and_the_next_step_reads_its_new_ids(pair: Pair) -> None:
    guessing, _ = pair
    prompt = list(b"abcabcabc")
    free = await say(guessing, prompt, SamplingParams(temperature=0.0, max_tokens=200))
    seen: set[int] = set()
    for at, stop in enumerate(free):
        if stop in seen:
            continue
        seen.add(stop)
        said = await say(guessing, prompt, SamplingParams(temperature=0.0, max_tokens=200), {stop})
        assert said == free[: at + 1]
        assert guessing.live_ids == prompt + said[:-1]
        await say(guessing, [*prompt, *said, 1, 2], SamplingParams(temperature=0.0, max_tokens=1))
        assert guessing.stats.cached_tokens >= len(prompt + said) - 1


async def test_closed_in_the_middle_it_holds_what_was_given_out(pair: Pair) -> None:
    guessing, plain = pair
    prompt = list(b"xyzxyzxyz")
    expected = await say(plain, prompt, SamplingParams(temperature=0.0, max_tokens=120))
    for number in (1, 20, 50, 51, 52, 53):
        got: list[int] = []
        async with aclosing(guessing.generate(prompt, GREEDY, ())) as ids:
            async for token_id in ids:
                got.append(token_id)
                if len(got) == number:
                    break
        left = SamplingParams(temperature=0.0, max_tokens=120 - number)
        assert got + await say(guessing, prompt + got, left) == expected
        assert guessing.stats.prefilled_tokens == 1


async def test_it_guesses_up_to_the_end_of_the_context(pair: Pair) -> None:
    said = [await say(runtime, list(b"abc" * 70), SamplingParams(temperature=0.0)) for runtime in pair]
    assert said[0] == said[1]
    assert len(said[0]) == 256 - 210


# -- the guesses -------------------------------------------------------------------------------------------------------


def passes(lookup: PromptLookup, text: Sequence[int]) -> int:
    """How many passes a model that says ``text`` takes."""
    at = number = 0
    while at < len(text):
        guess = lookup.draft(len(text) - at - 1)
        number += 1
        right = next((i for i, guessed in enumerate(guess) if guessed != text[at + i]), len(guess))
        for token_id in text[at : at + right + 1]:
            lookup.add(token_id)
        at += right + 1
    return number


def test_a_copy_is_guessed_ever_longer() -> None:
    lookup, text = PromptLookup(), list(range(1000, 1200))
    lookup.follow([*text, 1, 2, *text[:3]])
    lengths = []
    for _ in range(5):
        guess = lookup.draft(1000)
        lengths.append(len(guess))
        for token_id in [*guess, guess[-1] + 1]:
            lookup.add(token_id)
    assert lengths == [SHORT, 2 * SHORT, 4 * SHORT, LONG, LONG]
    assert lookup.drafted == lookup.accepted == sum(lengths)


def test_a_loop_of_one_goes_on() -> None:
    for room, guess in ((1000, [7] * SHORT), (2, [7, 7]), (0, [])):
        lookup = PromptLookup()
        lookup.follow([7, 7, 7, 7])
        assert lookup.draft(room) == guess


def test_guesses_that_are_wrong_grow_rare() -> None:
    lookup = PromptLookup()
    lookup.follow([1, 2, 3, 9, 9])
    for i in range(2000):  # 1 2 3 comes all the time, and never what came behind it
        for token_id in (1, 2, 3):
            lookup.add(token_id)
        lookup.draft(100)
        lookup.add(100 + i)
    assert lookup.accepted == 0
    assert lookup.drafted / SHORT <= 7 + 8000 / PATIENCE


def test_text_that_repeats_nothing_is_never_guessed() -> None:
    lookup = PromptLookup()
    lookup.follow(range(500))
    assert passes(lookup, range(500, 900)) == 400
    assert lookup.drafted == 0


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), max_size=12), max_size=8))
def test_whatever_branch_it_follows_its_guesses_are_in_it(branches: list[list[int]]) -> None:
    lookup = PromptLookup()
    for ids in branches:
        lookup.begin()
        lookup.follow(ids)
        guess = lookup.draft(3)
        assert not guess or any(ids[i : i + 3] == ids[-3:] for i in range(len(ids) - 3))
