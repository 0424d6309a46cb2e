"""The tools of one task: the real python with the task's files, and functions and a search that the task answers."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llamachat.evaluation.scoring import answer
from llamachat.evaluation.tasks import Call, Function, Task
from llamachat.protocol import BUILTIN_TOOLS, CODE_INTERPRETER
from llamachat.tools import Tool, Toolbox, ToolOutput
from llamachat.tools.python import PythonSession

_QUERY = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}


def toolbox(task: Task, python: Tool) -> Toolbox:
    """What the model may call. ``python`` is that of this task alone."""
    tools = [_function(task, function) for function in task.functions]
    if "python" in task.tools:
        tools.append(python)
    if "search" in task.tools:
        tools.append(_search(task))
    return Toolbox(tuple(tools))


def place_files(task: Task, python: PythonSession) -> None:
    """Put the task's files where its python works. Raises StorageError."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in task.files.items():
            file = Path(folder) / name
            file.write_bytes(text.encode("utf-8", "surrogatepass"))
            python.attach(file)


def plain_name(called: str) -> str:
    """The name that expectations have for a tool, of the one that the model uses."""
    return "python" if called == CODE_INTERPRETER else "search" if called in BUILTIN_TOOLS else called


def _function(task: Task, function: Function) -> Tool:
    async def run(arguments: Mapping[str, Any]) -> ToolOutput:
        value = answer(task, Call(function.name, arguments))
        return ToolOutput(json.dumps(value, ensure_ascii=False), not (isinstance(value, dict) and "error" in value))

    return Tool(function.name, function.description, function.parameters, run)


def _search(task: Task) -> Tool:
    found = [{"title": document.title, "url": document.url, "text": document.body} for document in task.search_corpus]

    async def run(_: Mapping[str, Any]) -> ToolOutput:
        return ToolOutput(json.dumps(found, ensure_ascii=False))

    return Tool("search", "Searches the web.", _QUERY, run, "builtin", "brave_search")
