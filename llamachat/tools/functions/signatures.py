"""What a typed Python function looks like to a model: its parameters as a JSON schema. Knows no tool and runs nothing.

The signature becomes the schema by pydantic; docstring_parser reads the docstring (Google, NumPy, Sphinx).
"""

import functools
import inspect
import json
import re
import typing
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import docstring_parser
from pydantic import BaseModel, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from llamachat.errors import ConfigError, LlamaChatError

LONGEST_DEFAULT = 200  # characters of JSON; a longer one is not told
MOST_INLINED = 64  # types written out where they are used; with more, the schema refers to its $defs
_LITERAL_KEYS = frozenset({"default", "enum", "const", "examples"})
_SHOULD = re.compile(r"[A-Z]\w* should ")
_NOISE = frozenset({"title", "discriminator"})


class ArgumentsRefused(LlamaChatError):
    """The model's arguments don't fit the types of the function; one line per argument."""


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

    @property
    def is_async(self) -> bool:
        """Whether a call gives something to await, and so can be cancelled."""
        return inspect.iscoroutinefunction(self.function) or inspect.isasyncgenfunction(self.function)

    def call(self, arguments: Mapping[str, Any]) -> Any:
        """Call with ``arguments`` converted to the types. Raises ArgumentsRefused if they don't fit."""
        try:
            values = self._model.model_validate(arguments)
        except ValidationError as error:
            raise ArgumentsRefused("\n".join(_lines(error)), "Mend the arguments.") from error
        given = inspect.BoundArguments(self._plain, OrderedDict())
        for field, parameter in zip(type(values).model_fields, self._plain.parameters.values(), strict=True):
            if field in values.model_fields_set or isinstance(parameter.default, FieldInfo):
                given.arguments[parameter.name] = getattr(values, field)
        given.apply_defaults()  # a positional-only parameter that follows one left out could not be given else
        return self.function(*given.args, **given.kwargs)


def read_signature(function: Callable[..., Any]) -> Signature:
    """What ``function`` says of itself. A parameter without a type takes anything; of a ``functools.partial``, what is
    given by keyword becomes a default.

    Raises ConfigError if it has no name, takes ``*args``, ``**kwargs`` or ``self``, or has types that JSON can't hold.
    """
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    name = getattr(inner, "__name__", "")
    if not isinstance(name, str) or not name.isidentifier():
        raise ConfigError(f"{function!r} can't be a tool: it has no name.", "Write it with def.")
    if inspect.isclass(inner):
        raise ConfigError(f"{name} can't be a tool: it is a class.", "Write a function that makes one.")
    doc = docstring_parser.parse(inspect.getdoc(inner) or "")
    notes = {param.arg_name: " ".join((param.description or "").split()) for param in doc.params}
    try:
        plain = inspect.signature(function)
    except (ValueError, TypeError) as error:  # a builtin that does not tell
        raise ConfigError(f"{name} can't be a tool: its parameters are not known.", "Wrap it in a def.") from error
    description = " ".join(f"{doc.short_description or ''} {doc.long_description or ''}".split())
    model = _model(name, plain, _types(inner, name), notes)
    return Signature(function, name, description or name.replace("_", " "), plain, model)


