"""Whether arguments fit a JSON schema, said so that a model can mend them. Knows no tool.

The checking itself is the library jsonschema's.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator, SchemaError, ValidationError

MAX_PROBLEMS = 8


def problems(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> list[str]:
    """One line per argument that does not fit ``schema``; empty if all fit. Unknown arguments do not fit."""
    closed = {"additionalProperties": False, **schema} if "properties" in schema else schema
    errors = sorted(Draft202012Validator(closed).iter_errors(dict(arguments)), key=lambda e: [str(p) for p in e.path])
    return [line for error in errors for line in _lines(error)][:MAX_PROBLEMS]


def check_schema(schema: Mapping[str, Any]) -> str | None:
    """Why ``schema`` can't describe a function's parameters, or None if it can."""
    if schema.get("type") != "object":
        return 'the schema of the parameters must have "type": "object"'
    try:
        Draft202012Validator.check_schema(dict(schema))
    except SchemaError as error:
        return error.message
    return None


def _lines(error: ValidationError) -> Iterator[str]:
    where = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        yield f"{where + '.' if where else ''}{missing[0]}: missing, required" if missing else error.message
    elif error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
        known = list(error.schema.get("properties", {}))
        for name in sorted(set(error.instance) - set(known)):
            yield f"{name}: unknown argument; known: {', '.join(known) or 'none'}"
    else:
        yield f"{where or 'arguments'}: {_short(error.message)}"


def _short(message: str, limit: int = 200) -> str:
    return message if len(message) <= limit else message[: limit - 1] + "…"
