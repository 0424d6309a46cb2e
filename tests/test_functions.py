"""Functions as tools: what the model sees of them, how they are called, and what it is told of the outcome."""

import asyncio
import dataclasses
import datetime
import decimal
import enum
import json
import pathlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel

from llamachat.errors import ConfigError
from llamachat.messages import ToolCall, ToolResult
from llamachat.tools import Toolbox, ToolOutput
from llamachat.tools.functions import function_tool, schema_tool


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Tree(BaseModel):
    value: int
    children: list["Tree"] = []


async def call(function: Callable[..., Any], **arguments: Any) -> ToolResult:
    tool = function_tool(function)
    return await Toolbox((tool,)).run(ToolCall(tool.name, arguments))


async def test_a_type_that_holds_itself() -> None:
    def total(tree: Tree) -> int:
        return tree.value + sum(total(child) for child in tree.children)

    assert (await call(total, tree={"value": 1, "children": [{"value": "2"}, {"value": 3.0}]})).output == "6"
    assert (
        "tree.children.0.value must be a whole number"
        in (await call(total, tree={"value": 1, "children": [{"value": "two"}]})).output
    )


async def test_arguments_come_in_the_annotated_types() -> None:
    def show(color: Color, point: Point, when: datetime.date, items: tuple[int, ...], /, *, flag: bool = True) -> str:
        return repr((color, point, when, items, flag))

    result = await call(show, color="blue", point={"x": "3"}, when="2024-02-29", items="[1, 2]", flag="false")
    assert json.loads(result.output) == (
        "(<Color.BLUE: 'blue'>, Point(x=3, y=0), datetime.date(2024, 2, 29), (1, 2), False)"
    )
    wrong = await call(show, color="blue", point={"x": 3}, when="2024-02-30", items=[])
    assert (wrong.ok, wrong.output) == (
        False,
        "failed\n[stderr]when must be a valid date or datetime, day value is outside expected range, "
        'got "2024-02-30"[/stderr]',
    )


async def test_defaults_are_the_functions_own() -> None:
    marker = object()

    def keep(a: int = 0, b: str = "", c: list[int] | None = None, d: Any = marker) -> bool:
        return (a, b, c) == (0, "", None) and d is marker

    assert (await call(keep)).output == "true"
    assert (await call(keep, a=1)).output == "false"


async def test_async_functions_are_awaited() -> None:
    async def double(x: int) -> int:
        await asyncio.sleep(0)
        return 2 * x

    assert (await call(double, x=4)).output == "8"


@pytest.mark.parametrize(
    ("value", "output"),
    [
        (None, "null"),
        ("25 °C", '"25 °C"'),
        ({"a": [1, 2.5, True]}, '{"a": [1, 2.5, true]}'),
        ({1: "x", (2, 3): "y"}, '{"1": "x", "2,3": "y"}'),
        (Point(1), '{"x": 1, "y": 0}'),
        (Tree(value=1), '{"value": 1, "children": []}'),
        ([Color.RED, datetime.date(2024, 1, 2), {3}], '["red", "2024-01-02", [3]]'),
        (b"\xff", "\"b'\\\\xff'\""),
        (np.arange(3), "[0, 1, 2]"),
        ({"mean": np.float64(1.5)}, '{"mean": 1.5}'),
        (iter(range(3)), "[0, 1, 2]"),
        (3 + 4j, '"3+4j"'),
        (ValueError("x"), "\"ValueError('x')\""),
        (pd.DataFrame({"a": [1, 2], "b": ["x", None]}), '[{"a": 1, "b": "x"}, {"a": 2, "b": null}]'),
        (pd.DataFrame({"a": [1.5]}, index=["mean"]), '{"mean": {"a": 1.5}}'),
        (pd.DataFrame({"a": [1, 2]}, index=["x", "x"]), '{"columns": ["a"], "index": ["x", "x"], "data": [[1], [2]]}'),
        (pd.Series({"a": 1.5, "b": 0.1}), '{"a": 1.5, "b": 0.1}'),
        (pd.NaT, '"NaT"'),
        ({"t": pd.Timestamp("2024-01-02")}, '{"t": "2024-01-02T00:00:00"}'),
        (range(3), '"range(0, 3)"'),
        (pathlib.Path("/a"), '"/a"'),
        (decimal.Decimal("1.50"), '"1.50"'),
        (object, "\"<class 'object'>\""),
        ("\ud800", '"\\ud800"'),
        (float("nan"), "NaN"),
    ],
)
async def test_results_of_any_kind(value: Any, output: str) -> None:
    def give() -> Any:
        return value

    result = await call(give)
    assert (result.output, result.ok) == (output, True)
    result.output.encode()


