"""Calls in JSON and in function tags: ``{"name": …, "parameters": {…}}``, ``<function=NAME>{…}</function>``.

Every reader takes a text and a position and returns what it found there, or None if that is not in its notation.
"""

import re
from collections.abc import Mapping
from typing import Any

from llamachat.calls.parts import Found, Judge, Part
from llamachat.literals import Reading, read_json

_SEPARATOR = re.compile(r"[\s;,]*")
_PARAMETERS = re.compile(r"""["']?(?:parameters|arguments)["']?\s*:""")
_BARE_KEY = re.compile(r"(?:\[\s*)?\{\s*(?:name|type|function|parameters|arguments)\s*:")
_NAME_FIELD = re.compile(r"""["']?\bname["']?\s*:\s*["']([^"'\\]+)["']""")
_TAG = re.compile(r"""<function=\s*["']?([^\s"'<>(){}\[\]]*)["']?\s*(>?)\s*\(?\s*""")
_TAG_TAIL = re.compile(r"\s*\)?\s*>?")
_CLOSE_TAG = "</function>"


def json_sequence(judge: Judge, text: str, start: int = 0) -> Found | None:
    """Call objects, and arrays of them, separated by ``;``, ``,`` or space; a broken one ends the sequence."""
    parts: list[Part] = []
    pos = start
    while pos < len(text) and text[pos] in "{[":
        reading = read_json(text, pos)
        found = _torn(judge, text, pos, reading) if reading.problem else json_value(judge, reading)
        if found is None:
            break
        parts += found
        separator = _SEPARATOR.match(text, len(text) if reading.problem else reading.end)
        pos = separator.end() if separator else len(text)
    return Found(tuple(parts), pos) if parts else None


def json_value(judge: Judge, reading: Reading, *issues: str) -> list[Part] | None:
    """The calls that a JSON value holds: an object, or an array of objects. None unless all are call-shaped."""
    values = reading.value if isinstance(reading.value, list) else [reading.value]
    issues += ("repaired_json",) * reading.lenient
    parts = [part for value in values if (part := _object(judge, value, issues))]
    return parts if parts and len(parts) == len(values) else None


def _object(judge: Judge, value: Any, issues: tuple[str, ...]) -> Part | None:
    if not isinstance(value, dict):
        return None
    nested = isinstance(value.get("function"), dict)
    fields = {**value, **value["function"]} if nested else value
    name = fields.get("name")
    key = next((key for key in ("parameters", "arguments") if key in fields), None)
    declared = value.get("type") == "function"
    if not isinstance(name, str) or not name.strip():
        return judge.error("missing_name") if declared or key else None
    if not (key or declared or nested or name in judge.offered):
        return None
    arguments, as_string = _arguments(fields[key] if key else None)
    marks = {
        "openai_nested": nested,
        "arguments_key": key == "arguments",
        "missing_parameters": key is None,
        "arguments_as_string": as_string,
        "builtin_as_json": name in judge.offered.builtin,
    }
    return judge.resolve(name, arguments, *issues, *(mark for mark, holds in marks.items() if holds))


def _arguments(value: Any) -> tuple[Mapping[str, Any] | None, bool]:
    """The object of arguments, None if it is none; and whether it came as a JSON string."""
    if value is None:
        return {}, False
    if isinstance(value, dict):
        return value, False
    if isinstance(value, str):
        reading = read_json(value)
        if not reading.problem and isinstance(reading.value, dict) and not value[reading.end :].strip():
            return reading.value, True
    return None, False


def _torn(judge: Judge, text: str, start: int, reading: Reading) -> list[Part] | None:
    """What becomes of JSON that is broken or incomplete, if it was meant as a call at all."""
    if reading.problem == "incomplete" and reading.closers is not None and not judge.cut:
        repaired = read_json(text + reading.closers, start)
        if not repaired.problem:
            return json_value(judge, repaired, "repaired_close")
    value = reading.value[-1] if isinstance(reading.value, list) and reading.value else reading.value
    fields = value if isinstance(value, dict) else {}
    name = _name_in(judge, text, start, fields)
    if not _attempted(judge, text, start, reading, fields, name):
        return None
    return [judge.error("truncated" if reading.problem == "incomplete" and judge.cut else "bad_json", name)]


