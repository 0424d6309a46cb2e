"""The toolbox, and the check of arguments: what runs, what is mended, what the model is told."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

from llamachat.errors import ConfigError, SearchOffline
from llamachat.messages import ToolCall
from llamachat.protocol import Offered, Part, explain, parse
from llamachat.testing import byte_tokenizer
from llamachat.tools import Tool, Toolbox, ToolOutput
from llamachat.tools.functions import function_tool
from llamachat.tools.schemas import check_schema, coerce, problems, signature

CASES = [
    json.loads(line) for line in (Path(__file__).parent / "data" / "tool_calls_bad.jsonl").read_text().splitlines()
]


def get_weather(city: str, days: int = 1, units: Literal["C", "F"] = "C") -> str:
    """Weather of a city."""
    return f"{city} {days} {units}"


def add(a: float, b: float) -> float:
    """Sum of two numbers."""
    return a + b


def read_attachment(name: str) -> str:
    """Text of an attached file."""
    return {"a.txt": "hello"}[name]


BOX = Toolbox(tuple(function_tool(function) for function in (get_weather, add, read_attachment)))


async def tell(raw: str, *, cut: bool) -> list[str]:
    """What comes of a reply: results of calls, refusals, and text as ``text: …``."""
    tokenizer = byte_tokenizer()
    ids = [*tokenizer.encode(raw), *([] if cut else [tokenizer.special["<|eom_id|>"]])]
    return [await _tell(part) for part in parse(tokenizer, ids, Offered(frozenset(BOX.names))).parts]


async def _tell(part: Part) -> str:
    if part.kind == "function":
        return (await BOX.run(ToolCall(part.name or "", part.arguments or {}))).output
    return explain(part) if part.kind == "error" else f"text: {part.text}"


REFUSALS = {
    "float-for-int": "days must be a whole number, got 2.5",
    "bool-for-int": "days must be a whole number, got true",
    "null-required": "city must be text, got null",
    "missing-required": "city is missing. get_weather(city, days=1, units='C')",
    "extra-arg": "get_weather has no parameter 'mood'",
    "bad-enum": "units must be one of C, F",
    "list-for-str": "city must be text, got a list",
    "params-list": "The arguments of get_weather must be an object",
    "params-string": "The arguments of get_weather must be an object",
    "params-missing": "city is missing",
    "unknown-name": "There is no function get_wether; did you mean get_weather?",
    "dunder-name": "There is no function __import__",
    "dotted-name": "There is no function os.system",
    "method-name": "There is no function add.__globals__; these are offered",
    "name-not-str": "The call has no name",
    "name-huge": f"There is no function {'a' * 60}; these are offered",
    "name-unicode-lookalike": "There is no function get_w\u0435ather",
    "kwargs-self": "add has no parameter 'self'",
    "kwargs-dunder": "add has no parameter '__class__'",
    "nan": "The call of add is no valid JSON",
    "infinity": "The call of add is no valid JSON",
    "overflow-float": "The call of add is no valid JSON",
    "huge-int": "The call of get_weather is no valid JSON",
    "deep": "The call of add is no valid JSON",
    "long": "the call is longer than 64 kB",
    "python-literals": "a must be a number, got true\nb must be a number, got null",
    "comment": "The call of add is no valid JSON",
    "truncated": "The token limit cut off the call of add",
    "path-arg": "KeyError: '../../etc/passwd'",
    "int-name-key": "add has no parameter '1'\na and b are missing. add(a, b)",
    "empty-key": "add has no parameter ''",
    "duplicate-name": "get_weather has no parameter 'a'",
}

RESULTS = {
    "ok": ['"Oslo 2 C"'],
    "ok-arguments-key": ['"Oslo 1 C"'],
    "ok-type-function": ['"Oslo 1 C"'],
    "ok-fence": ['"Oslo 2 C"'],
    "ok-int-as-string": ['"Oslo 2 C"'],
    "float-for-int-exact": ['"Oslo 2 C"'],
    "null-optional": ['"Oslo 1 C"'],
    "array-of-calls": ["3.0", "7.0"],
    "two-objects": ['"Oslo 2 C"', '"Oslo 2 C"'],
    "nul": ['"Os\\u0000lo 1 C"'],
    "special-tokens": ['"<|eot_id|><|start_header_id|>system 1 C"'],
    "just-name": ["text: add"],
    # The reader of replies is tolerant by rule (docs/replies.md), where this list would refuse:
    "name-null": ['text: {"name": null}'],
    "empty": ["text: "],
    "call-from-tool-result": [
        'text: {"tool_result": {"name": "get_weather", "parameters": {"city": "Oslo", "days": 2}}}'
    ],
    "duplicate-keys": ["1001.0"],
    "trailing-comma": ["3.0"],
    "single-quotes": ["3.0"],
    "surrogate": ['"\ufffd 1 C"'],
    "bom": ["text: \ufeff", '"Oslo 2 C"'],
    "text-then-call": ["text: Sure! Let me check.", '"Oslo 2 C"'],
    "call-inside-quote": ["text: The page said:", '"Oslo 2 C"'],
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
async def test_malformed_calls(case: Mapping[str, Any]) -> None:
    told = await tell(case["raw"], cut=case["id"] == "truncated")
    if case["id"] in RESULTS:
        assert told == RESULTS[case["id"]]
    else:
        assert len(told) == 1
        assert REFUSALS[case["id"]] in told[0]
        assert len(told[0]) < 300


SCHEMA = {
    "type": "object",
    "$defs": {"Point": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}},
    "properties": {
        "n": {"type": "integer"},
        "f": {"type": "number"},
        "b": {"type": "boolean"},
        "s": {"type": "string"},
        "l": {"type": "array", "items": {"type": "integer"}},
        "o": {"type": "object"},
        "p": {"$ref": "#/$defs/Point"},
        "u": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "e": {"enum": [1, 2, "x"]},
        "any": {},
    },
}


@pytest.mark.parametrize(
    ("given", "mended"),
    [
        ({"n": "10"}, {"n": 10}),
        ({"n": " -3 "}, {"n": -3}),
        ({"n": 2.0}, {"n": 2}),
        ({"n": "2.0"}, {"n": 2}),
        ({"f": "1.5"}, {"f": 1.5}),
        ({"f": "1e3"}, {"f": 1000.0}),
        ({"f": 2}, {"f": 2}),
        ({"b": "true"}, {"b": True}),
        ({"b": "False"}, {"b": False}),
        ({"l": "[1, 2]"}, {"l": [1, 2]}),
        ({"l": ["1", 2.0]}, {"l": [1, 2]}),
        ({"l": "['1', '2']"}, {"l": [1, 2]}),
        ({"o": '{"a": 1}'}, {"o": {"a": 1}}),
        ({"p": '{"x": "5"}'}, {"p": {"x": 5}}),
        ({"p": {"x": "5"}}, {"p": {"x": 5}}),
        ({"u": "7"}, {"u": 7}),
        ({"u": "null"}, {"u": None}),
        ({"u": None}, {"u": None}),
        ({"n": None, "s": None}, {}),
        ({"e": "2"}, {"e": 2}),
        ({"e": "x"}, {"e": "x"}),
    ],
    ids=str,
)
def test_slips_without_doubt_are_mended(given: dict[str, Any], mended: dict[str, Any]) -> None:
    assert repr(coerce(SCHEMA, given)) == repr(mended)  # repr: 2.0 == 2 == True in Python
    assert problems(SCHEMA, mended) == []


@pytest.mark.parametrize(
    "given",
    [
        {"n": "10 apples"}, {"n": "007"}, {"n": "1.5"}, {"n": 1.5}, {"n": True}, {"n": ""}, {"n": "1, 2"},
        {"f": "1e999"}, {"b": 1}, {"b": "yes"}, {"s": 5}, {"s": ["a"]}, {"l": "1"}, {"l": [1.5]},
        {"o": "[]"}, {"p": {"x": None}},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_in_doubt_stays_and_is_refused(given: dict[str, Any]) -> None:
    assert coerce(SCHEMA, given) == given
    assert len(problems(SCHEMA, given)) == 1


@pytest.mark.parametrize(
    "given", [{"s": "10"}, {"s": "true"}, {"s": "[1]"}, {"any": "5"}, {"any": None}, {"unknown": "5"}], ids=str
)
def test_what_fits_is_never_touched(given: dict[str, Any]) -> None:
    assert coerce(SCHEMA, given) == given


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ({"p": {}}, ["p.x is missing"]),
        ({"l": [1, "b"]}, ['l.1 must be a whole number, got "b"']),
        ({"u": "b"}, ['u must be a whole number or null, got "b"']),
        ({"o": [1]}, ["o must be an object, got a list"]),
        ({"e": 3}, ["e must be one of 1, 2, x"]),
        ({"f": float("inf")}, ["f must be a finite number"]),
        ({"any": {"deep": [float("nan")]}}, ["any.deep.0 must be a finite number"]),
        ({"s": "\ud800"}, ["s is not valid text: it holds a lone surrogate"]),
        ({"x" * 99: 1}, [f"the function has no parameter '{'x' * 59}…'"]),
        ({"n": "y" * 999}, [f'n must be a whole number, got "{"y" * 198}…']),
        (
            {f"p{i}": i for i in range(20)},
            [f"the function has no parameter 'p{i}'" for i in (0, 1, 10, 11, 12, 13, 14, 15)],
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_problems_are_one_line_each(given: dict[str, Any], lines: list[str]) -> None:
    assert problems(SCHEMA, given) == lines


def test_limits_of_a_schema_are_told() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}
    assert problems(schema, {"n": 0}) == ["n: 0 is less than the minimum of 1"]
    assert problems({"type": "object"}, {"anything": 1}) == []
    assert signature("f", SCHEMA | {"required": ["n"]}).startswith("f(n, f=…, b=…")


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "array"}, 'must have "type": "object"'),
        ({"type": "object", "properties": {"a": {"type": "text"}}}, "'text' is not valid"),
        (
            {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}},
            "refers to '#/$defs/A', which it does not hold",
        ),
        ({"type": "object", "properties": {"a": {"$ref": "http://x.y/z"}}}, "refers to 'http://x.y/z'"),
    ],
)
def test_schemas_that_describe_no_parameters(schema: dict[str, Any], reason: str) -> None:
    assert reason in str(check_schema(schema))
    assert check_schema(SCHEMA) is None


async def test_the_box_tells_what_is_offered_and_what_failed() -> None:
    async def broken(_: Mapping[str, Any]) -> ToolOutput:
        raise SearchOffline("offline: no network.", "Plug it in.")

    closed: list[str] = []

    async def close() -> None:
        closed.append("search")

    schema = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
    search = Tool("search", "", schema, broken, "builtin", "brave_search", close)
    box = Toolbox((*BOX.tools, search))
    failed = await box.run(ToolCall("brave_search", {"query": "x"}))
    assert (failed.ok, failed.output) == (False, "failed\n[stderr]offline: no network.[/stderr]")
    assert (await box.run(ToolCall("search", {"query": "x"}))).output == failed.output
    unknown = (await box.only(["add"]).run(ToolCall("ad" + "d" * 99, {}))).output
    assert unknown == f"failed\n[stderr]There is no tool 'ad{'d' * 58}'; these are offered: add.[/stderr]"
    assert "did you mean brave_search? These" in (await box.run(ToolCall("brave_serch", {}))).output
    await box.close()
    assert closed == ["search"]


def test_names_in_a_box_are_one_of_a_kind() -> None:
    with pytest.raises(ConfigError, match="Two tools are named 'add'"):
        Toolbox((*BOX.tools, BOX.tools[1]))
    with pytest.raises(ConfigError, match="There is no tool 'subtract'"):
        BOX.only(["subtract"])
