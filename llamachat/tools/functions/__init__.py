"""Zero-shot functions: a typed Python function, or a JSON schema with something to run, becomes a tool. Knows no model.

A file of functions runs in a process of its own (functions_process.py); only what a program passes in as an object
runs in ours.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from llamachat.errors import ConfigError
from llamachat.threads import in_thread
from llamachat.tools import Permission, Tool, ToolOutput
from llamachat.tools.functions.endpoints import load_endpoints
from llamachat.tools.functions.process import SECONDS, FunctionProcess, file_source
from llamachat.tools.functions.results import awaited, failed, settle_async
from llamachat.tools.functions.signatures import read_signature
from llamachat.tools.schemas import read_spec


def load_functions(path: Path, *, timeout: float = SECONDS) -> list[Tool]:
    """The tools of a file, in its order: every public function that ``FILE.py`` defines, or every entry of
    ``FILE.json`` (see ``load_endpoints``). They ask before they run. ``timeout`` is in seconds per call.

    The Python file is imported by a process of its own, which lives until the tools are closed or the program ends.
    Raises ConfigError with the file's own error if it can't be loaded, or defines none.
    """
    if not path.is_file():
        raise ConfigError(f"There is no file {path}.", "Check its name.")
    if path.suffix == ".json":
        return load_endpoints(path, timeout=timeout)
    if path.suffix != ".py":
        raise ConfigError(f"{path} is neither a Python nor a JSON file.", "Its name must end in .py or .json.")
    return FunctionProcess(file_source(path), timeout).tools()


def function_tool(function: Callable[..., Any], *, timeout: float = SECONDS, permission: Permission = "allow") -> Tool:
    """A tool of a function with named parameters, for programs that use llamachat as a library.

    It runs in this process, and at once by default: who passes a function in has chosen it. Arguments are converted to
    the annotated types (dates, enums, dataclasses, pydantic models). The result is JSON; an exception is
    ``{"error": "Type: message"}``. Async functions are awaited, others run in a thread, which goes on by itself after
    ``timeout`` seconds: Python can't end threads. Raises ConfigError if it can't be described to a model.
    """
    signature = read_signature(function)

    async def run(arguments: Mapping[str, Any]) -> ToolOutput:
        async def work() -> Any:
            return await awaited(await in_thread(lambda: signature.call(arguments)))

        return await _answer(work(), timeout)

    return Tool(
        signature.name, signature.description, signature.schema, run, permission=permission, source="this program"
    )


def schema_tool(
    spec: Mapping[str, Any], run: Callable[[Mapping[str, Any]], Awaitable[Any]], *, timeout: float = SECONDS
) -> Tool:
    """A tool of ``{"name", "description", "parameters"}``, or of OpenAI's ``{"type": "function", "function": {…}}``.

    ``run`` gets arguments that fit the schema; what it gives becomes JSON. Raises ConfigError if ``spec`` is wrong.
    """
    known = read_spec(spec)

    async def call(arguments: Mapping[str, Any]) -> ToolOutput:
        return await _answer(run(arguments), timeout)

    return Tool(known.name, known.description, known.parameters, call, source="this program")


async def _answer(work: Awaitable[Any], seconds: float) -> ToolOutput:
    """What ``work`` gives, or what went wrong with it, in at most so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            return await settle_async(work)
    except TimeoutError:
        return failed(f"TimeoutError: no answer in {seconds:g} s")
