"""Constraints at work: when a call begins, which id is taken instead, and what a whole turn makes of it."""

from typing import Any

import pytest
import torch
from test_constrained import AB, EOT, TAG, TOKENIZER, drive, grammar, tagged
from tiny_llama import reference, save_huggingface

from llamachat.agent import run_turn
from llamachat.constrain import CallConstraint
from llamachat.messages import Dialog, Event, Message, MessageEnd, ToolEnd
from llamachat.paths import bundled_model
from llamachat.picking import REFUSALS, Picker
from llamachat.protocol import Dialect
from llamachat.runtime import LlamaRuntime
from llamachat.sampling import SamplingParams
from llamachat.testing import ScriptedRuntime
from llamachat.tokenizer import Tokenizer
from llamachat.tools import Tool, Toolbox, ToolOutput
from llamachat.tools.python import PythonSession

GREEDY = SamplingParams(temperature=0.0)
STUCK = {"type": "object", "properties": {"a": {"enum": []}}, "required": ["a"]}

# -- when a call begins ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        'Sure: {"name": "no_such_tool", "parameters": {}}',
        '{"name": "Bob", "age": 3, "parameters": {}} as you asked',
        '{"type": "object", "properties": {}}',
        '{"name": Bob}',
        "[1, 2, 3], [see](https://x.y)",
        "get_weather is what you want",
        "<function> is no tag",
        "   \n  ",
    ],
)
def test_other_text_is_free(text: str) -> None:
    constraint = grammar(AB).constraint()
    assert drive(constraint, text) is None
    assert constraint.allows(EOT)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (' {"type": "function", "name": "get_', "x"),
        ('{"name": "get_weather", "parameters": {"', "c"),
        ('[{"name": "get_weather", "parameters": {"', "c"),
        ('{"name": "no_such_tool", "parameters', '"'),
        ("{'name': 'no_such_tool', 'arguments", "'"),
        ("<function=get_", "x"),
        ("[get_weather(", "c"),
        ("brave_search.call(", "+"),
    ],
)
def test_untagged_calls_are_held_too(text: str, wrong: str) -> None:
    constraint = grammar(AB, builtin=("brave_search",)).constraint()
    assert drive(constraint, text) is None
    assert not constraint.allows(ord(wrong))


def test_code_is_free_unless_it_is_a_call() -> None:
    held = grammar(AB, code=True)
    for text in ("print({'name': 1})", '{"name": "x"}["name"]', "[get_weather(x) for x in y]", "# {"):
        constraint = tagged(held)
        assert drive(constraint, text) is None
        assert constraint.allows(EOT)
    assert drive(tagged(held), '{"type": "function", "name": "get_wether') == len(
        '{"type": "function", "name": "get_we'
    )
    assert drive(tagged(held), '{"name": "code_interpreter", "parameters": {"code": "1 + 1"}}') is None
    other = '{"name": "code_interpreter", "parameters": {"channel": "den"}}'
    assert drive(tagged(held), other) == other.index("hannel")


def test_a_message_ends_only_behind_a_whole_call() -> None:
    constraint = tagged(grammar(AB))
    ends = sorted(TOKENIZER.stop_ids | {TAG})
    for byte in b'{"name": "get_weather", "parameters": {"a": "x"}':
        assert not any(constraint.allows(i) for i in ends)
        constraint.accept(byte)
    constraint.accept(ord("}"))
    assert all(constraint.allows(i) for i in ends)
    assert not constraint.allows(TOKENIZER.start_header_id)
    constraint.accept(TAG)
    assert not constraint.allows(EOT)


def test_a_header_and_text_come_before_the_tag() -> None:
    constraint = grammar(AB).constraint()
    constraint.accept(TOKENIZER.start_header_id)
    assert drive(constraint, "assistant") is None
    constraint.accept(TOKENIZER.end_header_id)
    assert drive(constraint, "\n\n") is None
    assert drive(constraint, '{"name": "get_weather", "parameters": {"c') is not None


