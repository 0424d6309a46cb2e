"""What a function looks like to a model: docstrings and types become a plain schema, or a clear refusal."""

import dataclasses
import datetime
import enum
import json
from collections.abc import Callable
from typing import Annotated, Any, Literal, Optional

import pytest
from pydantic import Field

from llamachat.errors import ConfigError
from llamachat.tools.functions import function_tool


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


GOOGLE = """Book a table.

    It must be free.

    Args:
        guests: How many
            people come.
        when: The day.
    """
NUMPY = """Book a table.

    It must be free.

    Parameters
    ----------
    guests : int
        How many
        people come.
    when
        The day.
    """
SPHINX = """Book a table.

    It must be free.

    :param guests: How many people come.
    :param when: The day.
    """


@pytest.mark.parametrize("doc", [GOOGLE, NUMPY, SPHINX])
def test_docstrings_of_every_style_describe_the_function(doc: str) -> None:
    def book(guests: int, when: datetime.date, window: bool = False, note: str = "", table: int = 0) -> str:
        return ""

    book.__doc__ = doc
    tool = function_tool(book)
    assert (tool.name, tool.description) == ("book", "Book a table. It must be free.")
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "guests": {"type": "integer", "description": "How many people come."},
            "when": {"type": "string", "format": "date", "description": "The day."},
            "window": {"type": "boolean", "default": False},
            "note": {"type": "string", "default": ""},
            "table": {"type": "integer", "default": 0},
        },
        "required": ["guests", "when"],
    }


def test_types_become_plain_schemas() -> None:
    def many(  # noqa: PLR0913 one of each kind
        color: Color,
        point: Point,
        size: Literal["s", "m"],
        tags: dict[str, list[int]],
        anything,  # type: ignore[no-untyped-def]
        limit: Annotated[int, Field(ge=1, description="At least one.")] = 5,
        maybe: Optional[int] = None,  # noqa: UP045 this form too
        either: int | str | None = None,
        nothing: int | None = 3,
        schema: str = "",
        callback: object = object(),
    ) -> None:
        pass

    schema = function_tool(many).parameters
    assert schema["required"] == ["color", "point", "size", "tags", "anything"]
    assert schema["properties"] == {
        "color": {"enum": ["red", "blue"], "type": "string"},
        "point": {
            "type": "object",
            "properties": {"x": {"type": "integer"}, "y": {"type": "integer", "default": 0}},
            "required": ["x"],
        },
        "size": {"enum": ["s", "m"], "type": "string"},
        "tags": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "integer"}}},
        "anything": {},
        "limit": {"type": "integer", "minimum": 1, "default": 5, "description": "At least one."},
        "maybe": {"type": "integer"},
        "either": {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}], "default": None},
        "nothing": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": 3},
        "schema": {"type": "string", "default": ""},
        "callback": {},
    }
    json.dumps(schema)


class Opaque:
    pass


def variadic(*args: int) -> None: ...
def keywords(**kwargs: int) -> None: ...
def opaque(thing: Opaque) -> None: ...
def callback(done: Callable[[int], int]) -> None: ...
def dangling(x: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (variadic, "variadic can't be a tool: it takes *args"),
        (keywords, "keywords can't be a tool: it takes **kwargs"),
        (opaque, "opaque can't be a tool: Unable to generate pydantic-core schema"),
        (callback, "callback can't be a tool: Cannot generate a JsonSchema"),
        (dangling, "The types of dangling can't be read: name 'Nowhere' is not defined"),
        (lambda x: x, "it has no name"),
    ],
)
def test_functions_that_cannot_be_described(function: Callable[..., Any], reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        function_tool(function)
    assert reason in caught.value.message
    assert caught.value.hint


def test_a_function_without_words_is_named_by_its_name() -> None:
    def list_all_files(folder):  # type: ignore[no-untyped-def]
        return []

    tool = function_tool(list_all_files)
    assert (tool.description, tool.parameters["properties"]) == ("list all files", {"folder": {}})
