"""Markdown code fences around calls and code."""

import re

CALL_FENCES = ("", "json", "python")
"""Languages of fences in which models put calls."""

FENCE = re.compile(r"(`{3,})[ \t]*([\w+#.-]*)[ \t]*\n?")


def fenced(text: str) -> tuple[str, str, int] | None:
    """Language, content and end of the code fence that ``text`` begins with; it may lack its closing line."""
    head = FENCE.match(text)
    if not head:
        return None
    close = text.find(head[1], head.end())
    if close < 0:
        return head[2].lower(), text[head.end() :], len(text)
    return head[2].lower(), text[head.end() : close], close + len(head[1])


def surrounded(text: str) -> str | None:
    """The code inside a fence, if a single fence surrounds the whole ``text``."""
    head = FENCE.match(text)
    if not head or head[2].lower() not in ("", "python", "py") or len(text) < head.end() + len(head[1]):
        return None
    content, close = text[head.end() : -len(head[1])], text[-len(head[1]) :]
    if close != head[1] or re.search(rf"^[ \t]*{head[1]}", content, re.MULTILINE):
        return None
    return re.sub(r"\n[ \t]*\Z", "", content)
