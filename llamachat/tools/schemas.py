"""Whether arguments fit a JSON schema, said so that a model can mend them. Knows no tool.

The checking itself is the library jsonschema's; the words are ours, one line per argument.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from jsonschema import Draft202012Validator, SchemaError, ValidationError
from referencing.exceptions import Unresolvable

from llamachat.errors import ConfigError
from llamachat.literals import read_json
from llamachat.offer import FunctionSpec

MAX_PROBLEMS = 8
_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_UNUSABLE = (RecursionError, ArithmeticError, re.error, Unresolvable)
"""What the validator raises on a schema that refers to itself and the like, which its own check lets pass."""
_KINDS = ("type", "enum", "const", "anyOf", "oneOf")
_LIMITS = {
    "minLength": "must have at least {} characters",
    "maxLength": "must have at most {} characters",
    "minItems": "must have at least {} items",
    "maxItems": "must have at most {} items",
    "pattern": "must match {}",
    "const": "must be {}",
}
_NAME = re.compile(r"[A-Za-z_][\w.-]{0,63}")


def coerce(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """``arguments`` with the slips mended that leave no doubt; what doesn't fit stays for ``problems`` to name.

    2.0 where a whole number is due becomes 2. A string that doesn't fit but is the JSON of a value that does becomes
    that value: "10", "True", "[1, 2]". null for an optional parameter that takes no null counts as not given.
    """
    try:
        mended = _Mender(schema).mend(schema, dict(arguments))
    except _UNUSABLE:  # as ``problems`` will tell
        return dict(arguments)
    return mended if isinstance(mended, dict) else dict(arguments)


def problems(schema: Mapping[str, Any], arguments: Mapping[str, Any], name: str = "the function") -> list[str]:
    """One line per argument that does not fit ``schema``; empty if all fit. Unknown arguments do not fit.

    ``name`` is what the model calls.
    """
    closed = {"additionalProperties": False, **schema} if "properties" in schema else dict(schema)
    try:
        errors = sorted(
            Draft202012Validator(closed).iter_errors(dict(arguments)), key=lambda e: [str(p) for p in e.path]
        )
    except _UNUSABLE as error:
        return [f"{name} can't be called, its schema is broken: {type(error).__name__}"]
    lines = [line for error in errors for line in _lines(error, closed, name)]
    return list(dict.fromkeys([*lines, *_unfit(arguments)]))[:MAX_PROBLEMS]


def check_schema(schema: Mapping[str, Any]) -> str | None:
    """Why ``schema`` can't describe a function's parameters, or None if it can."""
    if schema.get("type") != "object":
        return 'the schema of the parameters must have "type": "object"'
    try:
        Draft202012Validator.check_schema(dict(schema))
    except SchemaError as error:
        return error.message
    lost = [name for name in _references(schema) if _resolved(schema, {"$ref": name}) is None]
    return f"the schema refers to {lost[0]!r}, which it does not hold" if lost else None


def read_spec(spec: Mapping[str, Any]) -> FunctionSpec:
    """``{"name", "description", "parameters"}``, or OpenAI's ``{"type": "function", "function": {…}}``, checked.

    Raises ConfigError if it can't be offered to a model.
    """
    inner = spec["function"] if isinstance(spec.get("function"), Mapping) else spec
    name, parameters = inner.get("name"), inner.get("parameters", {"type": "object", "properties": {}})
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} can't be the name of a function.", "Use letters, digits, '_', '-' and '.'.")
    wrong = check_schema(parameters) if isinstance(parameters, Mapping) else "the parameters must be an object"
    if wrong:
        raise ConfigError(f"The function {name} can't be offered: {wrong}.", "Mend its JSON schema.")
    return FunctionSpec(name, str(inner.get("description") or ""), parameters)


def signature(name: str, schema: Mapping[str, Any]) -> str:
    """How ``name`` is called: ``get_weather(city, days=1)``; ``=…`` is a default that the schema doesn't tell."""
    required = schema.get("required", ())
    parameters = []
    for key, inner in schema.get("properties", {}).items():
        default = repr(inner["default"]) if isinstance(inner, Mapping) and "default" in inner else "…"
        parameters.append(key if key in required else f"{key}={default}")
    return f"{name}({', '.join(parameters)})"


