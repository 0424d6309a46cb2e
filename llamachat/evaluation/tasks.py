"""What a task is, and the reader of task files: one JSON object a line, checked before anything runs.

Functions and the web are answered by the task itself: ``returns`` holds what a function says to which arguments, and
every search finds all of ``search_corpus``.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from pydantic import ConfigDict, TypeAdapter, ValidationError

from llamachat.errors import ConfigError

_STRICT = ConfigDict(strict=True)
_CLOSED = ConfigDict(strict=True, extra="forbid")  # an expectation with a slip in its name must not hold by itself
BUILTIN = ("python", "search")


@dataclass(frozen=True, slots=True)
class Call:
    """A call, made or expected. Of ``python`` and ``search`` only the name is compared."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class Expect:
    """What must hold of a turn; what is None is not looked at."""

    answer_any: tuple[str, ...] | None = None
    answer_all: tuple[str, ...] | None = None
    answer_none: tuple[str, ...] | None = None
    calls: tuple[Call, ...] | None = None
    """The function calls of the turn, exactly these; python and search at least once if they are among them."""
    ordered: bool = False
    no_call: bool = False
    max_words: int | None = None
    regex: str | None = None
    __pydantic_config__ = _CLOSED


@dataclass(frozen=True, slots=True)
class Turn:
    """What the user says, and what is expected of the answer."""

    user: str
    expect: Expect = Expect()
    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class Return:
    """``value`` is what a function says if all arguments of ``when`` match; None matches anything."""

    when: Mapping[str, Any] | None
    value: Any
    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class Function:
    """A function as the model sees it, and what it returns: the first entry that matches."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    returns: tuple[Return, ...] = ()
    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class Document:
    """A search result."""

    title: str
    url: str
    body: str
    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class Task:
    """A dialog to be held: its user's side, the tools that are on, what they have to say."""

    id: str
    category: str
    turns: tuple[Turn, ...]
    persona: str | None = None
    tools: tuple[Literal["python", "search"], ...] = ()
    functions: tuple[Function, ...] = ()
    search_corpus: tuple[Document, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    """Text by name, in the folder that python works in."""
    __pydantic_config__ = _STRICT


_TASK: TypeAdapter[Task] = TypeAdapter(Task)


def read_tasks(path: Path) -> tuple[Task, ...]:
    """The tasks of a file. Raises ConfigError: one sentence, with the number of the line that is wrong."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise ConfigError(f"Can't read {path}: {error.strerror}.", "Give the path of a file of tasks.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8.", "Give a text file with one JSON object a line.") from error
    tasks: dict[str, Task] = {}
    for number, line in enumerate(lines, 1):
        if line.strip():
            task = _read(line, f"{path}, line {number}")
            if task.id in tasks:
                raise ConfigError(f"{path}, line {number}: there is a task {task.id!r} already.", "Rename one of them.")
            tasks[task.id] = task
    if not tasks:
        raise ConfigError(f"There are no tasks in {path}.", "Each line is one task, a JSON object.")
    return tuple(tasks.values())


def _read(line: str, where: str) -> Task:
    try:
        task = _TASK.validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
        trouble = f"{place}: {first['msg']}" if place else first["msg"]
        raise ConfigError(f"{where}: {trouble}.", "Mend the line, or take it out.") from error
    if problem := next(_problems(task), ""):
        raise ConfigError(f"{where}: {problem}.", "Mend the line, or take it out.")
    return task


def _problems(task: Task) -> Iterator[str]:
    """What no type can say."""
    if not (task.id and task.category and task.turns):
        yield "a task needs an id, a category and a turn"
    for name in task.files:
        if name in ("", ".", "..") or Path(name).name != name or "\0" in name:
            yield f"a file can't be called {name!r}"
    names = [function.name for function in task.functions]
    for function in task.functions:
        if function.name in BUILTIN or names.count(function.name) > 1:
            yield f"the function name {function.name!r} is taken"
        yield from _schema_problems(function)
    for turn in task.turns:
        yield from _expect_problems(turn.expect)


def _schema_problems(function: Function) -> Iterator[str]:
    try:
        Draft202012Validator.check_schema(function.parameters)
    except SchemaError as error:
        yield f"the parameters of {function.name} are no JSON schema ({error.message})"
    if not isinstance(function.parameters.get("properties", {}), dict):
        yield f"the parameters of {function.name} have no properties"


def _expect_problems(expect: Expect) -> Iterator[str]:
    if not all((*(expect.answer_any or ()), *(expect.answer_all or ()), *(expect.answer_none or ()))):
        yield "an expected answer is empty"
    try:
        re.compile(expect.regex or "")
    except re.error as error:
        yield f"the regex is wrong ({error})"
