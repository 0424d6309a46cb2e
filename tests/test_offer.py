"""What the model is offered: bytes of the protocol lines, and where the definitions stand."""

import json
from datetime import date
from itertools import product
from typing import Literal

import pytest

from llamachat.messages import Dialog, Message
from llamachat.offer import FunctionSpec, Offer, function_text, open_dialog, system_text
from llamachat.protocol import Dialect

TODAY = date(2024, 9, 21)
DATES = "Cutting Knowledge Date: December 2023\nToday Date: 21 September 2024"
HELPFUL = "You are a helpful assistant."
SONGS = FunctionSpec(
    "trending_songs",
    "Songs that trend – “now”.",
    {"type": "object", "properties": {"n": {"type": "integer", "default": 0}}, "required": []},
)
CODE, SEARCH = Offer(code=True), Offer(code=True, builtin=("brave_search", "wolfram_alpha"))
FUNCTION = Offer(functions=(SONGS,))
Calls = Literal["json", "function_tag", "python_list"]


@pytest.mark.parametrize(
    ("offer", "instruction", "text"),
    [
        (SEARCH, HELPFUL, f"Environment: ipython\nTools: brave_search, wolfram_alpha\n{DATES}\n\n{HELPFUL}\n"),
        (CODE, HELPFUL, f"Environment: ipython\n\n{DATES}\n\n{HELPFUL}\n"),
        (FUNCTION, HELPFUL, f"Environment: ipython\n\n{DATES}\n\n{HELPFUL}\n"),
        (Offer(), HELPFUL, f"{DATES}\n\n{HELPFUL}\n"),
        (Offer(), "", f"{DATES}\n"),
        (CODE, "", f"Environment: ipython\n\n{DATES}\n"),
    ],
)
def test_a_dated_system_message_has_the_bytes_of_the_reference(offer: Offer, instruction: str, text: str) -> None:
    """As printed in Meta's prompt_format.md of 3.1."""
    assert system_text(instruction, offer, Dialect(), TODAY) == text


def test_days_have_two_digits() -> None:
    assert "Today Date: 01 March 2025\n" in system_text("", Offer(), Dialect(), date(2025, 3, 1))


@pytest.mark.parametrize(
    ("offer", "instruction", "text"),
    [
        (SEARCH, HELPFUL, f"Environment: ipython\nTools: brave_search, wolfram_alpha\n\n{HELPFUL}\n"),
        (CODE, HELPFUL, f"Environment: ipython\n\n{HELPFUL}\n"),
        (CODE, "", "Environment: ipython"),
        (Offer(), HELPFUL, HELPFUL),
        (Offer(), "", ""),
    ],
)
def test_without_dates(offer: Offer, instruction: str, text: str) -> None:
    """What the embedded model was trained on: these bytes must not change."""
    assert system_text(instruction, offer, Dialect(dates=False), TODAY) == text
    assert system_text(instruction, offer, Dialect(), None) == text


def test_definitions_in_compact_json_are_what_the_embedded_model_was_trained_on() -> None:
    parameters = '"parameters":{"type":"object","properties":{"n":{"type":"integer","default":0}},"required":[]}}'
    name, purpose = '"name":"trending_songs"', '"description":"Songs that trend – “now”."'
    assert function_text(FUNCTION, Dialect(compact=True)) == f"Functions:\n{{{name},{purpose},{parameters}"
    first = Dialect(compact=True, purpose_first=True)
    assert function_text(FUNCTION, first) == f"Functions:\n{{{purpose},{name},{parameters}"


def test_definitions_keep_defaults_that_are_false() -> None:
    tool = {"name": SONGS.name, "description": SONGS.description, "parameters": SONGS.parameters}
    lines = function_text(FUNCTION, Dialect("json")).split("\n\n")[0].split("\n", 1)[1]
    assert json.loads(lines) == {"type": "function", "function": tool}
    listed = function_text(FUNCTION, Dialect("python_list"))
    assert json.loads(listed[listed.index(":\n") + 2 :]) == [tool]
    listed = function_text(FUNCTION, Dialect("python_list", compact=True))
    assert json.loads(listed[listed.index(":\n") + 2 :]) == [tool]
    tagged = function_text(FUNCTION, Dialect("function_tag")).splitlines()
    assert tagged[1] == f"{SONGS.name}: {SONGS.description}"
    assert json.loads(tagged[2]) == SONGS.parameters


@pytest.mark.parametrize("calls", ["json", "function_tag"])
def test_definitions_follow_the_system_message_as_a_user_message(calls: Calls) -> None:
    dialect = Dialect(calls)
    dialog = Dialog((Message("system", HELPFUL), Message("user", "Play!")))
    assert open_dialog(dialog, FUNCTION, dialect, TODAY).messages == (
        Message("system", system_text(HELPFUL, FUNCTION, dialect, TODAY)),
        Message("user", function_text(FUNCTION, dialect)),
        Message("user", "Play!"),
    )


def test_definitions_as_a_python_list_stand_in_the_system_message() -> None:
    for dialect in (Dialect("python_list", dates=False), Dialect("python_list")):
        opened = open_dialog(Dialog((Message("user", "Play!"),)), FUNCTION, dialect, TODAY)
        assert [message.role for message in opened] == ["system", "user"]
        assert function_text(FUNCTION, dialect) in opened[0].text


def test_nothing_offered_adds_nothing() -> None:
    dialog = Dialog((Message("user", "Hi"),))
    assert open_dialog(dialog, Offer(), Dialect(dates=False)) == dialog
    assert open_dialog(Dialog(), Offer(), Dialect(), None) == Dialog()
    assert not Offer()


def test_the_same_offer_gives_the_same_opening() -> None:
    """Else a longer dialog would not begin with the ids of the shorter one, and the cache would be lost."""
    short = Dialog((Message("system", HELPFUL), Message("user", "Hi")))
    longer = short + Message("assistant", "Hello!") + Message("user", "Play!")
    calls: tuple[Calls, ...] = ("json", "function_tag", "python_list")
    for form, compact, today in product(calls, (False, True), (None, TODAY)):
        dialect = Dialect(form, compact=compact)
        opened = open_dialog(short, FUNCTION, dialect, today)
        assert open_dialog(longer, FUNCTION, dialect, today)[: len(opened)] == opened
