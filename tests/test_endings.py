"""How messages of a small model end: not before anything is said, and where they go in circles."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from test_constrained import EOT, TAG, TOKENIZER, drive, tagged

from llamachat.constrain import CallConstraint, Grammar
from llamachat.constrain.endings import AGAIN, LONGEST, ROUNDS
from llamachat.offer import FunctionSpec, Offer
from llamachat.picking import Picker
from llamachat.sampling import SamplingParams

EOM = TOKENIZER.special["<|eom_id|>"]


def message(said: str | None = "") -> CallConstraint:
    """A message of a model that may run code; a small one, if it must quote."""
    return Grammar(TOKENIZER, Offer(code=True), said).constraint()


def may_end(constraint: CallConstraint) -> set[int]:
    return {i for i in TOKENIZER.stop_ids if constraint.allows(i)}


def test_a_message_is_not_empty() -> None:
    constraint = message()
    for token_id in b" \n":
        assert not may_end(constraint)
        assert constraint.replacements() == [i for i in range(TOKENIZER.n_words) if constraint.replaces(i)]
        constraint.accept(token_id)
    constraint.accept(TAG)
    assert not may_end(constraint)  # nor is code
    constraint.accept(ord("1"))
    assert may_end(constraint) == TOKENIZER.stop_ids
    assert may_end(message(None)) == TOKENIZER.stop_ids  # a large model may have been told to say nothing


@given(st.text("abc ", min_size=1, max_size=LONGEST), st.booleans())
def test_what_goes_in_circles_ends(circle: str, code: bool) -> None:
    constraint, free = message(), message(None)
    period = next(p for p in range(1, LONGEST + 1) if circle == circle[p:] + circle[:p])
    limit = max(AGAIN, ROUNDS * period) + period
    ids = [*[TAG] * code, *(circle * limit).encode()[:limit]]
    for token_id in ids:
        assert constraint.allows(token_id)
        constraint.accept(token_id)
        free.accept(token_id)
    end = EOM if code else EOT
    assert [i for i in range(TOKENIZER.n_words) if constraint.allows(i)] == constraint.replacements() == [end]
    assert free.allows(ids[-1])


def test_lists_of_one_kind_are_no_circles() -> None:
    constraint = message()
    rows = "\n".join(f"total = total + {row}" for row in range(100, 160))
    for token_id in rows.encode():
        assert constraint.allows(token_id)
        constraint.accept(token_id)


def test_a_call_is_whole_before_it_ends() -> None:
    schema = {"type": "object", "properties": {"words": {"type": "array", "items": {"type": "string"}}}}
    held = Grammar(TOKENIZER, Offer(functions=(FunctionSpec("f", "", schema),)), "say ho")
    constraint = tagged(held)
    begun = '{"name": "f", "parameters": {"words": [' + '"ho", ' * (AGAIN // 3)
    assert drive(constraint, begun) is None
    assert not may_end(constraint)
    assert drive(constraint, '"ho"]}}') is None
    assert EOT in may_end(constraint)


def test_a_model_in_a_loop_is_stopped() -> None:
    picker, circle = Picker(SamplingParams(temperature=0.0), message()), b"banana bandana"
    said: list[int] = []
    while EOT not in said:
        logits = torch.zeros(TOKENIZER.n_words)
        logits[circle[len(said) % len(circle)]] = 9.0
        logits[EOM] = 8.0  # its second wish would be wrong, too
        said.append(picker.pick(logits))
    assert bytes(said[:-1]) == (circle * 9)[: AGAIN + len(circle)]
    assert not picker.released
