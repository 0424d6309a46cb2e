"""JSON as models write it, read by hand and never evaluated. Knows no tools, and no reason why a text should be a call.

A reader returns a ``Reading`` whatever the text, in time linear in its length, with at most MAX_DEPTH values open.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

MAX_DEPTH = 64
MAX_DIGITS = 4300  # int(str) and str(int) refuse more (CVE-2020-10735)

Problem = Literal["bad", "incomplete", "non_literal", "positional"]

_SPACE = re.compile(r"\s*")
_PLAIN = {'"': re.compile(r'[^"\\]*'), "'": re.compile(r"[^'\\]*")}
_CONTROL = re.compile(r"[\x00-\x1f]")
_HEX = re.compile(r"[0-9a-fA-F]*")
_WORD = re.compile(r"[\w.+-]+")
_INT = re.compile(r"-?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_ESCAPES = {'"': '"', "'": "'", "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_PYTHON_CONSTANTS = {"True": True, "False": False, "None": None}
CONSTANTS = {"true": True, "false": False, "null": None, **_PYTHON_CONSTANTS}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader found from its start up to ``end``.

    ``value`` is what was read; with a ``problem``, as much of a JSON value as was read before it. ``closers`` is what
    would close an incomplete text, None inside a string. ``lenient``: the text deviates from JSON. ``key`` is the
    outermost object key whose value was being read when the problem came, ``partial`` the string that the text breaks
    off in. ``name`` is the call that the problem lies in.
    """

    value: Any
    end: int
    problem: Problem | None = None
    closers: str | None = None
    lenient: bool = False
    key: str | None = None
    partial: str | None = None
    name: str | None = None


def read_json(text: str, start: int = 0) -> Reading:
    """The JSON value at ``start``, read tolerantly.

    Accepted beyond JSON: single-quoted strings, True, False, None, trailing commas, raw control characters in strings.
    Lone surrogate escapes become U+FFFD; of duplicate keys the last wins. NaN, infinities, ints of more than 4300
    digits and depth beyond 64 are bad.
    """
    reader = _Json(text, start)
    found: list[Any] = []
    try:
        reader.value(found.append)
    except Halt as halt:
        return Reading(
            found[0] if found else None,
            reader.pos,
            halt.problem,
            halt.closers,
            reader.lenient,
            key=reader.keys[0] if reader.keys else None,
            partial=None if reader.string_start is None else text[reader.string_start :],
        )
    return Reading(found[0], reader.pos, lenient=reader.lenient)


