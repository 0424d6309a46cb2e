"""Types that functions have in the wild: how the model sees them, what arrives, and what it is told of mistakes."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import functools
import json
import pathlib
import uuid
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import pytest
import typing_extensions
from pydantic import BaseModel, Field

from llamachat.errors import ConfigError
from llamachat.messages import ToolCall
from llamachat.tools import Toolbox
from llamachat.tools.functions import function_tool
from llamachat.tools.functions.signatures import read_signature

F = TypeVar("F", bound=Callable[..., Any])


class Unit(enum.Enum):
    CELSIUS = "C"
    FAHRENHEIT = "F"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Inner(BaseModel):
    """An inner thing."""

    count: int | None = None
    unit: Unit = Unit.CELSIUS


class Outer(BaseModel):
    first: Inner
    rest: list[Inner] = Field(default_factory=list, description="The others.")


class Tree(BaseModel):
    value: int
    children: list[Tree] = []


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str]


class Place(typing_extensions.TypedDict, total=False):
    city: typing_extensions.Required[str]
    street: str


class Pair(NamedTuple):
    left: int
    right: str = "r"


@dataclasses.dataclass
class Box:
    sides: tuple[int, int]
    label: str | None = None


def scalars(  # noqa: PLR0913 one of each kind
    day: datetime.date,
    moment: datetime.datetime,
    span: datetime.timedelta,
    price: decimal.Decimal,
    key: uuid.UUID,
    path: pathlib.Path,
    raw: bytes,
    unit: Unit,
    level: Level,
) -> str:
    return repr((day, moment, span, price, key, path, raw, unit, level))


def containers(  # noqa: PLR0913 one of each kind
    pair: tuple[int, str],
    many: tuple[int, ...],
    some: set[int],
    by_name: Mapping[str, int],
    anything: list,  # type: ignore[type-arg]
    place: Place,
    named: Pair,
    box: Box,
    pet: Annotated[Cat | Dog, Field(discriminator="kind")],
) -> str:
    return repr((pair, many, some, dict(by_name), anything, place, named, box, pet))


def nested(outer: Outer, tree: Tree, maybe: Inner | None = None) -> str:
    return repr((outer, tree, maybe))


def limited(
    name: Annotated[str, Field(min_length=2, pattern="^[a-z]+$")],
    items: Annotated[list[int], Field(max_length=3)],
    share: Annotated[float, Field(gt=0, le=1)] = 0.5,
    size: int = Field(default=3, ge=1, description="How many."),
) -> str:
    return repr((name, items, share, size))


def properties(function: Callable[..., Any]) -> dict[str, Any]:
    found: dict[str, Any] = function_tool(function).parameters["properties"]
    return found


def test_scalars() -> None:
    schemas = properties(scalars)
    price = schemas.pop("price")["anyOf"]  # some versions of pydantic add a pattern to the text
    assert [choice["type"] for choice in price] == ["number", "string"]
    assert schemas == {
        "day": {"type": "string", "format": "date"},
        "moment": {"type": "string", "format": "date-time"},
        "span": {"type": "string", "format": "duration"},
        "key": {"type": "string", "format": "uuid"},
        "path": {"type": "string", "format": "path"},
        "raw": {"type": "string", "format": "binary"},
        "unit": {"type": "string", "enum": ["C", "F"]},
        "level": {"type": "integer", "enum": [1, 2]},
    }


INNER = {
    "type": "object",
    "description": "An inner thing.",
    "properties": {"count": {"type": "integer"}, "unit": {"type": "string", "enum": ["C", "F"], "default": "C"}},
}


def test_models_are_written_out_where_they_are_used() -> None:
    parameters = function_tool(nested).parameters
    tree = {
        "type": "object",
        "properties": {
            "value": {"type": "integer"},
            "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}, "default": []},
        },
        "required": ["value"],
    }
    assert parameters == {
        "type": "object",
        "properties": {
            "outer": {
                "type": "object",
                "properties": {
                    "first": INNER,
                    "rest": {"type": "array", "items": INNER, "description": "The others."},
                },
                "required": ["first"],
            },
            "tree": tree,
            "maybe": INNER,
        },
        "required": ["outer", "tree"],
        "$defs": {"Tree": tree},
    }


def test_models_of_models_of_models_do_not_explode() -> None:
    model: type[BaseModel] = Inner
    for number in range(30):
        model = type(f"M{number}", (BaseModel,), {"__annotations__": {"left": model, "right": model}, "__module__": ""})

    def big(x: Any) -> str:
        return ""

    big.__annotations__["x"] = model
    parameters = function_tool(big).parameters
    assert len(json.dumps(parameters)) < 20_000
    assert "M0" in str(parameters["$defs"])


def test_defaults_of_every_kind() -> None:
    def many(
        unit: Unit = Unit.FAHRENHEIT,
        day: datetime.date = datetime.date(2024, 2, 29),
        path: pathlib.Path = pathlib.Path("/a"),
        tags: set[str] = {"a"},  # noqa: B006 as users write it
        limit: float = float("inf"),
        raw: bytes = b"\xff",
        long: list[int] = list(range(500)),  # noqa: B006 the same
        odd: int = "three",  # type: ignore[assignment]
    ) -> bool:
        return (unit, limit, raw, long, odd) == (Unit.FAHRENHEIT, float("inf"), b"\xff", list(range(500)), "three")

    told = {key: value.get("default", "untold") for key, value in properties(many).items()}
    assert told == {
        "unit": "F",
        "day": "2024-02-29",
        "path": "/a",
        "tags": ["a"],
        "limit": "untold",
        "raw": "untold",
        "long": "untold",
        "odd": "three",
    }
    assert read_signature(many).call({}) is True
    assert "required" not in function_tool(many).parameters


async def test_arguments_arrive_in_their_types() -> None:
    async def call(function: Callable[..., Any], **arguments: Any) -> str:
        tool = function_tool(function)
        result = await Toolbox((tool,)).run(ToolCall(tool.name, arguments))
        assert result.ok, result.output
        return str(json.loads(result.output))

    key = "00000000-0000-0000-0000-000000000001"
    given = {"day": "2024-02-29", "moment": "2024-02-29T12:00", "span": "P1D", "price": "1.50", "key": key}
    assert await call(scalars, **given, path="a/b", raw="x", unit="F", level="2") == (
        "(datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 12, 0), datetime.timedelta(days=1), "
        f"Decimal('1.50'), UUID('{key}'), PosixPath('a/b'), b'x', <Unit.FAHRENHEIT: 'F'>, <Level.HIGH: 2>)"
    )
    given = {"pair": [1, "a"], "many": ["1", 2], "some": [1, 2], "by_name": '{"a": 1}', "anything": [None]}
    assert await call(
        containers, **given, place={"city": "Oslo"}, named=[1], box={"sides": [1, 2]}, pet={"kind": "cat", "lives": 9}
    ) == (
        "((1, 'a'), (1, 2), {1, 2}, {'a': 1}, [None], {'city': 'Oslo'}, Pair(left=1, right='r'), "
        "Box(sides=(1, 2), label=None), Cat(kind='cat', lives=9))"
    )
    assert await call(limited, name="ab", items=[]) == "('ab', [], 0.5, 3)"


def test_positional_and_keyword_parameters_are_given_as_they_must_be() -> None:
    def mixed(first: int = 1, second: int = 2, /, third: int = 3, *, fourth: int = 4) -> tuple[int, ...]:
        return first, second, third, fourth

    signature = read_signature(mixed)
    assert signature.call({}) == (1, 2, 3, 4)
    assert signature.call({"second": 5}) == (1, 5, 3, 4)
    assert signature.call({"third": "6", "fourth": 7}) == (1, 2, 6, 7)


def logged(function: F) -> F:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper  # type: ignore[return-value]


class Shop:
    def price(self, item: str, count: int = 1) -> str:
        """What so many cost.

        Args:
            item: Its name.
        """
        return f"{item} {count}"

    @classmethod
    def opened(cls, day: str) -> str:
        return day

    @staticmethod
    def rounded(value: float) -> float:
        return value

    def __call__(self, x: int) -> int:
        return x


@logged
def decorated(x: int, unit: Unit = Unit.CELSIUS) -> str:
    """Decorated."""
    return f"{x} {unit.value}"


def scaled(x: int, factor: int, *, offset: int = 0) -> int:
    return x * factor + offset


def test_callables_of_other_kinds() -> None:
    price = read_signature(Shop().price)
    assert price.schema["properties"] == {
        "item": {"type": "string", "description": "Its name."},
        "count": {"type": "integer", "default": 1},
    }
    assert price.call({"item": "tea"}) == "tea 1"
    assert read_signature(Shop.opened).call({"day": "monday"}) == "monday"
    assert read_signature(Shop.rounded).call({"value": "1.5"}) == 1.5
    wrapped = read_signature(decorated)
    assert (wrapped.description, wrapped.call({"x": "1", "unit": "F"})) == ("Decorated.", "1 F")
    partial = read_signature(functools.partial(scaled, 2, offset=1))
    assert (partial.name, partial.call({"factor": 3})) == ("scaled", 7)
    assert partial.schema["properties"]["offset"] == {"type": "integer", "default": 1}


class Unwilling:
    @classmethod
    def __get_pydantic_core_schema__(cls, *_: Any) -> Any:
        raise RuntimeError("not\ntoday")


def unwilling(x: Unwilling) -> None: ...


def raising(x: 1 / 0) -> None: ...  # type: ignore[valid-type]


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (Shop.price, "price can't be a tool: it takes self."),
        (Shop, "Shop can't be a tool: it is a class."),
        (Shop(), "it has no name"),
        (max, "max can't be a tool: its parameters are not known."),
        (print, "print can't be a tool: it takes *args."),
        (json.dumps, "dumps can't be a tool: it takes **kw."),
        (unwilling, "unwilling can't be a tool: RuntimeError: not"),
        (raising, "The types of raising can't be read: division by zero."),
    ],
)
def test_callables_that_are_no_tools(function: Callable[..., Any], reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        function_tool(function)
    assert reason in caught.value.message


OUTER = {"first": {}}
MOMENT = {"moment": "2024-01-01", "span": "P1D", "price": 1, "path": "a", "raw": "", "unit": "C", "level": 1}
KEY = {"key": "0" * 32}


@pytest.mark.parametrize(
    ("function", "given", "lines"),
    [
        (nested, {"outer": {"first": {"count": "q"}}}, ["tree is missing. nested(outer, tree, maybe=…)",
                                                       'outer.first.count must be a whole number, got "q"']),
        (nested, {"outer": OUTER, "tree": {"value": 1, "children": [{"value": "x"}]}},
         ['tree.children.0.value must be a whole number, got "x"']),
        (nested, {"outer": OUTER, "tree": [1]}, ["tree must be an object, got a list"]),
        (nested, {"outer": OUTER, "tree": {"value": 1}, "maybe": {"unit": "K"}}, ["maybe.unit must be one of C, F"]),
        (limited, {"name": "A", "items": [1, 2, 3, 4], "share": 2, "size": 0}, [
            "items must have at most 3 items, got a list", 'name must have at least 2 characters, got "A"',
            'name must match ^[a-z]+$, got "A"', "share: 2 is greater than the maximum of 1",
            "size: 0 is less than the minimum of 1"]),
        (scalars, {**MOMENT, **KEY, "day": "2024-02-30"},
         ['day must be a valid date or datetime, day value is outside expected range, got "2024-02-30"']),
        (scalars, {**MOMENT, "day": "2024-01-01", "key": "k"},
         ["key must be a valid UUID, invalid character: found `k` at 0, got \"k\""]),
        (scalars, {**MOMENT, **KEY, "day": "2024-01-01", "price": "much"},
         ["price must be a valid decimal, got \"much\""]),
        (scalars, {**MOMENT, **KEY, "day": "2024-01-01", "level": 3}, ["level must be one of 1, 2"]),
    ],
)  # fmt: skip
async def test_mistakes_are_told_in_one_line_per_argument(
    function: Callable[..., Any], given: dict[str, Any], lines: list[str]
) -> None:
    tool = function_tool(function)
    result = await Toolbox((tool,)).run(ToolCall(tool.name, given))
    assert not result.ok
    assert result.output.removeprefix("failed\n[stderr]").removesuffix("[/stderr]").split("\n") == lines


@pytest.mark.parametrize(
    ("pet", "told"),
    [
        ({"kind": "cow"}, ["pet.kind must be cat, got \"cow\"", "pet.lives is missing"]),
        ({"kind": "dog", "tricks": "sit"}, ['pet.tricks must be a list, got "sit"']),
        ("cat", ['pet must be an object, got "cat"']),
    ],
)  # fmt: skip
def test_of_several_models_the_nearest_is_meant(pet: Any, told: list[str]) -> None:
    from llamachat.tools.schemas import problems

    schema = {"type": "object", "properties": {"pet": properties(containers)["pet"]}}
    assert problems(schema, {"pet": pet}) == told
