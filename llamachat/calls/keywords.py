"""Python keyword calls with literal values, ``f(a=1, b="x")``, read by hand and never evaluated. Knows no tools.

The values are those that JSON can hold; tuples become lists, keys of dicts become strings.
"""

import json
import math
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from llamachat.literals import CONSTANTS, MAX_DIGITS, Halt, Reader, Reading, join_surrogates

CALL_NAME = re.compile(r"[A-Za-z_][\w.-]*")
"""Function names as models call them: dots and hyphens are common."""

_STRING_START = re.compile(r"((?i:[rubft]{0,2}))(\"\"\"|'''|\"|')")
_KEYWORD = re.compile(r"([^\W\d]\w*)\s*(=(?!=)|:)")
_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_NUMBER = re.compile(r"[0-9.](?:[\w.]|(?<=[0-9._][eE])[+-])*", re.ASCII)
_HEX_NUMBER = re.compile(r"0[xXoObB]\w*", re.ASCII)
_OPERATOR = re.compile(r"[-+*/%@&|^<>.(\[]|[=!]=|(?:if|for|and|or|in|not|is|else|async)\b")
# No possessive quantifier: around a lookahead, Python 3.11.2 matches too much with one (python/cpython#100061), and
# this never backtracks anyway, since a string that does not close ends with the text.
_BRACKET = re.compile(r"""(["'])(?:(?!\1)[^\\]|\\.)*(\1|\\?\Z)|[\[({]|[\])}]""", re.DOTALL)
_ESCAPES = {
    "\n": "", "\\": "\\", "'": "'", '"': '"',
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
}  # fmt: skip
_HEX_DIGITS = {"x": 2, "u": 4, "U": 8}
_OCTAL = re.compile(r"[0-7]{1,3}")
_NAMED = re.compile(r"\{([A-Za-z0-9 -]{1,99})\}")
_MAX_BITS = int(MAX_DIGITS * math.log2(10))


@dataclass(frozen=True, slots=True)
class KeywordCall:
    """``name(**arguments)``. ``positional`` holds the values without a keyword, which only some formats take."""

    name: str
    arguments: dict[str, Any]
    positional: tuple[Any, ...] = ()


def read_call(text: str, start: int = 0) -> Reading:
    """The call ``name(k=v, …)`` at ``start``; the value is a KeywordCall."""
    reader = _Python(text, start)
    try:
        return Reading(reader.call(), reader.pos)
    except Halt as halt:
        return Reading(None, reader.pos, halt.problem, halt.closers, name=reader.name)


def read_call_list(text: str, start: int = 0) -> Reading:
    """The list ``[f(a=1), g()]`` at ``start``; the value is a list of KeywordCalls, none with positional arguments."""
    reader = _Python(text, start)
    try:
        return Reading(reader.calls(), reader.pos)
    except Halt as halt:
        return Reading(None, reader.pos, halt.problem, halt.closers, name=reader.name)


def balanced_end(text: str, start: int) -> int | None:
    """Where the bracket at ``start`` is closed, whatever stands between; None if nowhere. Strings are skipped."""
    depth = 0
    for token in _BRACKET.finditer(text, start):
        if token[1] and token[2] != token[1]:
            return None  # a string that never ends
        depth += 0 if token[1] else 1 if token[0] in "[({" else -1
        if depth == 0:
            return token.end()
    return None