class _Mender:
    """Mends values by the parts of one schema, whose ``$ref`` point into it."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._validator = Draft202012Validator(dict(root))

    def fits(self, schema: Any, value: Any) -> bool:
        return self._validator.evolve(schema=schema).is_valid(value)

    def mend(self, schema: Any, value: Any) -> Any:
        schema = _resolved(self._root, schema)
        if not isinstance(schema, Mapping):
            return value
        if (choices := schema.get("anyOf") or schema.get("oneOf")) and not self.fits(schema, value):
            mended = (self.mend(choice, value) for choice in choices)
            return next((new for new in mended if self.fits(schema, new)), value)
        if isinstance(value, dict):
            return self._object(schema, value)
        if isinstance(value, list) and "items" in schema:
            return [self.mend(schema["items"], item) for item in value]
        if isinstance(value, float) and schema.get("type") == "integer" and value.is_integer():
            return int(value)
        if isinstance(value, str) and not self.fits(schema, value):
            return self._string(schema, value)
        return value

    def _object(self, schema: Mapping[str, Any], value: dict[str, Any]) -> dict[str, Any]:
        known, required = schema.get("properties", {}), schema.get("required", ())
        mended = {}
        for key, inner in value.items():
            new = self.mend(known[key], inner) if key in known else inner
            if new is not None or key not in known or key in required or self.fits(known[key], None):
                mended[key] = new
        return mended

    def _string(self, schema: Any, value: str) -> Any:
        reading = read_json(value)
        if reading.problem or isinstance(reading.value, str) or value[reading.end :].strip():
            return value
        new = self.mend(schema, reading.value)
        return new if self.fits(schema, new) else value


def _resolved(root: Mapping[str, Any], schema: Any) -> Any:
    """What a local reference means, None if nothing; any other schema is itself."""
    reference = schema.get("$ref") if isinstance(schema, Mapping) else None
    if reference is None:
        return schema
    if not reference.startswith("#/"):
        return root if reference == "#" else None
    found: Any = root
    for part in unquote(reference[2:]).split("/"):
        key = part.replace("~1", "/").replace("~0", "~")  # RFC 6901
        if isinstance(found, list):
            found = found[int(key)] if key.isdecimal() and int(key) < len(found) else None
        else:
            found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for inner in schema.values():
            yield from _references(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _references(inner)


def _lines(error: ValidationError, schema: Mapping[str, Any], name: str) -> Iterator[str]:
    where = _where(error.absolute_path)
    rule: Any = error.validator_value
    if error.validator == "required" and isinstance(error.instance, Mapping):
        missing = [f"{where}.{key}" if where else key for key in rule if key not in error.instance]
        usage = "" if where else f". {signature(name, schema)}"
        yield f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing{usage}"
    elif error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
        known = error.schema.get("properties", {}) if isinstance(error.schema, Mapping) else {}
        for key in sorted(set(error.instance) - set(known)):
            yield f"{where} has no field {_short(key)}" if where else f"{name} has no parameter {_short(key)}"
    elif nearest := _nearest(error):
        for inner in nearest:
            yield from _lines(inner, schema, name)
    elif error.validator in ("type", "anyOf", "oneOf") and (due := _due(error.schema)):
        yield f"{where or 'the value'} must be {due}, got {_got(error.instance)}"
    elif error.validator == "enum":
        yield f"{where} must be one of {', '.join(map(str, rule))}"
    elif words := _LIMITS.get(str(error.validator)):
        yield f"{where or 'the value'} {words.format(rule)}, got {_got(error.instance)}"
    else:
        yield f"{where or 'the arguments'}: {_cut(error.message)}"


def _nearest(error: ValidationError) -> list[ValidationError]:
    """What is wrong by the choice of an anyOf or oneOf that the value comes nearest to; nothing if it is of no kind
    that is asked for."""
    choices: dict[Any, list[ValidationError]] = {}
    for inner in error.context or ():
        choices.setdefault(inner.schema_path[0], []).append(inner)
    near = [wrong for wrong in choices.values() if all(e.relative_path or e.validator not in _KINDS for e in wrong)]
    return min(near, key=len, default=[])


def _due(schema: Any) -> str:
    """What ``schema`` asks for in plain words; empty if words fail."""
    if not isinstance(schema, Mapping):
        return ""
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        words = [_due(choice) for choice in choices]
        return " or ".join(dict.fromkeys(words)) if all(words) else ""
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    types = schema.get("type", ())
    return " or ".join(_TYPES[t] for t in ([types] if isinstance(types, str) else types))


def _got(value: Any) -> str:
    if isinstance(value, list):
        return "a list"
    return "an object" if isinstance(value, Mapping) else _cut(json.dumps(value, ensure_ascii=False))


def _unfit(value: Any, path: tuple[Any, ...] = ()) -> Iterator[str]:
    """What JSON schema lets pass, and Python, UTF-8 or the next program won't."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _unfit(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _unfit(inner, (*path, index))
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{_where(path)} must be a finite number"
    elif isinstance(value, str) and not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        yield f"{_where(path)} is not valid text: it holds a lone surrogate"


def _where(path: Iterable[Any]) -> str:
    return ".".join(str(part) for part in path)


def _short(key: str) -> str:
    return repr(_cut(key, 60))


def _cut(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
