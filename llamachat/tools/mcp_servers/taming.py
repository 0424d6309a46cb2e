"""What of a server's tool may be shown to a model and to a user: its name, words and schema. Knows no connection.

All of it is a stranger's text. Schemas are also run, on what the model says, by a library that follows references
without end and matches patterns in exponential time; so references are put in and patterns become words.
"""

import json
import re
from collections.abc import Callable, Mapping
from itertools import chain, count
from typing import Any

from llamachat.tools.schemas import check_schema
from llamachat.tools.shorten import printable
from llamachat.visible import visible

LONGEST_NAME = 64  # characters, as in OpenAI's and Anthropic's function names
LONGEST_DESCRIPTION = 1024
LARGEST_SCHEMA = 16_000  # characters of JSON: some 4,000 tokens of every prompt
DEEPEST_SCHEMA = 24

_HIDDEN = re.compile("[\U000e0000-\U000e007f\u200b\u2060\ufeff]")  # tags and joiners: text that only the model sees
_INERT = ("default", "const", "enum", "examples")  # hold values, not schemas
_NAMED = ("properties", "dependentSchemas")  # hold schemas by name
_WORDS = ("title", "description")
_DROPPED = ("$defs", "definitions", "$schema", "$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "patternProperties")


class Unfit(ValueError):
    """Why a tool is left out, as the end of a sentence."""


def plain(text: str, limit: int) -> str:
    """A stranger's ``text`` with nothing hidden in it, at most so many characters."""
    text = visible(printable(_HIDDEN.sub("", text[: limit + 1]))).strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def called(server: str, tool: str, taken: Callable[[str], bool]) -> str:
    """``server__tool`` in letters, digits and _, which fits every form of a call; numbered if it is ``taken``."""
    name = "__".join(re.sub(r"[^A-Za-z0-9]", "_", part[:LONGEST_NAME]) for part in (server, tool))
    name = name if name[0].isalpha() else f"mcp_{name}"
    endings = chain([""], (f"_{number}" for number in count(2)))
    names = (name[: LONGEST_NAME - len(ending)] + ending for ending in endings)
    return next(name for name in names if not taken(name))


def tame(schema: Any) -> dict[str, Any]:
    """``schema`` without references and patterns. Raises Unfit if it can't describe a function's parameters."""
    if not isinstance(schema, Mapping):
        raise Unfit("has no schema")
    try:
        tamed = _Tamer(schema).tame(schema)
        if wrong := check_schema(tamed):
            raise Unfit(f"has a wrong schema: {plain(wrong, 120)}")
    except RecursionError as error:
        raise Unfit("has a schema that is nested too deeply") from error
    return {"properties": {}, **tamed}


class _Tamer:
    """Rewrites the parts of one schema, whose ``$ref`` point into it."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._left = LARGEST_SCHEMA

    def tame(self, schema: Mapping[str, Any], above: tuple[str, ...] = (), depth: int = 0) -> dict[str, Any]:
        if "$ref" in schema:
            schema, above = self._follow(schema, above)
        tamed: dict[str, Any] = {}
        for key, value in schema.items():
            self._count(key, value, depth)
            if key == "pattern":
                tamed["description"] = f"{schema.get('description', '')} (pattern: {value})".strip()
            elif key in _NAMED and isinstance(value, Mapping):
                tamed[key] = {_named(name): self._inside(inner, above, depth + 1) for name, inner in value.items()}
            elif key in _INERT:
                tamed[key] = value
            elif key not in _DROPPED:
                tamed.setdefault(key, self._inside(value, above, depth + 1))
        return tamed | {key: plain(str(tamed[key]), LONGEST_DESCRIPTION) for key in _WORDS if key in tamed}

    def _inside(self, value: Any, above: tuple[str, ...], depth: int) -> Any:
        if isinstance(value, list):
            for inner in value:
                self._count("", inner, depth)
            return [self._inside(inner, above, depth + 1) for inner in value]
        return self.tame(value, above, depth) if isinstance(value, Mapping) else value

    def _follow(self, schema: Mapping[str, Any], above: tuple[str, ...]) -> tuple[Mapping[str, Any], tuple[str, ...]]:
        """What ``schema`` refers to, with what it says beside that; any value where it comes back to itself."""
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        name = schema["$ref"]
        if name in above:
            return beside, above
        found: Any = self._root
        for part in name.removeprefix("#").split("/")[1:] if isinstance(name, str) and name[:1] == "#" else [None]:
            part = part and part.replace("~1", "/").replace("~0", "~")
            found = found.get(part) if isinstance(found, Mapping) else None
        if not isinstance(found, Mapping):
            raise Unfit(f"has a schema that refers to {plain(repr(name), 60)}, which it does not hold")
        merged = {**found, **beside}
        return self._follow(merged, (*above, name)) if "$ref" in merged else (merged, (*above, name))

    def _count(self, key: str, value: Any, depth: int) -> None:
        inner = isinstance(value, Mapping | list) and key not in _INERT  # is counted when it is come to
        self._left -= len(key) + (4 if inner else len(json.dumps(value)))
        if self._left < 0:
            raise Unfit(f"has a schema of more than {LARGEST_SCHEMA:,} characters")
        if depth > DEEPEST_SCHEMA:
            raise Unfit("has a schema that is nested too deeply")


def _named(parameter: str) -> str:
    if parameter != plain(parameter, LONGEST_NAME):
        raise Unfit("has a parameter whose name is too long, or hides something")
    return parameter
