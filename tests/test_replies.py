"""Ids to replies: golden cases, what streams when, and that no sequence of ids can break the parser."""

import json
import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import ALL, BYTES, FUNCTIONS, NOTHING, OSLO, TAG

from llamachat.calls import Judge, Offered, Prose
from llamachat.messages import CallDelta, Message, StopReason, TextDelta, ToolCall
from llamachat.protocol import Reply, ReplyParser, encode_dialog, parse
from llamachat.tokenizer import Tokenizer

Golden = Callable[[str], list[dict[str, Any]]]
HEADER = "<|start_header_id|>assistant<|end_header_id|>\n\n"
# Pieces that replies are made of, and of which mixed-up ones can be.
PIECES = (
    OSLO, OSLO.replace('"', '\\"'), "[add(a=1, b=2)]", "[add(a=1), launch(x=1)]", 'brave_search.call(query="gold")',
    "wolfram_alpha.call(", '<function=add>{"a": 1}</function>', "<function=", "</function>", "```json\n",
    "```python\n", "```", "`", "\n", "\n\n", " ", "Hello", "Sure!", "{", "}", "[", "]", "(", ")", '"', "'", ";", ",",
    ".", ":", '{"a": 1}', '{"name": "Al", "age": 3}', 'get_weather(city="x")', "add", "\\", "é", "😀",
    'launch.call(query="x")', '"name": "add"', '"parameters": ', "null", "1", "- [ ] todo", "[x](url)", "print(1)",
    "[{", "math.sqrt", "query=", "<b>", TAG, "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|start_header_id|>",
    "<|begin_of_text|>", HEADER,
)  # fmt: skip
OFFERS = (ALL, FUNCTIONS, NOTHING, Offered(code=True), Offered(builtin=("brave_search",)))


def ids_of(raw: str, tokenizer: Tokenizer = BYTES) -> list[int]:
    return tokenizer.tokenize(raw, bos=False, eos=False, allowed_special="all")


def stream(ids: Iterable[int], offered: Offered = ALL, tokenizer: Tokenizer = BYTES) -> tuple[str, str, Reply]:
    """The user's text before the end and in all, and the reply. Checks what holds for every reply."""
    parser = ReplyParser(tokenizer, offered)
    shown = "".join(delta.text for token_id in ids for delta in parser.feed(token_id) if isinstance(delta, TextDelta))
    reply = parser.finish()
    everything = shown + "".join(delta.text for delta in reply.deltas)
    calls = any(part.to == "ipython" for part in reply.parts)
    assert (everything.lstrip() if calls else everything) == reply.message.content
    assert parser.finish() is reply
    assert reply.message.role == "assistant"
    json.dumps([dict(call.arguments) for call in reply.message.tool_calls], allow_nan=False).encode()
    return shown, everything, reply


def test_golden_replies(llama_tokenizer: Tokenizer, golden: Golden) -> None:
    for case in golden("parse_public"):
        context = case["ctx"]
        offered = Offered(frozenset(context["tools"]), frozenset(context["builtin"]), context["code"])
        _, _, reply = stream(case["ids"], offered, llama_tokenizer)
        expected = [{"error": None, **part} for part in case["expected"]]
        fields = ("to", "kind", "name", "arguments", "text", "stop", "error")
        assert [{name: getattr(part, name) for name in fields} for part in reply.parts] == expected, case["id"]
        assert list(reply.issues) == case["issues"], case["id"]


ENDED, CUT = StopReason.end_of_turn, StopReason.out_of_tokens


@pytest.mark.parametrize(
    ("raw", "text", "stop", "reason", "issues"),
    [
        ("Hi<|eot_id|>", "Hi", "eot", ENDED, ()),
        ("Hi<|eom_id|>", "Hi", "eom", StopReason.end_of_message, ()),
        ("Hi<|end_of_text|>", "Hi", "eos", ENDED, ()),
        ("Hi", "Hi", "length", CUT, ()),
        ("", "", "length", CUT, ("empty",)),
        (f"{HEADER}Hi<|eot_id|>", "Hi", "eot", ENDED, ()),
        (f"{HEADER}\nHi<|eot_id|>", "\nHi", "eot", ENDED, ()),
        (f"Hi{HEADER}there<|eot_id|>", "Hi", "length", CUT, ("unexpected_header",)),
        (f"{HEADER}{HEADER}Hi", "", "length", CUT, ("empty", "unexpected_header")),
        ("<|start_header_id|>user<|end_header_id|>\n\nHi", "", "length", CUT, ("empty", "unexpected_header")),
        ("<|start_header_id|>so long that it is no role", "", "length", CUT, ("empty", "unexpected_header")),
        ("Hi<|eot_id|>more<|eot_id|>", "Hi", "eot", ENDED, ("hallucinated_turns",)),
        ("<|begin_of_text|>H<|end_header_id|>i<|eot_id|>", "Hi", "eot", ENDED, ("unexpected_special",)),
    ],
)
def test_frames(raw: str, text: str, stop: str, reason: StopReason, issues: tuple[str, ...]) -> None:
    _, _, reply = stream(ids_of(raw))
    (part,) = reply.parts
    assert (part.kind, part.text, part.stop, reply.message.stop, reply.issues) == ("text", text, stop, reason, issues)


