"""Calls that must quote: what was said passes, word by word; anything else is refused where it leaves."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_constrained import TAG, TOKENIZER, drive, tagged

from llamachat.agent import run_turn
from llamachat.constrain import Grammar
from llamachat.messages import Dialog, Message, ToolEnd
from llamachat.offer import FunctionSpec, Offer
from llamachat.paths import bundled_model
from llamachat.protocol import Dialect
from llamachat.runtime import LlamaRuntime
from llamachat.testing import ScriptedRuntime
from llamachat.tokenizer import Tokenizer
from llamachat.tools import Tool, Toolbox, ToolOutput

SAID = (
    "#7, who comes? Please mute the memes channel at 6:30,\nthen write to mo@larch.example "
    'about "Café Ostrava" in Zürich, rector'
)
SCHEMA = {
    "type": "object",
    "properties": {
        "any": {"type": "string"},
        "list": {"type": "array", "items": {"type": "string"}},
        "unit": {"enum": ["celsius", "kelvin"]},
        "day": {"type": "string", "format": "date"},
        "short": {"type": "string", "maxLength": 9},
        "whole": {"type": "integer"},
        "number": {"type": "number"},
    },
}


def grammar(said: str | None) -> Grammar:
    return Grammar(TOKENIZER, Offer(functions=(FunctionSpec("f", "", SCHEMA),)), said)


def refused(said: str | None, key: str, written: str) -> str | None:
    """What of ``written``, the JSON of a value, is said before it is refused; None if all of it is."""
    text = f'{{"name": "f", "parameters": {{"{key}": {written}}}}}'
    at = drive(tagged(grammar(said)), text)
    return None if at is None else text.encode()[text.index(written) : at].decode(errors="replace")


@pytest.mark.parametrize(
    "value",
    [
        "memes",
        "Memes",
        "Please mute",
        "mo",
        "larch.example",
        "mo@larch.example",
        "Zürich",
        "Café Ostrava",
        "6:30",
        "06:30",
        "#7",
        "6:30,",
    ],
)
def test_what_was_said_may_be_quoted(value: str) -> None:
    assert refused(SAID, "any", json.dumps(value, ensure_ascii=False)) is None


@pytest.mark.parametrize(
    ("written", "so_far"),
    [
        ('"fmes"', '"'),
        ('"_memes"', '"'),
        ('"%"', '"'),
        ('"zürich"', '"'),
        ('"mememes"', '"meme'),
        ('"meme"', '"meme'),  # half a word
        ('"emes"', '"e'),
        ('"the  memes"', '"the '),
        ('"Caf"', '"Caf'),
        ('""', '"'),
        ('" memes"', '"'),
        ('"m\\u0065mes"', '"m'),
    ],
)
def test_nothing_else_may(written: str, so_far: str) -> None:
    assert refused(SAID, "any", written) == so_far
    assert refused(SAID, "list", f"[{written}]") == f"[{so_far}"
    assert refused(None, "any", written) is None


def test_what_must_be_escaped_may_be() -> None:
    assert refused(SAID, "any", json.dumps('about "Café Ostrava"', ensure_ascii=False)) is None
    assert refused(SAID, "any", json.dumps("at 6:30,\nthen write")) is None


@pytest.mark.parametrize(("key", "value"), [("unit", "kelvin"), ("day", "unsaid"), ("short", "unsaid")])
def test_what_a_schema_forms_is_not_quoted(key: str, value: str) -> None:
    assert refused(SAID, key, json.dumps(value)) is None


NUMBERS = "Twelve guests, 1,250.50 euros each, 3 rooms (no. 0417), 20 % off and minus 8"


@pytest.mark.parametrize("written", ["12", "1250.50", "1250.5", "3", "20", "417", "-8"])
def test_a_number_is_one_that_was_said(written: str) -> None:
    assert refused(NUMBERS, "number", written) is None
    assert (refused(NUMBERS, "whole", written) is None) is ("." not in written)


@pytest.mark.parametrize(("written", "so_far"), [("7", ""), ("13", "1"), ("1250.7", "1250."), ("30", "3"), ("4", "4")])
def test_no_other_number_may_be_said(written: str, so_far: str) -> None:
    assert refused(NUMBERS, "number", written) == so_far
    assert refused(None, "number", written) is None


def test_hostile_text_is_only_text() -> None:
    assert refused(f"half a pair \ud800 {'9' * 5000} ٣ den", "any", '"den"') is None
    assert refused(f"{'9' * 5000} ٣", "number", "99") == "99"
    assert refused("٣", "whole", "3") == ""


def test_an_optional_number_is_left_out_where_none_was_said() -> None:
    assert refused("Book a table", "whole", "4") == ""
    assert refused("Book a table", "whole", "null") is None
    assert refused("Book a table for 2.5", "whole", "2") == ""
    assert refused("Book a table for two", "whole", "2") is None


def test_of_several_functions_one_that_requires_a_number_waits_for_it() -> None:
    needs = {"type": "object", "properties": {"guests": {"type": "integer"}}, "required": ["guests"]}
    functions = tuple(FunctionSpec(name, "", schema) for name, schema in (("book", needs), ("find", SCHEMA)))
    for said, code, refused_at in (
        ("Book a table", False, 10),
        ("Book it for two", False, None),
        ("Book it", True, None),
    ):
        held = Grammar(TOKENIZER, Offer(functions=functions, code=code), said)
        assert drive(tagged(held), '{"name": "book"') == refused_at
        assert drive(tagged(held), '{"name": "find"') is None


@pytest.mark.parametrize(
    ("said", "beside", "begins"),
    [
        ("Book a table", (), False),
        ("Book a table for two", (), True),
        ("Book a table", (FunctionSpec("f", "", SCHEMA),), True),
    ],
)
def test_no_call_begins_where_all_require_a_number_and_none_was_said(
    said: str, beside: tuple[FunctionSpec, ...], begins: bool
) -> None:
    needs = {"type": "object", "properties": {"guests": {"type": "integer"}}, "required": ["guests"]}
    offer = Offer(functions=(FunctionSpec("book", "", needs), *beside))
    assert Grammar(TOKENIZER, offer, said).constraint().allows(TAG) is begins
    assert Grammar(TOKENIZER, offer).constraint().allows(TAG)


def test_who_must_quote_calls_functions_in_json_and_not_in_python() -> None:
    offer = Offer(functions=(FunctionSpec("f", "", SCHEMA),), builtin=("brave_search",))
    for said, refused_at in ((SAID, 1), (None, None)):
        held = Grammar(TOKENIZER, offer, said)
        assert drive(tagged(held), "[f(any='memes')]") == refused_at
        assert drive(held.constraint(), "[f(any='memes')]") == (refused_at and 2)
        assert drive(tagged(held), 'brave_search.call(query="memes")') is None


def test_a_quotation_is_cut_into_ids_as_at_the_beginning_of_a_text_or_behind_a_space() -> None:
    ranks = [*(bytes([i]) for i in range(256)), b" r", b" re", b"re", b"rec", b"to", b"tor", b"ctor"]
    ranks += [b"fo", b"for", b"on", b"onc", b"once"]
    tokenizer = Tokenizer({token: rank for rank, token in enumerate(ranks)})
    alone, inside = ([ranks.index(piece) for piece in cut] for cut in ((b"rec", b"tor"), (b"re", b"ctor")))
    assert (tokenizer.encode("rector"), tokenizer.encode(" rector")) == (alone, [ranks.index(b" re"), *inside[1:]])
    held = Grammar(tokenizer, Offer(functions=(FunctionSpec("f", "", SCHEMA),)), "the rector was at once for it")
    beginning = tokenizer.encode('{"name": "f", "parameters": {"any": "')
    for ids, good in (
        (alone, True),
        (inside, True),
        (tokenizer.encode("was at"), True),
        ([*tokenizer.encode("o"), *tokenizer.encode("nce")], False),
        (list(map(tokenizer.id_of, (b"f", b"o", b"r"))), False),
    ):
        constraint = held.constraint()
        constraint.accept(tokenizer.special["<|python_tag|>"])
        allowed = []
        for token_id in (*beginning, *ids):
            allowed.append(constraint.allows(token_id))
            constraint.accept(token_id)
        assert all(allowed) is good, ids


@given(st.text(st.sampled_from("abAB1 .,-é'"), max_size=40), st.data())
def test_every_run_of_words_passes_and_every_string_that_passes_is_one(said: str, data: st.DataObject) -> None:
    words = list(re.finditer(r"\w+", said))
    if words:
        first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(words) - 1)] * 2)))
        run = said[words[first].start() : words[last].end()]
        if run[0].isalpha():
            assert refused(said, "any", json.dumps(run, ensure_ascii=False)) is None
    other = data.draw(st.text(st.sampled_from("abAB1 é"), min_size=1, max_size=4))
    if other[0].isalpha() and refused(said, "any", json.dumps(other, ensure_ascii=False)) is None:
        assert any(said[w.start() :][: len(other)].lower() == other.lower() for w in words)


# -- whole turns -------------------------------------------------------------------------------------------------------


async def answer(arguments: Any) -> ToolOutput:
    return ToolOutput('{"room": "garden shed"}')


ROOM = {"type": "object", "properties": {"room": {"type": "string"}}, "required": ["room"]}
BOX = Toolbox((Tool("dim_lights", "Dim the lights in a room", ROOM, answer),))
QUOTING = Dialect(dates=False, constrained=True, quotes=True)


def dim(room: str) -> str:
    return f'<|python_tag|>{{"type": "function", "name": "dim_lights", "parameters": {{"room": "{room}"}}}}<|eom_id|>'


@pytest.mark.parametrize(
    ("room", "quotes", "held"),
    [("den", True, False), ("cellar", True, False), ("dent", True, True), ("dent", False, False)],
)
async def test_the_dialect_decides_and_every_message_may_be_quoted(room: str, quotes: bool, held: bool) -> None:
    runtime = ScriptedRuntime([dim(room)], dialect=replace(QUOTING, quotes=quotes))
    dialog = Dialog((Message("system", "You live in the cellar."), Message("user", "dim the lights in the den")))
    async for _ in run_turn(dialog, runtime, BOX, max_steps=1):
        pass
    assert (runtime.stats.refused_tokens > 0) is held


async def test_what_a_tool_said_may_be_quoted_in_the_next_step() -> None:
    refusals = []
    for second in ("garden shed", "garden path"):
        runtime = ScriptedRuntime([dim("den"), dim(second)], dialect=QUOTING)
        async for _ in run_turn(Dialog((Message("user", "dim the den"),)), runtime, BOX, max_steps=2):
            pass
        refusals.append(runtime.stats.refused_tokens > 0)
    assert refusals == [False, True]


async def test_the_embedded_model_names_nothing_that_was_not_said() -> None:
    nano = LlamaRuntime.open(bundled_model(), threads=1)
    assert nano.dialect.quotes
    named = []
    for word in "kwijibo snerfle den memes Ångström xyzzy qwertz".split():
        question = f"dim the lights in the {word}"
        async for event in run_turn(Dialog((Message("user", question),)), nano, BOX, max_steps=1):
            if isinstance(event, ToolEnd):
                named.append((question, event.result.call.arguments["room"]))
    assert len(named) > 3
    assert all(room.lower() in question.lower() for question, room in named)
    nano.close()