def test_half_a_character_must_become_one() -> None:
    constraint = tagged(grammar(AB))
    assert drive(constraint, '{"name": "get_weather", "parameters": {"a": "') is None
    assert not constraint.allows(0x80)
    constraint.accept("😀".encode()[0])
    assert not constraint.allows(ord('"'))
    assert not constraint.allows(ord("x"))
    for byte in "😀".encode()[1:]:
        assert constraint.allows(byte)
        constraint.accept(byte)
    assert constraint.allows(ord('"'))


def test_all_replacements_are_those_that_replace_one_by_one() -> None:
    tokenizer = Tokenizer.from_file(bundled_model() / "tokenizer.model")
    held = grammar(AB, tokenizer=tokenizer, builtin=("brave_search",))
    texts = ("", '{"', '{"name": "get_', '{"name": "get_weather", "parameters": {"a": "', "brave_search.call(")
    for text in texts:
        for tag in (True, False):
            constraint = held.constraint()
            for token_id in [tokenizer.special["<|python_tag|>"]] * tag + tokenizer.encode(text):
                constraint.accept(token_id)
            assert constraint.replacements() == [i for i in range(tokenizer.n_words) if constraint.replaces(i)]


# -- which id is taken -------------------------------------------------------------------------------------------------


def wishes(*wanted: int) -> torch.Tensor:
    """Logits that rank ``wanted`` first, in order."""
    logits = torch.zeros(TOKENIZER.n_words)
    for rank, token_id in enumerate(wanted):
        logits[token_id] = 1000.0 - rank
    return logits


def in_a_name() -> CallConstraint:
    constraint = tagged(grammar(AB))
    assert drive(constraint, '{"name": "') is None
    return constraint


def test_the_next_best_is_taken() -> None:
    picker = Picker(GREEDY, in_a_name())
    said = [picker.pick(wishes(*b"Helo", ord(char), EOT)) for char in "get_"]
    assert bytes(said) == b"get_"
    assert (picker.refused, picker.released) == (4 + 3 + 4 + 4, False)


def test_when_nearly_nothing_is_allowed_all_is_looked_at() -> None:
    picker = Picker(GREEDY, in_a_name())
    assert picker.pick(torch.arange(TOKENIZER.n_words, 0, -1.0)) == ord("g")
    assert (picker.refused, picker.released) == (REFUSALS, False)


def test_refused_ids_leave_the_others_as_likely_as_they_were() -> None:
    counts = dict.fromkeys(b'{[<"', 0)
    logits = torch.full((TOKENIZER.n_words,), -1e9)
    for byte, share in ((ord("x"), 0.6), (ord("{"), 0.2), (ord("["), 0.1), (ord("<"), 0.06), (ord('"'), 0.04)):
        logits[byte] = torch.tensor(share).log()
    for seed in range(1000):
        sampling = SamplingParams(temperature=1.0, top_p=1.0, seed=seed)
        counts[Picker(sampling, tagged(grammar(AB))).pick(logits)] += 1
    shares = torch.tensor([*counts.values()]) / 1000
    torch.testing.assert_close(shares, torch.tensor([0.5, 0.25, 0.15, 0.1]), atol=0.04, rtol=0)


def test_it_lets_go_rather_than_get_stuck() -> None:
    constraint = tagged(grammar(STUCK))
    assert drive(constraint, '{"name": "get_weather", "parameters": {"a": ') is None
    assert constraint.replacements() == []
    picker = Picker(GREEDY, constraint)
    said = [picker.pick(wishes(i)) for i in (*b"1}", EOT)]
    assert said == [*b"1}", EOT]
    assert picker.released


def test_a_model_that_is_lost_is_not_given_space() -> None:
    constraint = tagged(grammar(AB))
    assert drive(constraint, '{"name": "get_weather", "parameters": {') is None
    assert constraint.allows(ord(" "))
    picker = Picker(GREEDY, constraint)
    assert bytes(picker.pick(wishes(*wanted)) for wanted in (b" ", b"zx \n}'", b"xz\\b")) == b" 'b"
    assert picker.refused == 5 + 3
    inside = tagged(grammar(AB))
    assert drive(inside, '{"name": "get_weather", "parameters": {"a": "x') is None
    assert inside.replaces(ord(" "))