def test_done_comes_with_the_end() -> None:
    for end in ("<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|start_header_id|>"):
        parser = ReplyParser(BYTES, ALL)
        for token_id in ids_of("Hi"):
            parser.feed(token_id)
        assert not parser.done
        parser.feed(BYTES.special[end])
        assert parser.done
        assert parser.feed(ord("x")) == []
        assert parser.finish().message.token_ids == (*b"Hi", BYTES.special[end])


def test_control_tokens_are_known_by_id_not_by_text(llama_tokenizer: Tokenizer) -> None:
    literal = "Type <|python_tag|>print(1)<|eot_id|>"
    _, _, reply = stream([*llama_tokenizer.encode(literal), 128009], ALL, llama_tokenizer)
    assert [part.text for part in reply.parts] == [literal]


def test_llama_30_has_no_tag_and_no_eom(llama_tokenizer_30: Tokenizer) -> None:
    _, _, reply = stream([128010, *llama_tokenizer_30.encode("Hi"), 128008, 128009], ALL, llama_tokenizer_30)
    assert [(part.kind, part.text, part.stop) for part in reply.parts] == [("text", "Hi", "eot")]


@pytest.mark.parametrize("ids", [[-1], [10**30], [-(2**63), 300, 128_256, 511], [-1, 263], []])
def test_foreign_ids_are_dropped(ids: list[int]) -> None:
    _, _, reply = stream(ids)
    assert [part.text for part in reply.parts] == [""]
    assert reply.message.token_ids == tuple(ids)


def test_the_message_of_a_reply() -> None:
    _, _, reply = stream(ids_of(f'Sure. \n{OSLO}{TAG}1+1{TAG}brave_search.call(query="x")<|eom_id|>'))
    assert reply.message == Message(
        "assistant",
        "Sure.",
        (
            ToolCall("get_weather", {"city": "Oslo"}),
            ToolCall("code_interpreter", {"code": "1+1"}),
            ToolCall("brave_search", {"query": "x"}),
        ),
        StopReason.end_of_message,
        reply.message.token_ids,
    )


def test_code_cut_by_the_token_limit_is_no_call() -> None:
    _, _, reply = stream(ids_of(f"{TAG}import os"))
    assert [(part.kind, part.cut) for part in reply.parts] == [("code", True)]
    assert reply.message.tool_calls == ()
    assert stream(ids_of(f"{TAG}import os<|eom_id|>"))[2].message.tool_calls != ()


def test_why_it_ended_without_an_end() -> None:
    parser = ReplyParser(BYTES)
    parser.feed(ord("H"))
    assert parser.finish(StopReason.cancelled).message.stop is StopReason.cancelled
    parser = ReplyParser(BYTES)
    parser.feed(BYTES.eot_id)
    assert parser.finish(StopReason.cancelled).message.stop is StopReason.end_of_turn


def test_what_was_generated_is_what_is_fed_back() -> None:
    prompt = encode_dialog(BYTES, [Message("user", "Hi")])
    sampled = ids_of(f'Well{TAG}brave_search.call(query="a"b")<|eom_id|>')
    reply = parse(BYTES, sampled, ALL)
    again = encode_dialog(BYTES, [Message("user", "Hi"), reply.message, Message("ipython", "b")])
    assert again.ids[: len(prompt.ids) + len(sampled)] == prompt.ids + sampled


def test_tagged_segments_are_shown_as_a_call() -> None:
    parser = ReplyParser(BYTES, ALL)
    deltas = [delta for token_id in ids_of(f"Hi {TAG}1+é<|eom_id|>") for delta in parser.feed(token_id)]
    assert [delta.text for delta in deltas if isinstance(delta, TextDelta)] == ["H", "i"]
    assert "".join(delta.text for delta in deltas if isinstance(delta, CallDelta)) == "1+é"
    assert parser.finish().deltas == ()


