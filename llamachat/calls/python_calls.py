"""Calls in Python: lists ``[f(a=1), g()]``, built-ins ``NAME.call(query="…")``, and bare calls ``f(a=1)``.

Every reader takes a text and a position and returns what it found there, or None if that is not in its notation.
"""

import re
from dataclasses import replace

from llamachat.calls.keywords import KeywordCall, balanced_end, read_call, read_call_list
from llamachat.calls.parts import ErrorCode, Found, Judge
from llamachat.literals import Problem, Reading

_NAMED_CALL = re.compile(r"(?<![\w.-])([A-Za-z_][\w.-]*)\s*\(")
_LIST = re.compile(r"\[[\s\[]{0,9}[A-Za-z_][\w.-]*\s*\(")
_DOT_CALL = re.compile(r"([A-Za-z_][\w.-]*)\.call\s*\(")
_COMPREHENSION = re.compile(r"\)\s*for\s")
_LOOSE_QUERY = re.compile(r"""\s*(?:query\s*=\s*)?(["'])([^\n]{0,2000})\1\s*\)(?=[ \t;,.]*(?:\n|\Z))""")
_ERRORS: dict[Problem, ErrorCode] = {
    "bad": "bad_python",
    "incomplete": "bad_python",  # … and no parenthesis could complete it
    "non_literal": "non_literal_argument",
    "positional": "positional_arguments",
}


def call_list(judge: Judge, text: str, start: int = 0) -> Found | None:
    """``[f(a=1), g()]``. A broken list counts only if it names something that is offered; then nothing of it runs."""
    if not _LIST.match(text, start):
        return None
    reading = read_call_list(text, start)
    issues: tuple[str, ...] = ()
    if reading.problem == "incomplete" and reading.closers in ("]", ")]") and not judge.cut:
        reading, issues = read_call_list(text + reading.closers, start), ("repaired_close",)
    if not reading.problem:
        end = min(reading.end, len(text))
        parts = tuple(judge.resolve(call.name, call.arguments, *issues) for call in reading.value)
        return None if text.startswith("(", end) else Found(parts, end)  # "[f()](url)" is a link
    end = balanced_end(text, start) or len(text)
    named = any(match[1] in judge.offered for match in _NAMED_CALL.finditer(text, start, end))
    if not named or text.startswith("(", end) or (judge.offered.code and _COMPREHENSION.search(text, start, end)):
        return None
    if reading.problem == "incomplete" and judge.cut:
        return Found((judge.error("truncated", reading.name),), len(text))
    return Found((judge.error(_ERRORS[reading.problem], reading.name),), end)


def dot_call(judge: Judge, text: str, start: int = 0) -> Found | None:
    """``NAME.call(query="…")`` of a built-in, of a function, or of a name that is neither."""
    head = _DOT_CALL.match(text, start)
    if not head:
        return None
    name = head[1]
    reading, issues = _closed(judge, text, start)
    if not reading.problem:
        return _dot_called(judge, name, reading.value, min(reading.end, len(text)), issues)
    if name not in judge.offered:
        return None
    cut = reading.problem == "incomplete" and judge.cut
    query = None if cut or name not in judge.offered.builtin else _loose_query(text, head.end(), reading)
    if query:
        return Found((judge.resolve(name, {"query": query[2]}, "unescaped_quotes"),), query.end())
    if cut:
        return Found((judge.error("truncated", name),), len(text))
    end = balanced_end(text, head.end() - 1) or len(text)
    return Found((judge.error(_ERRORS[reading.problem], name),), end)


def _dot_called(judge: Judge, name: str, call: KeywordCall, end: int, issues: tuple[str, ...]) -> Found | None:
    arguments = call.arguments
    if name not in judge.offered and judge.offered.code and (call.positional or set(arguments) != {"query"}):
        return None  # a method of some object: that is code
    if call.positional and name in judge.offered:
        single = len(call.positional) == 1 and isinstance(call.positional[0], str) and not arguments
        if not single or name not in judge.offered.builtin:
            return Found((judge.error("positional_arguments", name),), end)
        arguments, issues = {"query": call.positional[0]}, (*issues, "positional_query")
    return Found((judge.resolve(name, arguments, *issues),), end)


def _loose_query(text: str, start: int, reading: Reading) -> re.Match[str] | None:
    """A query with unescaped quotes in it: all up to the last quote of the line, unless it is an expression."""
    expression = reading.problem == "non_literal" and text.startswith(("+", "%", "*"), reading.end)
    return None if expression else _LOOSE_QUERY.match(text, start)


def bare_call(judge: Judge, text: str, start: int = 0, *, broken: bool = False) -> Found | None:
    """``NAME(k=v)`` of a name that is offered; ``broken`` calls of it count only if asked for."""
    head = _NAMED_CALL.match(text, start)
    if not head or head[1] not in judge.offered:
        return None
    name = head[1]
    reading, issues = _closed(judge, text, start)
    if reading.problem == "incomplete" and judge.cut:
        return Found((judge.error("truncated", name),), len(text))
    if not reading.problem and not reading.value.positional:
        call = judge.resolve(name, reading.value.arguments, "bare_call", *issues)
        return Found((call,), min(reading.end, len(text)))
    if not broken:
        return None
    code = _ERRORS[reading.problem or "positional"]
    return Found((judge.error(code, name),), balanced_end(text, head.end() - 1) or len(text))


def _closed(judge: Judge, text: str, start: int) -> tuple[Reading, tuple[str, ...]]:
    """The call at ``start``; its last parenthesis is added if it is all that is missing and the model meant to end."""
    reading = read_call(text, start)
    if reading.problem == "incomplete" and reading.closers == ")" and not judge.cut:
        again = read_call(text + ")", start)
        return replace(again, end=min(again.end, len(text))), ("repaired_close",)
    return reading, ()