def _types(function: Callable[..., Any], name: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception as error:  # an annotation is code, and may raise anything
        raise ConfigError(f"The types of {name} can't be read: {error}.", "Check its annotations.") from error


def _model(
    name: str, signature: inspect.Signature, types: Mapping[str, Any], notes: Mapping[str, str]
) -> type[BaseModel]:
    """The parameters as a pydantic model. Fields are numbered and the names aliases: pydantic reserves some names."""
    fields: dict[str, Any] = {}
    for number, (key, parameter) in enumerate(signature.parameters.items()):
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
            raise ConfigError(f"{name} can't be a tool: it takes {stars}{key}.", "Name each of its parameters.")
        if number == 0 and key in ("self", "cls") and key not in types:
            raise ConfigError(f"{name} can't be a tool: it takes {key}.", "Give the method of an object.")
        kind = types.get(key, Any)
        if isinstance(parameter.default, FieldInfo):
            kind = Annotated[kind, parameter.default]
        options = {"alias": key, **({"description": notes[key]} if notes.get(key) else {}), **_default(parameter)}
        fields[f"p{number}"] = (kind, Field(**options))
    try:
        model: type[BaseModel] = create_model(f"arguments of {name}", **fields)  # a name that no type can mean
        model.model_json_schema()
    except Exception as error:  # the types may be the user's own classes, and raise anything
        said = error.message if isinstance(error, PydanticUserError) else f"{type(error).__name__}: {error}"
        reason = said.splitlines()[0]
        raise ConfigError(f"{name} can't be a tool: {reason}", "Use types that JSON can hold.") from error
    return model


def _default(parameter: inspect.Parameter) -> dict[str, Any]:
    if parameter.default is parameter.empty or isinstance(parameter.default, FieldInfo):
        return {}
    try:
        text = json.dumps(to_jsonable_python(parameter.default), allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        text = ""
    if not text or len(text) > LONGEST_DEFAULT:  # optional, but the model is not told the default
        return {"default_factory": lambda: parameter.default}
    return {"default": parameter.default}


def _lines(error: ValidationError) -> Iterator[str]:
    """One line per argument, in the words of ``schemas.problems``."""
    for problem in error.errors(include_url=False):
        where = ".".join(map(str, problem["loc"])) or "the arguments"
        said = problem["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        if problem["type"] == "missing":
            yield f"{where} is missing"
        elif match := _SHOULD.match(said):
            yield f"{where} must {said[match.end() :]}, got {_got(problem['input'])}"
        else:
            yield f"{where}: {said}"


def _got(value: Any) -> str:
    text = repr(value) if not isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else text[:99] + "…"


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """The model's JSON schema, written as plainly as it can be: small models read it in the prompt."""
    full = model.model_json_schema()
    writer = _Writer(full.get("$defs", {}))
    schema: dict[str, Any] = {"type": "object", "properties": writer.properties(full.get("properties", {}))}
    if "required" in full:
        schema["required"] = full["required"]
    if definitions := writer.definitions():
        schema["$defs"] = definitions
    return schema


class _Writer:
    """Writes types out where they are used, but for those that hold themselves, and up to ``MOST_INLINED``."""

    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions
        self._left = MOST_INLINED
        self._kept: list[str] = []

    def properties(self, properties: Mapping[str, Any], inside: tuple[str, ...] = ()) -> dict[str, Any]:
        return {key: _optional(self.plain(value, inside)) for key, value in properties.items()}

    def plain(self, node: Any, inside: tuple[str, ...] = ()) -> Any:
        """``node`` without titles, and with references replaced by what they mean."""
        if isinstance(node, list):
            return [self.plain(item, inside) for item in node]
        if not isinstance(node, dict):
            return node
        if name := node.get("$ref", "").rpartition("/")[2]:
            return self._meant(node, name, inside)
        return {
            key: self.properties(value, inside) if key == "properties"
            else value if key in _LITERAL_KEYS
            else self.plain(value, inside)
            for key, value in node.items()
            if key not in _NOISE and not (key == "pattern" and not _is_pattern(value))
        }  # fmt: skip

    def definitions(self) -> dict[str, Any]:
        """What is still referred to. Nothing is written out in here, so it ends."""
        self._left = 0
        found: dict[str, Any] = {}
        while waiting := [name for name in self._kept if name not in found]:
            found[waiting[0]] = self.plain(self._definitions[waiting[0]])
        return found

    def _meant(self, node: Mapping[str, Any], name: str, inside: tuple[str, ...]) -> Any:
        if name in inside or self._left == 0:
            self._kept.append(name)
            return dict(node)
        self._left -= 1
        own = {key: value for key, value in node.items() if key != "$ref"}
        return self.plain({**self._definitions[name], **own}, (*inside, name))


def _is_pattern(value: Any) -> bool:
    """Whether Python can match ``value`` too. pydantic checks it anyway; its regular expressions are those of Rust."""
    try:
        return bool(re.compile(value))
    except re.error:
        return False


def _optional(schema: Any) -> Any:
    """``x: T | None = None`` as a T that need not be given."""
    if not isinstance(schema, dict) or "default" not in schema or schema["default"] is not None:
        return schema
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) != 1:
        return schema
    return {**choices[0], **{key: value for key, value in schema.items() if key not in ("anyOf", "default")}}