@pytest.mark.parametrize(
    ("raw", "early"),
    [
        ("Hello there", "Hello there"),
        ("Hello there \n", "Hello there"),
        ("- [ ] todo\n[x] done\n[link](url) and {x} <b>", "- [ ] todo\n[x] done\n[link](url) and {x} <b>"),
        ("[1, 2] and more", "[1, 2] and more"),
        ("add two numbers", "add two numbers"),
        ("get_weath", ""),
        ("get_weather(city=1) and so on", ""),
        ("```rust\nlet x = {1};\n```", "```rust\nlet x = {1};\n```"),
        ("```python\nx = 1\n", "```python\nx = 1"),
        ("Look:\n```python\nprint(1)", "Look:\n```python\nprint(1)"),
        ('{"a": 1}', ""),
        ("Look: " + OSLO + " and", "Look:"),
        ('Data: {"a": [1, 2]} is', 'Data: {"a": [1, 2]} is'),
        ('Data: {"a": [1, 2', "Data:"),
        ("Call <function=add>", "Call"),
        ("a < b", "a < b"),
        ("a <fun", "a"),
        ("So\nbrave_se", "So"),
        ("So\nbrave_seal", "So\nbrave_seal"),
        ("So\n[get_weather(city=", "So"),
        ("; ", ""),
        ("; so", "; so"),
        ('"Quoted" words', '"Quoted" words'),
    ],
)
def test_what_is_shown_before_the_end(raw: str, early: str) -> None:
    assert stream(ids_of(raw))[0] == early


def test_everything_is_shown_at_once_if_nothing_is_offered() -> None:
    raw = f"{OSLO}\n[add(a=1)]"
    assert stream(ids_of(raw), NOTHING)[0] == raw


def test_half_characters_wait(llama_tokenizer: Tokenizer) -> None:
    parser = ReplyParser(llama_tokenizer)
    shown = [[delta.text for delta in parser.feed(token_id)] for token_id in [*llama_tokenizer.encode("😸"), 128009]]
    assert [texts for texts in shown if texts] == [["😸"]]
    parser = ReplyParser(llama_tokenizer)
    half = llama_tokenizer.encode("😸")[0]
    assert parser.feed(half) == []
    assert parser.feed(128009) == [TextDelta("\ufffd")]


@settings(max_examples=200)
@given(seed=st.integers(0, 2**64))
def test_replies_of_any_pieces(seed: int) -> None:
    """15 replies per example. The parts are the same whether the text comes in bytes or at once."""
    rng = random.Random(seed)
    for _ in range(15):
        pieces = (
            piece[: rng.randrange(len(piece) + 1) if rng.random() < 0.1 else None] for piece in rng.choices(PIECES, k=8)
        )
        raw = "".join(list(pieces)[: rng.randrange(9)])
        offered = rng.choice(OFFERS)
        _, _, reply = stream(ids_of(raw), offered)
        if "<|" not in raw:
            prose = Prose(offered)
            prose.feed(raw)
            assert tuple(prose.finish(Judge(offered, "length"), alone=True)) == reply.parts


@settings(max_examples=200)
@given(seed=st.integers(0, 2**64))
def test_mutated_golden_ids(llama_tokenizer: Tokenizer, golden: Golden, seed: int) -> None:
    """100 sequences per example, 20,000 in all: cut, doubled, swapped, with foreign and random ids in them."""
    rng = random.Random(seed)
    cases = [case["ids"] for case in GOLDEN_IDS.setdefault("ids", golden("parse_public")) if len(case["ids"]) < 200]
    for _ in range(100):
        ids = list(rng.choice(cases))
        for _ in range(rng.randrange(1, 6)):
            at, other = rng.randrange(len(ids) + 1), rng.choice(cases)
            change = rng.randrange(6)
            if change == 0:
                del ids[at : at + rng.randrange(1, 5)]
            elif change == 1:
                ids[at:at] = other[rng.randrange(len(other)) :]
            elif change == 2:
                ids.insert(
                    at, rng.choice((rng.randrange(128_000), rng.randrange(128_000, 128_256), -1, 128_256, 2**70))
                )
            elif change == 3:
                ids[at:] = ids[at:][::-1]
            elif change == 4:
                ids = ids[:at]
            else:
                ids[at : at + 1] = rng.choices(other, k=2)
        stream(ids, rng.choice(OFFERS), llama_tokenizer)


GOLDEN_IDS: dict[str, list[dict[str, Any]]] = {}


@settings(max_examples=100)
@given(ids=st.lists(st.integers(-10, 520), max_size=60))
def test_any_ids(ids: list[int]) -> None:
    stream(ids)
