"""Zero-shot functions: a typed Python function, or a JSON schema with something to run, becomes a tool. Knows no model.

Functions are the user's own code: they run in our process, and what they print goes where the program prints.
"""

import asyncio
import importlib.util
import inspect
import itertools
import json
import re
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_jsonable_python

from llamachat.errors import ConfigError
from llamachat.protocol import frame_failure
from llamachat.threads import in_thread
from llamachat.tools import Tool, ToolOutput
from llamachat.tools.schemas import check_schema
from llamachat.tools.shorten import printable, shorten
from llamachat.tools.signatures import read_signature

SECONDS = 30.0
MAX_RESULT = 16 << 10  # characters of a result that the model sees
MAX_ITEMS = 1000  # of an iterator, which may be endless

_NAME = re.compile(r"[A-Za-z_][\w.-]{0,63}")


def function_tool(function: Callable[..., Any], *, timeout: float = SECONDS) -> Tool:
    """A tool of a function with named parameters; ``timeout`` is in seconds.

    Arguments are converted to the annotated types (dates, enums, dataclasses, pydantic models). The result is JSON; an
    exception is ``{"error": "Type: message"}``. Async functions are awaited, others run in a thread, which goes on by
    itself after a timeout: Python can't end threads. Raises ConfigError if it can't be described to a model.
    """
    signature = read_signature(function)

    async def run(arguments: Mapping[str, Any]) -> ToolOutput:
        return await _answer(lambda: signature.call(arguments), timeout)

    return Tool(signature.name, signature.description, signature.schema, run)


def schema_tool(
    spec: Mapping[str, Any], run: Callable[[Mapping[str, Any]], Awaitable[Any]], *, timeout: float = SECONDS
) -> Tool:
    """A tool of ``{"name", "description", "parameters"}``, or of OpenAI's ``{"type": "function", "function": {…}}``.

    ``run`` gets arguments that fit the schema; what it gives becomes JSON. Raises ConfigError if ``spec`` is wrong.
    """
    inner = spec["function"] if isinstance(spec.get("function"), Mapping) else spec
    name, parameters = inner.get("name"), inner.get("parameters", {"type": "object", "properties": {}})
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} can't be the name of a function.", "Use letters, digits, '_', '-' and '.'.")
    wrong = check_schema(parameters) if isinstance(parameters, Mapping) else "the parameters must be an object"
    if wrong:
        raise ConfigError(f"The function {name} can't be offered: {wrong}.", "Mend its JSON schema.")

    async def call(arguments: Mapping[str, Any]) -> ToolOutput:
        return await _answer(lambda: run(arguments), timeout)

    return Tool(name, str(inner.get("description", "")), parameters, call)


def load_functions(path: Path) -> list[Tool]:
    """A tool of every public function that the Python file ``path`` defines, in its order.

    Raises ConfigError with the file's own error if it can't be imported, or defines none.
    """
    module = _import(path)
    names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    functions = [value for name in names if inspect.isfunction(value := getattr(module, name, None))]
    own = [function for function in functions if function.__module__ == module.__name__]
    if not own:
        raise ConfigError(f"{path} defines no public function.", "Write one with def, types and a docstring.")
    return [function_tool(function) for function in own]


def _import(path: Path) -> ModuleType:
    name = f"functions:{path}"  # no import statement can say this, so nothing is shadowed
    if not path.is_file():
        raise ConfigError(f"There is no file {path}.", "Check its name.")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is not a Python file.", "Its name must end in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses and typing look up its names
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
        where = f", line {line}" if line else ""
        raise ConfigError(f"{path}{where} can't be imported: {_told(error)}.", "Mend the file.") from error
    return module


async def _answer(call: Callable[[], Any], seconds: float) -> ToolOutput:
    """What ``call`` gives, or what went wrong with it, in at most so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            return await _result(call)
    except TimeoutError:
        return _failed(f"TimeoutError: no answer in {seconds:g} s")


async def _result(call: Callable[[], Any]) -> ToolOutput:
    try:
        value = await in_thread(call)
        if inspect.isawaitable(value):
            value = await value
        if isinstance(value, ToolOutput):
            return value
        return ToolOutput(shorten(printable(await in_thread(lambda: _as_json(value))), MAX_RESULT))
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False))
        return ToolOutput(frame_failure("\n".join(lines)), ok=False)
    except (Exception, SystemExit) as error:  # noqa: BLE001 whatever the function raises is its result
        return _failed(_told(error))


def _as_json(value: Any) -> str:
    """``value`` as JSON: dataclasses, models, enums, dates and sets too; what JSON can't hold is its repr."""
    if isinstance(value, Iterator):
        value = list(itertools.islice(value, MAX_ITEMS))
    try:
        return json.dumps(to_jsonable_python(value, fallback=_fallback), ensure_ascii=False)
    except (ValueError, RecursionError):  # circular, too deep, bytes that are no text, …
        return json.dumps(repr(value), ensure_ascii=False)


def _fallback(value: Any) -> Any:
    tolist = getattr(value, "tolist", None)  # numpy's and pandas' arrays and scalars
    return tolist() if callable(tolist) else repr(value)


def _failed(message: str) -> ToolOutput:
    return ToolOutput(shorten(printable(json.dumps({"error": message}, ensure_ascii=False)), MAX_RESULT), ok=False)


def _told(error: BaseException) -> str:
    """``Type: message``, also if str() of the error fails."""
    lines = traceback.format_exception_only(error)  # of a SyntaxError, the indented place comes first
    text = next(line for line in lines if not line.startswith(" "))
    return text.strip().removeprefix(f"{type(error).__module__}.")
