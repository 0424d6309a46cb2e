"""Whether a turn meets its expectations, and why not. Pure functions of a task, a reply and calls; runs no model."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llamachat.evaluation.matching import contains, same, straight, words_only
from llamachat.evaluation.tasks import BUILTIN, Call, Expect, Function, Task, Turn


def problem(task: Task, turn: Turn, reply: str, calls: Sequence[Call]) -> str:
    """Why ``turn`` fails, in a few words, or an empty string if it passes. ``calls`` are all of the turn, in order."""
    if not reply.strip():
        return "empty reply"
    if words_only(reply) and words_only(reply) == words_only(turn.user):
        return "echo of the question"
    if "<|" in reply and "|>" in reply:
        return "special token in the reply"
    if turn.expect.no_call and calls:
        return "unexpected call"
    found = (*_call_problems(task, turn.expect, calls), *_text_problems(turn.expect, reply))
    return found[0] if found else ""


def _call_problems(task: Task, expect: Expect, calls: Sequence[Call]) -> Iterator[str]:
    if expect.calls is None:
        return
    made = {call.name for call in calls}
    yield from (f"{c.name} not called" for c in expect.calls if c.name in BUILTIN and c.name not in made)
    wanted = [call for call in expect.calls if call.name not in BUILTIN]
    left = without_repeats(task, [call for call in calls if call.name not in BUILTIN])
    if len(left) != len(wanted):
        yield f"{len(left)} function calls instead of {len(wanted)}"
        return
    for call in wanted:
        candidates = left[:1] if expect.ordered else left
        match = next((i for i, other in enumerate(candidates) if _same_call(task, call, other)), None)
        if match is None:
            yield f"no such call of {call.name}"
            return
        del left[match]


def without_repeats(task: Task, calls: Sequence[Call]) -> list[Call]:
    """``calls`` without those that try once more what has failed."""
    kept: list[Call] = []
    for call in calls:
        result = answer(task, call)
        failed = isinstance(result, Mapping) and "error" in result
        if not (failed and any(_same_call(task, call, other) for other in kept)):
            kept.append(call)
    return kept


def _same_call(task: Task, one: Call, other: Call) -> bool:
    return one.name == other.name and same(completed(task, one), completed(task, other))


def _text_problems(expect: Expect, reply: str) -> Iterator[str]:
    text = straight(reply)
    if expect.answer_any is not None and not any(contains(reply, needle) for needle in expect.answer_any):
        yield "answer_any"
    if not all(contains(reply, needle) for needle in expect.answer_all or ()):
        yield "answer_all"
    if any(straight(needle).lower() in text.lower() for needle in expect.answer_none or ()):
        yield "answer_none"
    if expect.max_words is not None and len(reply.split()) > expect.max_words:
        yield "max_words"
    if expect.regex is not None and not re.search(expect.regex, text.strip()):
        yield "regex"


def find(task: Task, name: str) -> Function | None:
    """The function of the task called ``name``."""
    return next((function for function in task.functions if function.name == name), None)


def completed(task: Task, call: Call) -> dict[str, Any]:
    """The arguments of ``call`` with the schema's defaults, and without optional ones that are null or empty."""
    function = find(task, call.name)
    if function is None:
        return dict(call.arguments)
    required = function.parameters.get("required", ())
    given = {name: value for name, value in call.arguments.items() if name in required or value not in (None, "")}
    properties = function.parameters.get("properties", {}).items()
    defaults = {name: schema["default"] for name, schema in properties if "default" in schema}
    return {**defaults, **given}


def answer(task: Task, call: Call) -> Any:
    """What the task's function says to ``call``."""
    function = find(task, call.name)
    if function is None:
        return {"error": "no such function"}
    given = completed(task, call)
    for entry in function.returns:
        if all(name in given and same(given[name], value) for name, value in (entry.when or {}).items()):
            return entry.value
    return {"error": "nothing found for these arguments"}
