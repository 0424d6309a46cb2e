"""What a typed Python function looks like to a model: its parameters as a JSON schema. Knows no tool and runs nothing.

The signature becomes the schema by pydantic; docstring_parser reads the docstring (Google, NumPy, Sphinx).
"""

import inspect
import json
import typing
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import docstring_parser
from pydantic import BaseModel, Field, create_model
from pydantic.errors import PydanticUserError
from pydantic_core import to_jsonable_python

from llamachat.errors import ConfigError

_LITERAL_KEYS = frozenset({"default", "enum", "const", "examples"})


@dataclass(frozen=True, slots=True)
class Signature:
    """How ``function`` is described and called."""

    function: Callable[..., Any]
    name: str
    description: str
    _plain: inspect.Signature
    _model: type[BaseModel]

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the parameters."""
        return _schema(self._model)

    def call(self, arguments: Mapping[str, Any]) -> Any:
        """Call with ``arguments`` converted to the types. Raises pydantic's ValidationError if they don't fit."""
        values = self._model.model_validate(arguments)
        given = inspect.BoundArguments(self._plain, OrderedDict())
        for field, name in zip(type(values).model_fields, self._plain.parameters, strict=True):
            if field in values.model_fields_set:
                given.arguments[name] = getattr(values, field)
        return self.function(*given.args, **given.kwargs)


def read_signature(function: Callable[..., Any]) -> Signature:
    """What ``function`` says of itself. A parameter without a type takes anything.

    Raises ConfigError if it has no name, takes ``*args`` or ``**kwargs``, or has types that JSON can't hold.
    """
    name = getattr(function, "__name__", "")
    if not name.isidentifier():
        raise ConfigError(f"{function!r} can't be a tool: it has no name.", "Write it with def.")
    doc = docstring_parser.parse(inspect.getdoc(function) or "")
    notes = {param.arg_name: " ".join((param.description or "").split()) for param in doc.params}
    plain = inspect.signature(function)
    description = " ".join(f"{doc.short_description or ''} {doc.long_description or ''}".split())
    return Signature(function, name, description or name.replace("_", " "), plain, _model(function, name, plain, notes))


def _model(
    function: Callable[..., Any], name: str, signature: inspect.Signature, notes: Mapping[str, str]
) -> type[BaseModel]:
    """The parameters as a pydantic model. Fields are numbered and the names aliases: pydantic reserves some names."""
    try:
        types = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise ConfigError(f"The types of {name} can't be read: {error}.", "Check its annotations.") from error
    fields: dict[str, Any] = {}
    for number, (key, parameter) in enumerate(signature.parameters.items()):
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise ConfigError(f"{name} can't be a tool: it takes *{key}.", "Name each of its parameters.")
        options = {"alias": key, **({"description": notes[key]} if notes.get(key) else {}), **_default(parameter)}
        fields[f"p{number}"] = (types.get(key, Any), Field(**options))
    try:
        model: type[BaseModel] = create_model(name, **fields)
        model.model_json_schema()
    except PydanticUserError as error:
        reason = error.message.splitlines()[0]
        raise ConfigError(f"{name} can't be a tool: {reason}", "Use types that JSON can hold.") from error
    return model


def _default(parameter: inspect.Parameter) -> dict[str, Any]:
    if parameter.default is parameter.empty:
        return {}
    try:
        to_jsonable_python(parameter.default)
    except ValueError:  # optional, but the model is not told the default
        return {"default_factory": lambda: parameter.default}
    return {"default": parameter.default}


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """The model's JSON schema, written as plainly as it can be: small models read it in the prompt."""
    full = model.model_json_schema()
    definitions = full.get("$defs", {})
    properties = {key: _optional(_plain(value, definitions)) for key, value in full.get("properties", {}).items()}
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if "required" in full:
        schema["required"] = full["required"]
    if '"$ref"' in json.dumps(properties):  # a type that holds itself
        schema["$defs"] = definitions
    return schema


def _plain(node: Any, definitions: Mapping[str, Any], inside: tuple[str, ...] = ()) -> Any:
    """``node`` without titles, and with references replaced by what they mean."""
    if isinstance(node, list):
        return [_plain(item, definitions, inside) for item in node]
    if not isinstance(node, dict):
        return node
    if name := node.get("$ref", "").rpartition("/")[2]:
        if name in inside:
            return node
        own = {key: value for key, value in node.items() if key != "$ref"}
        return _plain({**definitions[name], **own}, definitions, (*inside, name))
    return {
        key: {name: _plain(inner, definitions, inside) for name, inner in value.items()} if key == "properties"
        else value if key in _LITERAL_KEYS
        else _plain(value, definitions, inside)
        for key, value in node.items()
        if key != "title"
    }  # fmt: skip


def _optional(schema: dict[str, Any]) -> dict[str, Any]:
    """``x: T | None = None`` as a T that need not be given."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    if "default" not in schema or schema["default"] is not None or len(choices) != 1:
        return schema
    return {**choices[0], **{key: value for key, value in schema.items() if key not in ("anyOf", "default")}}
