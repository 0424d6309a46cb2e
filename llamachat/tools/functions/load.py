"""Finds the functions of a Python file, or of a package's entry points. Imports the user's code; calls none of it.

It is for the process of the functions: what an import does to ``sys`` must not happen in ours.
"""

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

from llamachat.errors import ConfigError
from llamachat.tools.functions.results import told
from llamachat.tools.functions.signatures import Signature, read_signature
from llamachat.tools.shorten import shorten


def load(source: Mapping[str, Any]) -> list[Signature]:
    """The functions of ``{"file": path}``, or of ``{"objects": {entry point name: "module" or "module:name"}}``.

    Raises ConfigError if it can't be imported or a function can't be described.
    """
    if "file" in source:
        functions = _of_file(Path(source["file"]))
    else:
        functions = [each for name, value in source["objects"].items() for each in _of_object(name, value)]
    found = [read_signature(function) for function in functions]
    names = [signature.name for signature in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"Two functions are named {twice[0]!r}.", "Rename one of them.")
    return found


def _of_file(path: Path) -> list[Callable[..., Any]]:
    functions = _public(_import(path))
    if not functions:
        raise ConfigError(f"{path} defines no public function.", "Write one with def, types and a docstring.")
    return functions


def _import(path: Path) -> ModuleType:
    name = f"functions:{path}"  # no import statement can say this, so nothing is shadowed
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses and typing look up its names
    sys.path.insert(0, str(path.parent.absolute()))  # as if the file were run
    sys.argv = [str(path)]
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        where = f", line {line}" if (line := _line(error, path)) else ""
        raise ConfigError(f"{path}{where} can't be imported: {_told(error)}.", "Mend the file.") from error
    return module


def _told(error: BaseException) -> str:
    return shorten(" ".join(told(error).split()), 500).replace("\n", " ")


def _line(error: BaseException, path: Path) -> int | None:
    """The line of the file that the import stopped at."""
    ours = str(path.absolute())
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == ours]
    own = isinstance(error, SyntaxError) and error.filename == ours
    return error.lineno if isinstance(error, SyntaxError) and own else lines[-1] if lines else None


def _of_object(name: str, value: str) -> list[Callable[..., Any]]:
    """The functions of a module, a function, or a sequence of functions."""
    try:
        found = EntryPoint(name, value, "llamachat.tools").load()
    except BaseException as error:
        raise ConfigError(f"Its {name} = {value} can't be imported: {_told(error)}.", "Update or remove it.") from error
    if isinstance(found, ModuleType):
        functions = _public(found)
    elif isinstance(found, Sequence) and all(map(callable, found)):
        functions = list(found)
    else:
        functions = [found] if callable(found) else []
    if not functions:
        raise ConfigError(f"Its {name} = {value} holds no function.", "Name a module, a function or a list of them.")
    return functions


def _public(module: ModuleType) -> list[Callable[..., Any]]:
    """What ``__all__`` names, else the functions that the module itself defines, less those with a leading ``_``."""
    if hasattr(module, "__all__"):
        named = [getattr(module, name, None) for name in module.__all__]
        return [each for each in named if inspect.isroutine(each) or isinstance(each, partial)]
    found = [each for name, each in vars(module).items() if inspect.isfunction(each) and not name.startswith("_")]
    return list(dict.fromkeys(each for each in found if each.__module__ == module.__name__))
