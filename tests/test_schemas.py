"""Schemas from elsewhere: what they may hold, what is told of values that don't fit, and that none does harm."""

from typing import Annotated, Any

import pytest
from pydantic import Field

from llamachat.messages import ToolCall
from llamachat.tools import Toolbox
from llamachat.tools.functions import function_tool
from llamachat.tools.schemas import check_schema, coerce, problems


def of(a: Any, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": a}, **more}


ITSELF = of({"$ref": "#/$defs/A"}, **{"$defs": {"A": {"allOf": [{"$ref": "#/$defs/A"}]}}})


@pytest.mark.parametrize(
    ("schema", "given", "lines"),
    [
        (of({"minLength": 2}), {"a": "x"}, ['a must have at least 2 characters, got "x"']),
        (of({"maxLength": 2}), {"a": "xyz"}, ['a must have at most 2 characters, got "xyz"']),
        (of({"minItems": 1}), {"a": []}, ["a must have at least 1 items, got a list"]),
        (of({"pattern": "^x"}), {"a": "y"}, ['a must match ^x, got "y"']),
        (of({"const": "x"}), {"a": "y"}, ['a must be x, got "y"']),
        (of({"uniqueItems": True}), {"a": [1, 1]}, ["a: [1, 1] has non-unique elements"]),
        (of(False), {"a": 1}, ["the arguments: False schema does not allow 1"]),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, {"b": "q"},
         ['b must be a whole number, got "q"']),
        (of({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}), {"a": 0},
         ["a: 0 is less than the minimum of 1"]),
        (of({"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "integer"}]}), {"a": ["x"]},
         ['a.0 must be a whole number, got "x"']),
        (of({"oneOf": [{"type": "string"}, {"type": "integer"}]}), {"a": []},
         ["a must be text or a whole number, got a list"]),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_told_of_a_value_that_does_not_fit(
    schema: dict[str, Any], given: dict[str, Any], lines: list[str]
) -> None:
    assert check_schema(schema) is None
    assert problems(schema, coerce(schema, given)) == lines


def test_references_of_every_form() -> None:
    tree = of({"type": "array", "items": {"$ref": "#"}}, required=["a"])
    listed = of({"$ref": "#/$defs/x~1y/anyOf/1"}, **{"$defs": {"x/y": {"anyOf": [{}, {"type": "integer"}]}}})
    assert check_schema(tree) is check_schema(listed) is None
    assert problems(tree, {"a": [{"a": []}, {}]}) == ["a.1.a is missing"]
    assert coerce(tree, {"a": '[{"a": "[]"}]'}) == {"a": [{"a": []}]}
    assert coerce(listed, {"a": "5"}) == {"a": 5}
    assert "'#/$defs/x~1y/anyOf/2', which it does not hold" in str(
        check_schema(listed | {"properties": {"a": {"$ref": "#/$defs/x~1y/anyOf/2"}}})
    )


@pytest.mark.parametrize(
    ("schema", "given"),
    [
        (of({"$ref": "#/properties/a"}), {"a": 1}),
        (ITSELF, {"a": 1}),
        ({"type": "object", "$ref": "#"}, {"a": 1}),
        (of({"$dynamicRef": "#gone"}), {"a": 1}),
        (of({"multipleOf": 0.1}), {"a": 10**400}),
    ],
    ids=str,
)
def test_a_schema_that_cannot_be_used_is_a_refusal(schema: dict[str, Any], given: dict[str, Any]) -> None:
    assert coerce(schema, given) == given
    (line,) = problems(schema, given, "f")
    assert line.startswith("f can't be called, its schema is broken: ")


@pytest.mark.parametrize("schema", [of({"pattern": "("}), {"type": "object", "patternProperties": {"^(": {}}}], ids=str)
def test_patterns_that_are_none(schema: dict[str, Any]) -> None:
    assert "is not a 'regex'" in str(check_schema(schema))


async def test_a_pattern_that_only_pydantic_understands() -> None:
    def spell(word: Annotated[str, Field(pattern=r"^\p{L}+$")]) -> str:
        return word

    tool = function_tool(spell)
    assert tool.parameters["properties"] == {"word": {"type": "string"}}
    assert (await Toolbox((tool,)).run(ToolCall("spell", {"word": "håll"}))).ok
    wrong = await Toolbox((tool,)).run(ToolCall("spell", {"word": "5"}))
    assert "word must match pattern '^\\p{L}+$', got \"5\"" in wrong.output