def _attempted(
    judge: Judge, text: str, start: int, reading: Reading, fields: Mapping[str, Any], name: str | None
) -> bool:
    """Whether broken JSON was meant as a call; ``fields`` are those that were read before it broke."""
    if _object(judge, fields, ()) or reading.key in ("parameters", "arguments"):
        return True
    if reading.key == "name":
        if reading.partial is None:
            return bool(_PARAMETERS.search(text, start))
        return any(known.startswith(reading.partial) for known in judge.offered.names)
    if reading.key == "type" and reading.partial is not None:
        return "function".startswith(reading.partial)
    return bool(_BARE_KEY.match(text, start)) and name in judge.offered


def _name_in(judge: Judge, text: str, start: int, fields: Mapping[str, Any]) -> str | None:
    """The name that a broken call gives: of those fields that could be read, else any offered one in the text."""
    nested = fields.get("function")
    name = fields.get("name") or (nested.get("name") if isinstance(nested, dict) else None)
    if isinstance(name, str) and name.strip():
        return name
    return next((m[1] for m in _NAME_FIELD.finditer(text, start) if m[1] in judge.offered), None)


def function_tag(judge: Judge, text: str, start: int = 0) -> Found | None:
    """``<function=NAME>{…}</function>`` with the usual slips; None if a tag is only mentioned."""
    tag = _TAG.match(text, start)
    if not tag:
        return None
    name, pos = tag[1], tag.end()
    issues: tuple[str, ...] = () if tag[2] else ("bad_function_tag",)
    following = text.find("<function=", pos)
    limit = following if following >= 0 else len(text)
    if not text.startswith("{", pos):
        return _tag_without_object(judge, text, tag, limit)
    reading = read_json(text, pos)
    if reading.problem == "incomplete" and judge.cut:
        return Found((judge.error("truncated", name or None),), len(text))
    if reading.problem == "incomplete" and reading.closers is not None:
        reading, issues = read_json(text + reading.closers, pos), (*issues, "repaired_close")
    if reading.problem:
        close = text.find(_CLOSE_TAG, pos, limit)
        return Found((judge.error("bad_json", name or None),), close + len(_CLOSE_TAG) if close >= 0 else limit)
    end, oddities = _tag_end(text, min(reading.end, len(text)), limit)
    issues += ("repaired_json",) * reading.lenient + oddities
    return Found((_tagged_call(judge, name, reading.value, issues),), end)


def _tag_without_object(judge: Judge, text: str, tag: re.Match[str], limit: int) -> Found | None:
    name, pos = tag[1], tag.end()
    issues: tuple[str, ...] = () if tag[2] else ("bad_function_tag",)
    if pos == len(text):
        if judge.cut:
            return Found((judge.error("truncated", name if name and tag[2] else None),), pos)
        return Found((_tagged_call(judge, name, {}, (*issues, "missing_close_tag")),), pos)
    close = text.find(_CLOSE_TAG, pos, limit)
    if close < 0:
        return None
    body, end = text[pos:close].rstrip(" \t\r\n)"), close + len(_CLOSE_TAG)
    reading = read_json(body or "{}")
    if not reading.problem and not body[reading.end :].strip():
        return Found((_tagged_call(judge, name, reading.value, issues),), end)
    return Found((judge.error("bad_json", name),), end) if name in judge.offered else None


def _tagged_call(judge: Judge, name: str, value: Any, issues: tuple[str, ...]) -> Part:
    if not name:
        return judge.error("missing_name")
    issues += ("builtin_as_json",) * (name in judge.offered.builtin)
    return judge.resolve(name, _arguments(value)[0], *issues)


def _tag_end(text: str, pos: int, limit: int) -> tuple[int, tuple[str, ...]]:
    """Where a function tag ends whose object ends at ``pos``, and what is odd about its end."""
    tail = _TAG_TAIL.match(text, pos)
    after = tail.end() if tail else pos
    close = text.find(_CLOSE_TAG, pos, limit)
    if close >= 0:
        return close + len(_CLOSE_TAG), ("junk_in_function_tag",) * (close > after and bool(text[after:close].strip()))
    rest = text[after : after + len(_CLOSE_TAG)].rstrip()
    torn = bool(rest) and _CLOSE_TAG.startswith(rest) and not text[after + len(rest) :].strip()
    return len(text) if torn else after, ("missing_close_tag",)
