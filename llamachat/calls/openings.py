"""How calls begin: told from the first characters, while the rest is still being written."""

import re

from llamachat.calls.fences import CALL_FENCES, FENCE
from llamachat.calls.parts import Offered

TAG = "<function="
LIST_HEAD = re.compile(r"\[[ \t\n\[]{0,8}([A-Za-z_][\w.-]*)?[ \t]*")
OBJECT_HEAD = re.compile(r"(?:\[\s*)?\{\s*")
_WORD_HEAD = re.compile(r"([A-Za-z_][\w.-]*)[ \t]*")
_SPACE = re.compile(r"\s*")


def skip_space(text: str, pos: int) -> int:
    """The first position from ``pos`` on that holds no space."""
    found = _SPACE.match(text, pos)
    return found.end() if found else pos


def begins_call(text: str, start: int, offered: Offered) -> bool | None:
    """Whether ``text`` from ``start`` on begins as calls do; None if it is too short to tell."""
    pos = skip_space(text, start)
    rest = text[pos : pos + 200]
    if not rest:
        return None
    if rest[0] in "{[":
        return _begins_brackets(rest)
    if rest[0] == '"':
        inner = rest[1:].lstrip()
        return inner[0] in "{[" if inner else None
    if rest[0] == "<":
        return rest.startswith(TAG) or (None if TAG.startswith(rest) else False)
    word = _WORD_HEAD.match(rest)
    if not word:
        return False
    heads = [head for name in offered.names for head in (name, f"{name}.call")]
    if word.end() == len(rest):
        return None if any(head.startswith(word[1]) for head in heads) else False
    return rest[word.end()] == "(" and word[1] in heads


def _begins_brackets(text: str) -> bool | None:
    head = OBJECT_HEAD.match(text)
    if head:
        return None if head.end() == len(text) else text[head.end()] in "\"'\\" or text[head.end()].isalpha()
    listed = LIST_HEAD.match(text)
    if not listed or listed.end() == len(text):
        return None
    return bool(listed[1]) and text[listed.end()] == "("


def begins_fence(text: str, start: int, offered: Offered) -> int | bool | None:
    """Where the calls begin that the fence at ``start`` may hold; False if it holds none, None if it is too early."""
    head = FENCE.match(text, start)
    if not head:
        return None if set(text[start:]) == {"`"} else False
    lang = head[2].lower()
    if head.end() == len(text):
        return None if any(known.startswith(lang) for known in CALL_FENCES) else False
    begins = begins_call(text, head.end(), offered) if lang in CALL_FENCES else False
    return head.end() if begins else begins