def join_surrogates(text: str) -> str:
    """``text`` with pairs of surrogates joined and lone ones replaced by U+FFFD, so that it can be encoded."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class Halt(Exception):
    """Control flow inside a reader; never leaves it."""

    def __init__(self, problem: Problem, closers: str | None = None) -> None:
        self.problem: Problem = problem
        self.closers = closers


class Reader:
    """A position in a text, and the brackets that are open there."""

    def __init__(self, text: str, pos: int) -> None:
        self.text = text
        self.pos = pos
        self.open: list[str] = []

    def peek(self) -> str:
        """The next character that is no space. Halts at the end of the text."""
        found = _SPACE.match(self.text, self.pos)
        self.pos = found.end() if found else self.pos
        if self.pos == len(self.text):
            raise self.incomplete()
        return self.text[self.pos]

    def incomplete(self) -> Halt:
        """The text ends here, outside a string."""
        return Halt("incomplete", "".join(reversed(self.open)))

    def enter(self, closer: str) -> None:
        """Step over an opening bracket."""
        if len(self.open) == MAX_DEPTH:
            raise Halt("bad")
        self.open.append(closer)
        self.pos += 1

    def leave(self) -> None:
        """Step over a closing bracket."""
        self.open.pop()
        self.pos += 1

    def more(self) -> bool:
        """After an item: step over a comma, or stand before the closing bracket and say no."""
        char = self.peek()
        if char == ",":
            self.pos += 1
            return True
        if char != self.open[-1]:
            raise Halt("bad")
        return False

    def plain(self, quote: str) -> str:
        """Step over the plain characters of a string, up to a quote or a backslash. Halts at the end of the text."""
        found = _PLAIN[quote].match(self.text, self.pos)
        plain = found[0] if found else ""
        self.pos += len(plain)
        if self.pos == len(self.text):
            raise Halt("incomplete")
        return plain

    def hex(self, digits: int) -> str:
        """The character whose code is written here in ``digits`` hex digits."""
        found = _HEX.match(self.text, self.pos, self.pos + digits)
        code = found[0] if found else ""
        self.pos += len(code)
        if len(code) < digits:
            raise Halt("incomplete" if self.pos == len(self.text) else "bad")
        if int(code, 16) > 0x10FFFF:
            raise Halt("bad")
        return chr(int(code, 16))


class _Json(Reader):
    """JSON and its accepted deviations. A container is kept as soon as it opens: a torn text leaves its beginning."""

    def __init__(self, text: str, pos: int) -> None:
        super().__init__(text, pos)
        self.lenient = False
        self.keys: list[str] = []
        self.string_start: int | None = None

    def value(self, keep: Callable[[Any], None]) -> None:
        char = self.peek()
        if char == "{":
            self.object(keep)
        elif char == "[":
            self.array(keep)
        elif char in _PLAIN:
            keep(self.string())
        else:
            keep(self.word())

    def object(self, keep: Callable[[Any], None]) -> None:
        found: dict[str, Any] = {}
        keep(found)
        self.enter("}")
        while self.peek() != "}":
            if self.text[self.pos] not in _PLAIN:
                raise Halt("bad")
            key = self.string()
            if self.peek() != ":":
                raise Halt("bad")
            self.pos += 1
            self.keys.append(key)
            found.pop(key, None)
            self.value(_setter(found, key))
            self.keys.pop()
            if not self.more():
                break
            self.lenient |= self.peek() == "}"
        self.leave()

    def array(self, keep: Callable[[Any], None]) -> None:
        found: list[Any] = []
        keep(found)
        self.enter("]")
        while self.peek() != "]":
            self.value(found.append)
            if not self.more():
                break
            self.lenient |= self.peek() == "]"
        self.leave()

    def string(self) -> str:
        quote = self.text[self.pos]
        self.lenient |= quote == "'"
        self.pos += 1
        start, pieces = self.pos, [""]
        self.string_start = start  # stays if the string never ends
        while True:
            pieces.append(self.plain(quote))
            self.pos += 1
            if self.text[self.pos - 1] == quote:
                break
            pieces.append(self.escape())
        self.string_start = None
        self.lenient |= bool(_CONTROL.search(self.text, start, self.pos))
        return join_surrogates("".join(pieces)) if len(pieces) > 2 else pieces[1]

    def escape(self) -> str:
        if self.pos == len(self.text):
            raise Halt("incomplete")
        char = self.text[self.pos]
        self.pos += 1
        if char == "u":
            return self.hex(4)
        if char not in _ESCAPES:
            raise Halt("bad")
        self.lenient |= char == "'"
        return _ESCAPES[char]

    def word(self) -> int | float | bool | None:
        """A number or a named constant."""
        found = _WORD.match(self.text, self.pos)
        word = found[0] if found else ""
        value: int | float | bool | None
        if word in CONSTANTS:
            self.lenient |= word in _PYTHON_CONSTANTS
            value = CONSTANTS[word]
        elif _INT.fullmatch(word) and len(word) - word.startswith("-") <= MAX_DIGITS:
            value = int(word)
        elif _FLOAT.fullmatch(word) and not _INT.fullmatch(word) and math.isfinite(float(word)):
            value = float(word)
        else:
            raise self.incomplete() if word and self.pos + len(word) == len(self.text) else Halt("bad")
        self.pos += len(word)
        return value


def _setter(into: dict[str, Any], key: str) -> Callable[[Any], None]:
    return lambda value: into.__setitem__(key, value)
