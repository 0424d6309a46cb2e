"""Values as models write them: JSON with its accepted slips, and what a torn text leaves behind."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamachat.calls.keywords import balanced_end, read_call_list
from llamachat.literals import read_json

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
no_surrogates = st.text(st.characters(exclude_categories=["Cs"]))


@given(value=values, ascii=st.booleans(), indent=st.none() | st.integers(0, 3))
def test_all_json_is_read_as_json_reads_it(value: Any, ascii: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii, indent=indent)
    reading = read_json(text)
    assert (reading.problem, reading.end) == (None, len(text))
    assert reading.value == value
    assert not reading.lenient


def no_constant(name: str) -> None:
    raise ValueError(name)


@given(text=st.text(alphabet="{}[]\",':\\ 0-.1tnul\nNa\u00e9", max_size=60))
def test_any_text_gives_a_reading_and_json_its_value(text: str) -> None:
    reading = read_json(text)
    assert 0 <= reading.end <= len(text)
    try:
        expected = json.loads(text, parse_constant=no_constant)
    except ValueError:
        return
    assert (reading.value, reading.problem) == (expected, None)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{'a': 'b \"c\"'}", {"a": 'b "c"'}),
        ("{'it\\'s': \"it\\'s\"}", {"it's": "it's"}),
        ("[True, False, None]", [True, False, None]),
        ("[1,]", [1]),
        ('{"a": 1,\n}', {"a": 1}),
        ('"tab\there\nline"', "tab\there\nline"),
    ],
)
def test_accepted_slips(text: str, value: Any) -> None:
    reading = read_json(text)
    assert (reading.value, reading.problem, reading.lenient) == (value, None, True)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"\\ud83d\\ude00"', "😀"),
        ('"\\ud83d"', "\ufffd"),
        ('"\\ude00x"', "\ufffdx"),
        ('"\\ud83dx"', "\ufffdx"),
        ('"\\ud83d\\n\\ude00"', "\ufffd\n\ufffd"),
        ('{"a": 1, "a": {"b": 2}}', {"a": {"b": 2}}),
        ("-0", 0),
        ("9" * 4300, int("9" * 4300)),
        ("[" * 64 + "]" * 64, json.loads("[" * 64 + "]" * 64)),
    ],
)
def test_what_is_strict_json_is_not_lenient(text: str, value: Any) -> None:
    reading = read_json(text)
    assert (reading.value, reading.problem, reading.lenient) == (value, None, False)


@pytest.mark.parametrize(
    "text",
    [
        "[NaN]", "[Infinity]", "[-Infinity]", "[1e999]", "[01]", "[+1]", "[.5]", "[1.]", "[0x1]", "[1_0]", "[tru]",
        "{a: 1}", "{1: 2}", '{"a" 1}', '{"a": 1 "b": 2}', "[1 2]", "[,]", "[1,,2]", '["\\x41"]', '["\\u12g4"]', "[1}",
        "{]", ")", "[/]", "[" * 65 + "]" * 65, "[" + "9" * 4301 + "]", "[-" + "9" * 4301 + "]", '{"a": undefined}',
    ],
)  # fmt: skip
def test_bad_json(text: str) -> None:
    assert read_json(text).problem == "bad"


@pytest.mark.parametrize(
    ("text", "closers", "value", "key", "partial"),
    [
        ("", "", None, None, None),
        ('{"a": [1', "]}", {"a": [1]}, "a", None),
        ('{"a": {"b": 1}, ', "}", {"a": {"b": 1}}, None, None),
        ('{"a":', "}", {}, "a", None),
        ('{"a": tr', "}", {}, "a", None),
        ('{"a": -', "}", {}, "a", None),
        ('{"a": "b', None, {}, "a", "b"),
        ('{"a": "b\\', None, {}, "a", "b\\"),
        ('{"a": "\\u12', None, {}, "a", "\\u12"),
        ('{"a": {"b": "c', None, {"a": {}}, "a", "c"),
        ('{"a', None, {}, None, "a"),
        ('[{"a": 1}, {"b', None, [{"a": 1}, {}], None, "b"),
    ],
)
def test_incomplete_json(text: str, closers: str | None, value: Any, key: str | None, partial: str | None) -> None:
    reading = read_json(text)
    assert reading.problem == "incomplete"
    assert (reading.closers, reading.value, reading.key, reading.partial) == (closers, value, key, partial)


@given(text=st.text(alphabet="[]()f=,a1'\"{}: \\\nNx+-.", max_size=40))
def test_any_text_gives_a_call_list_or_a_problem(text: str) -> None:
    reading = read_call_list(text)
    assert (reading.value is None) == (reading.problem is not None)
    assert 0 <= reading.end <= len(text)


@given(
    arguments=st.dictionaries(st.from_regex(r"[a-z_]\w{0,8}", fullmatch=True), no_surrogates | st.lists(no_surrogates))
)
def test_python_strings_are_read_as_python_reads_them(arguments: dict[str, Any]) -> None:
    text = "[f(" + ", ".join(f"{name}={value!r}" for name, value in arguments.items()) + ")]"
    reading = read_call_list(text)
    assert reading.problem is None
    assert [(call.name, call.arguments) for call in reading.value] == [("f", arguments)]


@given(numbers=st.lists(st.integers() | st.floats(allow_nan=False, allow_infinity=False)))
def test_python_numbers_are_read_as_python_reads_them(numbers: list[float]) -> None:
    reading = read_call_list(f"[f(a={numbers!r}, b={tuple(numbers)!r})]")
    assert reading.value[0].arguments == {"a": numbers, "b": numbers}


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("[a]b", 3),
        ("[(]]", 4),
        ("[']']", 5),
        ('["\\"]"]', 7),
        ("[", None),
        ("['", None),
        ("[}x", 2),
        ("x", None),
        ("", None),
    ],
)
def test_balanced_end(text: str, end: int | None) -> None:
    assert balanced_end(text, 0) == end
