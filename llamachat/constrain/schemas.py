"""JSON schemas as shapes: never narrower than the schema, and as wide only where it can't be told byte by byte.

Left to the check of the finished call: sizes of values (minimum, minLength, …), pattern, format, uniqueItems, not, if,
and more than one schema at once (allOf, anyOf beside a type), of which one is held to.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from jsonschema import Draft202012Validator

from llamachat.constrain.containers import ANYTHING, Array, ArrayKind, Object, ObjectKind, Shapes
from llamachat.constrain.quotations import Quoted, Said
from llamachat.constrain.scalars import FALSE, NULL, TRUE, Number, Text, scalars
from llamachat.constrain.stacks import Shape

_TYPES = ("string", "number", "boolean", "null", "object", "array")
_MAX_REFERENCES = 32  # one pointing to the next; a ring of them says nothing


@dataclass(slots=True, eq=False)
class Schemas:
    """Shapes of the parts of one schema. The same part gives the same shapes, so that equal readings are one.

    ``mended``: null for an optional key counts as not given, as the toolbox has it (``tools.schemas.coerce``).
    ``said``: strings are quoted from it, unless the schema says something of their form, and numbers, if it has some.
    """

    root: Mapping[str, Any]
    mended: bool = True
    said: Said | None = None
    _known: dict[str, Shapes] = field(default_factory=dict)
    _strict: "Schemas | None" = None

    @property
    def strict(self) -> "Schemas":
        """The same for parts that the toolbox doesn't mend."""
        if self._strict is None:
            self._strict = Schemas(self.root, mended=False, said=self.said) if self.mended else self
        return self._strict

    @property
    def required(self) -> list[Any]:
        """The schemas of what an object must have."""
        known = self.root.get("properties", {})
        return [known[key] for key in self.root.get("required", ()) if key in known]

    def shapes(self, schema: Any) -> Shapes:
        """What fits ``schema``: any of these."""
        key = json.dumps(schema, sort_keys=True, default=str)
        if key not in self._known:
            self._known[key] = ()  # a schema that is a choice of itself adds nothing to the choice
            self._known[key] = tuple(dict.fromkeys(self._compile(schema)))
        return self._known[key]

    def _compile(self, schema: Any) -> Shapes:
        schema = self._resolved(schema)
        if schema is False:
            return ()
        if not isinstance(schema, Mapping):
            return ANYTHING
        types = schema.get("type", ())
        types = (types,) if isinstance(types, str) else tuple(types)
        if "const" in schema or "enum" in schema:
            values = [schema["const"]] if "const" in schema else schema["enum"]
            fits = Draft202012Validator({"type": list(types)} if types else {}).is_valid
            return self._values([value for value in values if fits(value)])
        choices = schema.get("anyOf") or schema.get("oneOf")
        if choices and not types:
            return tuple(shape for choice in choices for shape in self.shapes(choice))
        if schema.get("allOf") and not types:
            return self.shapes(schema["allOf"][0])
        return tuple(shape for name in types or _TYPES for shape in self._typed(name, schema))

    def _typed(self, name: str, schema: Mapping[str, Any]) -> Shapes:
        if name == "object":
            return (Object(_Fields(self, schema)),)
        if name == "array":
            return (Array(_Items(self, schema)),)
        plain: dict[str, Shapes] = {
            "string": (self._text(schema),),
            "number": (self._number(integer=False),),
            "integer": (self._number(integer=True),),
            "boolean": TRUE + FALSE,
            "null": NULL,
        }
        return plain.get(name, ANYTHING)

    def _text(self, schema: Mapping[str, Any]) -> Shape:
        formed = schema.keys() & {"maxLength", "pattern", "format"}
        return Text(_length(schema.get("maxLength"))) if self.said is None or formed else Quoted(self.said)

    def _number(self, *, integer: bool) -> Shape:
        return Number(integer, (self.said.those(integer=integer) or None) if self.said else None)

    def unsaid(self, schema: Any) -> bool:
        """Whether ``schema`` wants a number that must be quoted, and none was said."""
        schema = self._resolved(schema)
        kind = schema.get("type") if isinstance(schema, Mapping) and not schema.keys() & {"enum", "const"} else None
        return (
            self.said is not None and kind in ("integer", "number") and not self.said.those(integer=kind == "integer")
        )

    def _values(self, values: list[Any]) -> Shapes:
        found = scalars(value for value in values if not isinstance(value, Mapping | list))
        for value in values:
            if isinstance(value, Mapping):
                members = {key: {"const": inner} for key, inner in value.items()}
                closed = {"properties": members, "required": list(value), "additionalProperties": False}
                found += self.strict.shapes({"type": "object", **closed})
            elif isinstance(value, list):
                exact = {"prefixItems": [{"const": inner} for inner in value], "items": False}
                found += self.strict.shapes({"type": "array", "minItems": len(value), **exact})
        return found

    def _resolved(self, schema: Any) -> Any:
        """Local references followed; one that leads nowhere says nothing."""
        for _ in range(_MAX_REFERENCES):
            reference = schema.get("$ref") if isinstance(schema, Mapping) else None
            if not isinstance(reference, str):
                return schema
            schema = self.root
            for key in reference.removeprefix("#").removeprefix("/").split("/") if reference != "#" else ():
                plain = key.replace("~1", "/").replace("~0", "~")
                schema = schema.get(plain, True) if isinstance(schema, Mapping) else True
        return True


def _length(said: Any) -> int | None:
    return int(said) if isinstance(said, int | float) and said >= 0 else None


@dataclass(slots=True, eq=False)
class _Fields(ObjectKind):
    """An object as a schema describes it."""

    schemas: Schemas
    schema: Mapping[str, Any]

    def keys(self, seen: frozenset[str]) -> Collection[str] | None:
        other = self.schema.get("additionalProperties", True)
        patterns = self.schema.get("patternProperties")
        return None if other is not False or patterns else self._known.keys() - seen

    def members(self, key: str, seen: frozenset[str]) -> list[tuple[Shapes, ObjectKind]]:
        if key not in self._known:
            other = "patternProperties" in self.schema or self.schema.get("additionalProperties", True)
            return [(self.schemas.strict.shapes(other), self)]
        shapes = self.schemas.shapes(self._known[key])
        if not self.schemas.mended or key in self.schema.get("required", ()):
            return [(shapes, self)]
        return [(NULL if self.schemas.unsaid(self._known[key]) else tuple(dict.fromkeys((*shapes, *NULL))), self)]

    def complete(self, seen: frozenset[str]) -> bool:
        return all(key in seen for key in self.schema.get("required", ()))

    @property
    def _known(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.schema.get("properties", {})
        return found


@dataclass(slots=True, eq=False)
class _Items(ArrayKind):
    """An array as a schema describes it."""

    schemas: Schemas
    schema: Mapping[str, Any]

    def items(self, count: int) -> Shapes:
        if count >= self.schema.get("maxItems", count + 1):
            return ()
        prefix = self.schema.get("prefixItems", ())
        if count < len(prefix):
            return self.schemas.strict.shapes(prefix[count])
        return self.schemas.shapes(self.schema.get("items", True))

    def complete(self, count: int) -> bool:
        least: int = self.schema.get("minItems", 0)
        return count >= least