async def test_large_arrays_are_summed_up() -> None:
    def zeros() -> Any:
        return np.zeros((1000, 1000))

    assert (await call(zeros)).output.startswith('"array([[0., 0., 0., ..., 0., 0., 0.],')


async def test_results_that_never_end_or_are_huge_are_cut() -> None:
    def count() -> Iterator[int]:
        number = 0
        while True:
            yield number
            number += 1

    def huge() -> str:
        return "x" * 10**6

    def circular() -> list[Any]:
        circle: list[Any] = []
        circle.append(circle)
        return circle

    items, note = (await call(count)).output.split("\n")
    assert len(json.loads(items)) == 1000
    assert note == "[only the first 1,000 items; there are more]"
    output = (await call(huge)).output
    assert "of 1,000,002 characters left out] …" in output
    assert len(output) < 17_000

    def endless_number() -> int:
        return 10**5000

    assert (await call(circular)).output == '"[[...]]"'
    assert "ValueError: Exceeds the limit (4300 digits)" in (await call(endless_number)).output


async def test_what_a_function_raises_is_its_result() -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise ValueError

    def sync(kind: str) -> None:
        raise {"key": KeyError("k"), "exit": SystemExit(3), "stop": StopIteration(), "odd": Odd()}[kind]

    async def later() -> None:
        raise TimeoutError("of its own")

    async def cancels() -> None:
        raise asyncio.CancelledError("of its own")

    async def generates() -> AsyncIterator[int]:
        for number in range(3):
            yield number

    assert (await call(cancels)).output == '{"error": "CancelledError: of its own"}'
    assert (await call(generates)).output == "[0, 1, 2]"
    key = await call(sync, kind="key")
    assert (key.output, key.ok) == ('{"error": "KeyError: \'k\'"}', False)
    assert (await call(sync, kind="exit")).output == '{"error": "SystemExit: 3"}'
    assert "StopIteration" in (await call(sync, kind="stop")).output
    assert "Odd: <exception str() failed>" in (await call(sync, kind="odd")).output
    assert (await call(later)).output == '{"error": "TimeoutError: of its own"}'


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_function_that_hangs_is_left_behind(kind: str) -> None:
    release = threading.Event()

    def hang() -> None:
        release.wait(20)

    async def hang_async() -> None:
        await asyncio.Event().wait()

    tool = function_tool(hang if kind == "sync" else hang_async, timeout=0.05)
    result = await Toolbox((tool,)).run(ToolCall(tool.name, {}))
    release.set()
    assert (result.output, result.ok) == ('{"error": "TimeoutError: no answer in 0.05 s"}', False)


async def test_an_interrupt_reaches_an_async_function() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(call(wait))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_a_schema_with_something_to_run() -> None:
    async def run(arguments: Mapping[str, Any]) -> Any:
        return ToolOutput("raw") if arguments.get("raw") else {"got": dict(arguments)}

    parameters = {"type": "object", "properties": {"n": {"type": "integer"}, "raw": {"type": "boolean"}}}
    plain = {"name": "echo", "description": "Says it again.", "parameters": parameters}
    for spec in (plain, {"type": "function", "function": plain}):
        tool = schema_tool(spec, run)
        assert (tool.name, tool.description, tool.parameters) == ("echo", "Says it again.", parameters)
        box = Toolbox((tool,))
        assert (await box.run(ToolCall("echo", {"n": "5"}))).output == '{"got": {"n": 5}}'
        assert (await box.run(ToolCall("echo", {"raw": True}))).output == "raw"
        assert not (await box.run(ToolCall("echo", {"m": 1}))).ok
    assert schema_tool({"name": "now"}, run).parameters == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({}, "None can't be the name of a function"),
        ({"name": "two words"}, "'two words' can't be the name"),
        ({"name": "f", "parameters": []}, "f can't be offered: the parameters must be an object"),
        ({"name": "f", "parameters": {"type": "string"}}, "f can't be offered: the schema of the parameters must have"),
    ],
)
def test_schemas_that_cannot_be_offered(spec: Mapping[str, Any], reason: str) -> None:
    async def run(_: Mapping[str, Any]) -> None: ...

    with pytest.raises(ConfigError) as caught:
        schema_tool(spec, run)
    assert reason in caught.value.message