async def test_a_model_of_noise_can_only_make_calls(tmp_path: Any) -> None:
    runtime = LlamaRuntime.open(save_huggingface(reference(), tmp_path / "m"), device="cpu", threads=1)
    said: list[list[int]] = []
    for seed in (1, 1, 2):
        sampling = SamplingParams(temperature=1.0, top_p=1.0, seed=seed, max_tokens=120)
        held = tagged(grammar(AB))
        said.append([i async for i in runtime.generate(b"Hi", sampling, TOKENIZER.stop_ids, held)])
        assert runtime.stats.refused_tokens > 0
        assert not runtime.stats.released
        again = tagged(grammar(AB))
        for token_id in said[-1]:
            assert again.allows(token_id)
            again.accept(token_id)
    assert said[0] == said[1] != said[2]
    runtime.close()


# -- whole turns -------------------------------------------------------------------------------------------------------


async def answer(arguments: Any) -> ToolOutput:
    return ToolOutput("12 °C, cloudy")


CITY = {"type": "object", "properties": {"city": {"type": "string", "description": "City"}}, "required": ["city"]}
WEATHER = Tool("get_weather", "Current weather in a city.", CITY, answer)
WRONG = '<|python_tag|>{"type": "function", "name": "get_whether", "parameters": {}}<|eom_id|>'


async def turn(runtime: Any, box: Toolbox, question: str, **options: Any) -> list[Event]:
    dialog = Dialog((Message("user", question),))
    return [event async for event in run_turn(dialog, runtime, box, **options)]


@pytest.mark.parametrize(
    ("constrained", "dialect", "held"),
    [(None, False, False), (None, True, True), (True, False, True), (False, True, False)],
)
async def test_the_dialect_decides_unless_the_user_does(constrained: bool | None, dialect: bool, held: bool) -> None:
    runtime = ScriptedRuntime([WRONG], dialect=Dialect(dates=False, constrained=dialect))
    await turn(runtime, Toolbox((WEATHER,)), "How is it?", constrained=constrained, max_steps=1)
    assert (runtime.stats.refused_tokens > 0) is held


@pytest.mark.parametrize("begun", [WRONG, "Well,<|python_tag|>1 + 1<|eom_id|>", WRONG.removeprefix("<|python_tag|>")])
async def test_no_call_begins_where_nothing_is_offered(begun: str) -> None:
    runtime = ScriptedRuntime([begun])
    await turn(runtime, Toolbox(), "How is it?", constrained=True, max_steps=1)
    assert runtime.stats.refused_tokens > 0


async def test_the_embedded_model_answers_in_words_when_its_tools_are_taken_away() -> None:
    nano = LlamaRuntime.open(bundled_model(), threads=1)
    session = PythonSession()
    first = await turn(nano, Toolbox((session.tool,)), "What is 17 * 23?")
    said = [event.message for event in first if isinstance(event, MessageEnd)]
    dialog = Dialog((Message("user", "What is 17 * 23?"), *said, Message("user", "And 18 * 24?")))
    stream = [event async for event in run_turn(dialog, nano, Toolbox())]
    assert not any(isinstance(event, ToolEnd) for event in stream)
    assert [event.message.text != "" for event in stream if isinstance(event, MessageEnd)] == [True]
    await session.close()
    nano.close()


async def test_the_embedded_model_is_held_and_says_what_it_would_have_said() -> None:
    nano = LlamaRuntime.open(bundled_model(), threads=1)
    assert nano.dialect.constrained
    session = PythonSession()
    box = Toolbox((session.tool, WEATHER))
    for question in ("What is 17 * 23?", "weather in Oslo please"):
        said = []
        for constrained in (None, False):
            stream = await turn(nano, box, question, constrained=constrained)
            assert all(event.result.ok for event in stream if isinstance(event, ToolEnd))
            said.append([event.message.token_ids for event in stream if isinstance(event, MessageEnd)])
        assert said[0] == said[1]
        assert len(said[0]) >= 3
    await session.close()
    nano.close()