class _Python(Reader):
    """``name`` is the call that is being read."""

    def __init__(self, text: str, pos: int) -> None:
        super().__init__(text, pos)
        self.name: str | None = None

    def calls(self) -> list[KeywordCall]:
        found: list[KeywordCall] = []
        if self.peek() != "[":
            raise Halt("bad")
        self.enter("]")
        while self.peek() != "]":
            found.append(self.call())
            if found[-1].positional:
                raise Halt("positional")
            if not self.more():
                break
        self.leave()
        return found

    def call(self) -> KeywordCall:
        self.peek()
        name = CALL_NAME.match(self.text, self.pos)
        if not name:
            raise Halt("bad")
        self.pos = name.end()
        if self.peek() != "(":
            raise Halt("bad")
        self.name = name[0]
        self.enter(")")
        arguments: dict[str, Any] = {}
        positional: list[Any] = []
        while self.peek() != ")":
            self.argument(arguments, positional)
            if not self.more():
                break
        self.leave()
        return KeywordCall(name[0], arguments, tuple(positional))

    def argument(self, arguments: dict[str, Any], positional: list[Any]) -> None:
        keyword = _KEYWORD.match(self.text, self.pos)
        if keyword:
            if keyword[2] == ":" or keyword[1] in arguments:
                raise Halt("bad")
            self.pos = keyword.end()
            arguments[keyword[1]] = self.value()
            return
        if self.text.startswith("**", self.pos):
            raise Halt("bad")
        try:
            positional.append(self.value())
        except Halt as halt:
            raise Halt("positional") if halt.problem == "non_literal" else halt from None
        if self.peek() == ":":
            raise Halt("bad")

    def value(self) -> Any:
        char = self.peek()
        string = _STRING_START.match(self.text, self.pos)
        found: Any
        if string:
            found = self.string(string[1].lower(), string[2])
        elif char == "[":
            found = self.items("]")[0]
        elif char == "(":
            items, tuple_like = self.items(")")
            found = items if tuple_like else items[0]
        elif char == "{":
            found = self.dict()
        elif char in "0123456789.+-":
            found = self.number()
        else:
            found = self.word()
        self.after(was_string=bool(string))
        return found

    def after(self, *, was_string: bool) -> None:
        """A value stands alone: no operator, call, index or second string may follow it."""
        try:
            char = self.peek()
        except Halt:
            return  # the container will notice
        if char in ",)]}:":
            return
        if was_string and _STRING_START.match(self.text, self.pos):
            raise Halt("bad")
        raise Halt("non_literal" if _OPERATOR.match(self.text, self.pos) else "bad")

    def items(self, closer: str) -> tuple[list[Any], bool]:
        """The values up to ``closer``, and whether they make a tuple in parentheses: none, several or a comma."""
        self.enter(closer)
        found: list[Any] = []
        comma = False
        while self.peek() != closer:
            found.append(self.value())
            comma = self.more()
            if not comma:
                break
        self.leave()
        return found, comma or len(found) != 1

    def dict(self) -> dict[str, Any]:
        self.enter("}")
        found: dict[str, Any] = {}
        while self.peek() != "}":
            if self.text.startswith("**", self.pos):
                raise Halt("bad")
            key = self.value()
            if self.peek() != ":" or isinstance(key, list | dict):
                raise Halt("bad")
            self.pos += 1
            found[key if isinstance(key, str) else json.dumps(key)] = self.value()
            if not self.more():
                break
        self.leave()
        return found

    def word(self) -> bool | None:
        """A named constant; any other name is no literal."""
        word = _IDENTIFIER.match(self.text, self.pos)
        if not word:
            raise Halt("non_literal" if self.text[self.pos] in "~*" else "bad")
        if word.end() == len(self.text) and word[0] not in CONSTANTS:
            raise self.incomplete()
        if word[0] not in CONSTANTS:
            raise Halt("non_literal")
        self.pos = word.end()
        return CONSTANTS[word[0]]

    def number(self) -> int | float:
        """A Python number with its sign."""
        sign = self.text[self.pos] if self.text[self.pos] in "+-" else ""
        self.pos += len(sign)
        self.peek()
        literal = _NUMBER.match(self.text, self.pos)
        if not literal:
            raise Halt("non_literal" if sign else "bad")
        number = _number(literal[0])
        if number is None:
            raise Halt("bad")
        self.pos = literal.end()
        return -number if sign == "-" else number

    def string(self, prefix: str, quote: str) -> str:
        if set(prefix) - {"r", "u"} or prefix in ("ru", "ur", "rr", "uu"):
            raise Halt("non_literal")
        self.pos += len(prefix) + len(quote)
        pieces: list[str] = []
        while True:
            pieces.append(self.plain(quote[0]))
            if self.text.startswith(quote, self.pos):
                self.pos += len(quote)
                return join_surrogates("".join(pieces))
            self.pos += 1
            escaped = self.text[self.pos - 1] == "\\"
            pieces.append(self.escape(raw=prefix == "r") if escaped else quote[0])

    def escape(self, *, raw: bool) -> str:
        """What follows a backslash; an unknown escape keeps it, as in Python."""
        if self.pos == len(self.text):
            raise Halt("incomplete")
        char = self.text[self.pos]
        if octal := None if raw else _OCTAL.match(self.text, self.pos):
            self.pos = octal.end()
            return chr(int(octal[0], 8))
        self.pos += 1
        if raw or (char not in _ESCAPES and char not in _HEX_DIGITS and char != "N"):
            return "\\" + char
        if char in _HEX_DIGITS:
            return self.hex(_HEX_DIGITS[char])
        return _ESCAPES[char] if char in _ESCAPES else self.named()

    def named(self) -> str:
        """The character of ``\\N{NAME}``."""
        name = _NAMED.match(self.text, self.pos)
        if not name:
            raise Halt("bad")
        self.pos = name.end()
        try:
            return unicodedata.lookup(name[1])
        except KeyError:
            raise Halt("bad") from None


def _number(literal: str) -> int | float | None:
    """The value of an unsigned Python number, None if it is none or JSON can't hold it."""
    is_float = not _HEX_NUMBER.fullmatch(literal) and any(c in ".eE" for c in literal)
    try:
        number = float(literal) if is_float else int(literal, 0)
    except ValueError:
        return None
    fits = math.isfinite(number) if isinstance(number, float) else number.bit_length() <= _MAX_BITS
    return number if fits else None
