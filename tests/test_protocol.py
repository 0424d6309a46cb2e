"""Dialogs to ids: the bytes of the reference, the learn-mask, and no way for text to forge a turn."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_models.datatypes import RawMessage
from llama_models.datatypes import StopReason as MetaStop
from llama_models.llama3.chat_format import ChatFormat
from llama_models.llama3.tokenizer import Tokenizer as MetaTokenizer

from llamachat.messages import Dialog, Message, Role, StopReason, ToolCall
from llamachat.protocol import (
    CODE_INTERPRETER,
    Dialect,
    Encoded,
    encode_dialog,
    encode_header,
    encode_message,
    frame_failure,
    frame_output,
    write_call,
)
from llamachat.tokenizer import Tokenizer

Golden = Callable[[str], list[dict[str, Any]]]
STOPS = {
    None: None,
    "eot": StopReason.end_of_turn,
    "eom": StopReason.end_of_message,
    "length": StopReason.out_of_tokens,
}
ROLES: tuple[Role, ...] = ("system", "user", "assistant", "ipython")


def message(data: dict[str, Any]) -> Message:
    content = data["content"] if isinstance(data["content"], str) else tuple(data["content"])
    calls = tuple(ToolCall(call["name"], call["arguments"]) for call in data.get("tool_calls", []))
    return Message(data["role"], content, calls, STOPS[data.get("stop")], None, data.get("context"))


@pytest.fixture(scope="session")
def both(llama_tokenizer: Tokenizer, llama_tokenizer_30: Tokenizer) -> dict[str, Tokenizer]:
    return {"3.1": llama_tokenizer, "3.0": llama_tokenizer_30}


@pytest.mark.parametrize("family", ["dialogs", "dialogs_legacy_tag"])
def test_golden_dialogs(both: dict[str, Tokenizer], golden: Golden, family: str) -> None:
    for case in golden(family):
        dialect = Dialect(case.get("tool_prompt_format", "json"), case.get("python_tag", "code_only"))
        dialog = [message(data) for data in case["messages"]]
        prompt = encode_dialog(
            both[case["variant"]], dialog, dialect, add_generation_prompt=case["add_generation_prompt"]
        )
        assert prompt.ids == case["expected_token_ids"], case["id"]
        assert len(prompt.learn) == len(prompt.ids)


def test_golden_messages(both: dict[str, Tokenizer], golden: Golden) -> None:
    for case in golden("messages"):
        tokenizer = both[case["variant"]]
        if case["kind"] == "header":
            ids = encode_header(tokenizer, case["role"])
        elif case["kind"] == "message":
            out = Encoded()
            encode_message(tokenizer, message(case["message"]), Dialect(), out)
            ids = out.ids
        else:
            pieces = [case["content"]] if isinstance(case["content"], str) else case["content"]
            ids = [tokenizer.bos_id, *(token_id for piece in pieces for token_id in tokenizer.encode(piece))]
        assert ids == case["expected_token_ids"], case["id"]


def test_what_is_learned(llama_tokenizer: Tokenizer) -> None:
    call = ToolCall(CODE_INTERPRETER, {"code": "2+2"})
    dialog = [
        Message("user", "Hi"),
        Message("assistant", "", (call,), StopReason.end_of_message),
        Message("ipython", "4"),
        Message("assistant", "Four."),
    ]
    prompt = encode_dialog(llama_tokenizer, dialog)
    assert prompt.ids == [
        128000,  # <|begin_of_text|>
        128006, 882, 128007, 271,  # user header
        13347, 128009,  # "Hi" <|eot_id|>
        128006, 78191, 128007, 271,  # assistant header
        128010, 17, 10, 17, 128008,  # <|python_tag|> 2 + 2 <|eom_id|>
        128006, 23799, 4690, 128007, 271,  # ipython header
        19, 128009,  # "4" <|eot_id|>
        128006, 78191, 128007, 271,  # assistant header
        28070, 13, 128009,  # "Four" "." <|eot_id|>
        128006, 78191, 128007, 271,  # assistant header: your turn
    ]  # fmt: skip
    learned = [token_id for token_id, learn in zip(prompt.ids, prompt.learn, strict=True) if learn]
    assert learned == [128010, 17, 10, 17, 128008, 28070, 13, 128009]


def test_sampled_ids_are_fed_back(llama_tokenizer: Tokenizer) -> None:
    before = Dialog((Message("user", "Gold?"),))
    prompt = encode_dialog(llama_tokenizer, before).ids
    sampled = (128010, 9336, 128008)
    after = before + Message("assistant", "", (), StopReason.end_of_message, sampled) + Message("ipython", "5")
    assert encode_dialog(llama_tokenizer, after).ids[: len(prompt) + 3] == [*prompt, *sampled]


def test_a_cut_message_gets_an_end_that_is_not_learned(llama_tokenizer: Tokenizer) -> None:
    out = Encoded()
    encode_message(llama_tokenizer, Message("assistant", "Hi", (), None, (13347,)), Dialect(), out)
    assert out.ids[-2:] == [13347, 128009]
    assert out.learn == [False, False, False, False, True, False]


def random_text(rng: random.Random, names: list[str]) -> str:
    """Text as users and tools send it: control tokens spelled out, any code point, lone surrogates."""
    pieces = (
        lambda: rng.choice(names),
        lambda: "".join(chr(rng.randrange(0x110000)) for _ in range(rng.randrange(9))),
        lambda: "".join(rng.choices(" \n\tabc09.,<|>_é東😸\x00\x1b[]{}'\"", k=rng.randrange(20))),
    )
    return "".join(rng.choice(pieces)() for _ in range(rng.randrange(6)))


@settings(max_examples=200)
@given(seed=st.integers(0, 2**64))
def test_no_special_id_in_any_body(both: dict[str, Tokenizer], seed: int) -> None:
    """100 texts per example: 20,000 in all."""
    rng = random.Random(seed)
    for tokenizer in both.values():
        names = list(tokenizer.special)
        for _ in range(50):
            role = rng.choice(ROLES)
            out = Encoded()
            encode_message(tokenizer, Message(role, random_text(rng, names)), Dialect(), out)
            header = encode_header(tokenizer, role)
            assert out.ids[: len(header)] == header
            assert out.ids[-1] == tokenizer.eot_id
            assert all(token_id < tokenizer.n_base for token_id in out.ids[len(header) : -1])


safe_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
turns = st.lists(
    st.tuples(st.sampled_from(ROLES), safe_text, st.sampled_from([StopReason.end_of_turn, StopReason.end_of_message])),
    max_size=5,
)


@settings(max_examples=200)
@given(turns=turns)
def test_dialogs_are_those_of_meta(
    llama_tokenizer: Tokenizer, meta: ChatFormat, turns: list[tuple[Role, str, StopReason]]
) -> None:
    ours = [Message(role, text, (), stop if role == "assistant" else None) for role, text, stop in turns]
    theirs = [
        RawMessage(
            role="tool" if role == "ipython" else role,
            content=text,
            stop_reason=MetaStop(stop.value) if role == "assistant" else None,
        )
        for role, text, stop in turns
    ]
    assert encode_dialog(llama_tokenizer, ours).ids == meta.encode_dialog_prompt(theirs).tokens


@pytest.fixture(scope="session")
def meta(tokenizer_file: Any) -> ChatFormat:
    return ChatFormat(MetaTokenizer(tokenizer_file))


def test_calls_as_meta_writes_them() -> None:
    call = ToolCall("f", {"a": "x", "b": [1, None], "c": {"d": "é"}})
    assert write_call(call) == (
        '{"type": "function", "name": "f", "parameters": {"a": "x", "b": [1, null], "c": {"d": "\\u00e9"}}}'
    )
    assert write_call(call, Dialect("function_tag")) == (
        '<function=f>{"a": "x", "b": [1, null], "c": {"d": "\\u00e9"}}</function>'
    )
    assert write_call(call, Dialect("python_list")) == '[f(a="x", b=[1, None], c={d="é"})]'
    assert write_call(ToolCall("brave_search", {"query": 'a "b"'})) == 'brave_search.call(query="a "b"")'


def test_frames_of_results() -> None:
    assert frame_output("completed") == "completed"
    assert frame_output("completed", " 4\n") == "completed\n[stdout]\n4\n[/stdout]"
    assert frame_output("error", "a", "b") == "error\n[stdout]\na\n[/stdout]\n[stderr]\nb\n[/stderr]"
    assert frame_failure("No.") == "failed\n[stderr]No.[/stderr]"
