"""Where in a reply a call may stand, I: a segment after the tag, and a body that is nothing but calls.

The first notation that applies decides; docs/replies.md gives the order.
"""

import re
from collections.abc import Callable

from llamachat.calls.fences import CALL_FENCES, fenced, surrounded
from llamachat.calls.json_calls import function_tag, json_sequence
from llamachat.calls.parts import Found, Judge, Part, is_noise
from llamachat.calls.python_calls import bare_call, call_list, dot_call
from llamachat.literals import read_json

Notation = Callable[[Judge, str, int], Found | None]

_SEPARATOR = re.compile(r"[\s;,]*")
_ESCAPED = re.compile(r'[\s\[]*\{\s*\\"')


def read_tagged(judge: Judge, text: str) -> list[Part]:
    """The parts of a segment that began with python_tag. Only text beside a call goes to the user."""
    body = text.strip()
    fence = fenced(body)
    content = fence[1] if fence and fence[2] == len(body) and fence[0] in CALL_FENCES else body
    if not content.strip():
        return [judge.error("empty_call")]
    found = _tagged_calls(judge, content.strip())
    if found:
        parts = list(found.marked("fenced").parts if content is not body else found.parts)
        rest = content.strip()[found.end :]
        if not is_noise(rest):
            parts.append(Part("text", judge.stop, text=rest.strip(), issues=("trailing_text",)))
        return parts
    if not judge.offered.code:
        return [judge.error("not_a_call")]
    code = surrounded(body)
    if code is not None:
        return [Part("code", judge.stop, text=code, issues=("fenced",))]
    return [Part("code", judge.stop, text=text)]


def _tagged_calls(judge: Judge, text: str) -> Found | None:
    """The calls that ``text`` begins with, if it is not rather code."""
    code = judge.offered.code
    if found := sequence(judge, text, function_tag) or _json(judge, text):
        return found
    found = sequence(judge, text, call_list)
    if found and not (code and _all_unknown(found)):
        return found
    found = sequence(judge, text, dot_call) or sequence(judge, text, _bare if code else _bare_or_broken)
    return found if found and (not code or is_noise(text[found.end :])) else None


def read_whole(judge: Judge, text: str) -> Found | None:
    """The calls of an untagged body, if it is nothing else."""
    body = text.strip()
    fence = fenced(body)
    if fence:
        lang, content, end = fence
        found = whole_calls(judge, content) if lang in CALL_FENCES and is_noise(body[end:]) else None
        if found is None or any(part.error == "missing_name" for part in found.parts):
            return None  # fenced JSON with "parameters" but no name is rather data
        return found.marked("fenced")
    return whole_calls(judge, body)


def whole_calls(judge: Judge, text: str) -> Found | None:
    """The calls of ``text``, if it is nothing else."""
    body = text.strip()
    for read in (_tags, _json, _lists, _dot_calls, _bare_calls):
        found = read(judge, body)
        if found and is_noise(body[found.end :]):
            return found
    return None


def sequence(judge: Judge, text: str, notation: Notation) -> Found | None:
    """Calls in one notation, separated by ``;``, ``,`` or space."""
    parts: list[Part] = []
    pos = 0
    while found := notation(judge, text, pos):
        parts += found.parts
        separator = _SEPARATOR.match(text, found.end)
        pos = separator.end() if separator else found.end
    return Found(tuple(parts), pos) if parts else None


def _json(judge: Judge, text: str) -> Found | None:
    """JSON calls; also as the content of a JSON string, or escaped as if they were."""
    escaped = _ESCAPED.match(text) is not None
    if not escaped and not text.startswith('"'):
        return json_sequence(judge, text)
    quoted = f'"{text}"' if escaped else text
    string = read_json(quoted)
    if string.problem or not is_noise(quoted[string.end :]):
        return None
    content = string.value.strip()
    found = json_sequence(judge, content)
    return Found(found.marked("repaired_json").parts, len(text)) if found and found.end == len(content) else None


def _all_unknown(found: Found) -> bool:
    return all(part.error == "unknown_function" for part in found.parts)


def _tags(judge: Judge, text: str) -> Found | None:
    return sequence(judge, text, function_tag)


def _lists(judge: Judge, text: str) -> Found | None:
    return sequence(judge, text, call_list)


def _dot_calls(judge: Judge, text: str) -> Found | None:
    """Of names that are offered: an untagged ``x.call(…)`` of another name is text."""
    found = sequence(judge, text, dot_call)
    if found is None or any(part.error == "unknown_function" for part in found.parts):
        return None
    return found.marked("untagged_builtin")


def _bare_calls(judge: Judge, text: str) -> Found | None:
    return sequence(judge, text, _bare)


def _bare(judge: Judge, text: str, start: int) -> Found | None:
    return bare_call(judge, text, start)


def _bare_or_broken(judge: Judge, text: str, start: int) -> Found | None:
    return bare_call(judge, text, start, broken=True)
