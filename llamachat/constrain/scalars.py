"""Strings, numbers and named constants of JSON, byte by byte, in every writing that ``literals.read_json`` takes."""

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from llamachat.constrain.stacks import QUOTES, Frame, Shape, Stack, Stacks
from llamachat.literals import MAX_DIGITS, read_json

_HEX = frozenset(b"0123456789abcdefABCDEF")
_ESCAPABLE = frozenset(b"\"'\\/bfnrt")
_NUMERIC = frozenset(b"0123456789+-.eE")
_BACKSLASH = 0x5C
_NUMBER_HEAD = re.compile(rb"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:(?<=[0-9])[eE][+-]?[0-9]*)?)?")
_WHOLE_HEAD = re.compile(rb"-?(?:(?:0|[1-9][0-9]*)(?:\.0*)?(?:(?<=[0-9])[eE]\+?[0-9]*)?)?")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")
_MEANT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_HIGH, _LOW = range(0xD800, 0xDC00), range(0xDC00, 0xE000)  # the halves of a surrogate pair
_PENDING = re.compile(rb"\\(?:u[0-9a-fA-F]{0,3})?\Z|[\xc0-\xff][\x80-\xbf]*\Z")


def escaped(state: int, byte: int) -> int | None:
    """The state of a string's escapes after ``byte``: 0 outside, -1 after a backslash, else hex digits to come."""
    if state == 0:
        return -1 if byte == _BACKSLASH else 0
    if state > 0:
        return state - 1 if byte in _HEX else None
    return 4 if byte == 0x75 else 0 if byte in _ESCAPABLE else None


@dataclass(frozen=True, slots=True)
class InText(Frame):
    """Inside any string."""

    quote: int
    escape: int = 0

    def step(self, byte: int, below: Stack) -> Stacks:
        if self.escape == 0:
            if byte == self.quote:
                return (below,)
            return ((self if byte != _BACKSLASH else InText(self.quote, -1), below),)
        state = escaped(self.escape, byte)
        return () if state is None else ((InText(self.quote, state), below),)


@dataclass(frozen=True, slots=True)
class InShortText(InText):
    """Inside a string of which ``left`` characters may still come. ``code`` is what the digits of an escape say so far;
    ``high``: the first half of a surrogate pair came, whose second half adds no character."""

    left: int = 0
    code: int = 0
    high: bool = False

    def step(self, byte: int, below: Stack) -> Stacks:
        if self.escape == 0 and byte == self.quote:
            return (below,)
        state = escaped(self.escape, byte)
        if state is None:
            return ()
        left, code, high = self.left, 0, self.high
        if state == 0 and not 0x80 <= byte < 0xC0:  # a character is whole, or begins in UTF-8
            code = self.code << 4 | int(chr(byte), 16) if self.escape > 0 else 0
            left -= not (high and code in _LOW)
            high = code in _HIGH
        elif self.escape > 0:
            code = self.code << 4 | int(chr(byte), 16)
        fits = left >= 0 and (left > 0 or state == 0 or (high and _may_be_low(self.escape, byte)))
        return ((InShortText(self.quote, state, left, code, high), below),) if fits else ()


def _may_be_low(escape: int, byte: int) -> bool:
    """Whether an escape in this state may still become the second half of a pair: \\uDC00 to \\uDFFF."""
    return (escape != -1 or byte == 0x75) and (escape != 4 or byte in b"dD") and (escape != 3 or byte in b"cdefCDEF")


def plain(frame: Frame, text: bytes) -> bool:
    """Whether ``text`` changes nothing: ASCII inside a string, without quotes and escapes; most of what is said."""
    if type(frame) is not InText or frame.escape or not text.isascii():
        return False
    return b"\\" not in text and frame.quote not in text


@dataclass(frozen=True, slots=True)
class Text(Shape):
    """Any string, of ``longest`` characters at most."""

    longest: int | None = None

    def open(self, byte: int, below: Stack, depth: int) -> Stacks:
        if byte not in QUOTES:
            return ()
        return ((InText(byte) if self.longest is None else InShortText(byte, left=self.longest), below),)


@dataclass(frozen=True, slots=True)
class InChoice(Frame):
    """Inside a string that must become one of ``options``; ``raw`` is what was written of it."""

    quote: int
    options: frozenset[str]
    raw: bytes = b""
    escape: int = 0

    def step(self, byte: int, below: Stack) -> Stacks:
        if byte == self.quote and not self.escape:
            return (below,) if string(self.quote, self.raw) in self.options else ()
        state, raw = escaped(self.escape, byte), self.raw + bytes((byte,))
        if state is None or not any(begins(raw, option) for option in self.options):
            return ()
        return ((InChoice(self.quote, self.options, raw, state), below),)


@dataclass(frozen=True, slots=True)
class Choice(Shape):
    """One of some strings, however escaped."""

    options: frozenset[str]

    def open(self, byte: int, below: Stack, depth: int) -> Stacks:
        return ((InChoice(byte, self.options), below),) if byte in QUOTES else ()


def string(quote: int, raw: bytes) -> str | None:
    """The string that ``raw`` is between quotes, None if it is none."""
    mark = chr(quote)
    value = read_json(f"{mark}{raw.decode('utf-8', 'replace')}{mark}").value
    return value if isinstance(value, str) else None


def begins(raw: bytes, option: str) -> bool:
    """Whether a string that is written ``raw`` so far can become ``option``."""
    if b"\\" not in raw:
        return option.encode("utf-8", "surrogatepass").startswith(raw)
    torn = _PENDING.search(raw)
    whole, rest = (raw[: torn.start()], torn[0]) if torn else (raw, b"")
    done, wanted = _units(_unescaped(whole)), _units(option)
    if not wanted.startswith(done):
        return False
    ahead = wanted[len(done) :]
    if rest.startswith(b"\\"):
        code = ahead[1::-1].hex()  # the next UTF-16 unit, big end first
        return bool(ahead) and code.startswith(rest[2:].decode().lower())
    return ahead.decode("utf-16-le", "replace").encode().startswith(rest)


def _unescaped(raw: bytes) -> str:
    """Text of whole characters and escapes; a lone surrogate stays, since its partner may follow."""
    return _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else _MEANT.get(m[2], m[2]), raw.decode("utf-8", "replace"))


def _units(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


@dataclass(frozen=True, slots=True)
class InNumber(Frame):
    """Inside a number; it ends where something else comes."""

    text: bytes
    kind: "Number"

    def step(self, byte: int, below: Stack) -> Stacks:
        if byte in _NUMERIC:
            return self.kind.read(self.text + bytes((byte,)), below)
        if not self.kind.whole(self.text):
            return ()
        frame, under = below
        return frame.step(byte, under)


@dataclass(frozen=True, slots=True)
class Number(Shape):
    """A number; ``integer`` allows a fraction of zeros, as JSON schema does. ``choices``: written as one of these.

    How large it may be is not looked at; that is for the schema's check to say.
    """

    integer: bool = False
    choices: frozenset[bytes] | None = None

    def open(self, byte: int, below: Stack, depth: int) -> Stacks:
        return self.read(bytes((byte,)), below)

    def read(self, text: bytes, below: Stack) -> Stacks:
        """Stand inside the number that begins with ``text``, if there is one."""
        if self.choices is not None:
            good = any(choice.startswith(text) for choice in self.choices)
        else:
            good = bool((_WHOLE_HEAD if self.integer else _NUMBER_HEAD).fullmatch(text)) and _finite(text)
        return ((InNumber(text, self), below),) if good else ()

    def whole(self, text: bytes) -> bool:
        """Whether the number may end here."""
        return text[-1:].isdigit() if self.choices is None else text in self.choices


def _finite(text: bytes) -> bool:
    digits = text.rstrip(b".eE+-")
    if not digits or text.lstrip(b"-").isdigit():
        return len(digits) <= MAX_DIGITS
    return math.isfinite(float(digits))


@dataclass(frozen=True, slots=True)
class InWord(Frame):
    """Inside a constant or a fixed text, of which ``rest`` is to come."""

    rest: bytes

    def step(self, byte: int, below: Stack) -> Stacks:
        if byte != self.rest[0]:
            return ()
        return ((InWord(self.rest[1:]), below),) if len(self.rest) > 1 else (below,)


@dataclass(frozen=True, slots=True)
class Word(Shape):
    """A fixed text of two bytes or more."""

    text: bytes

    def open(self, byte: int, below: Stack, depth: int) -> Stacks:
        return ((InWord(self.text[1:]), below),) if byte == self.text[0] else ()


@dataclass(frozen=True, slots=True)
class Heads(Frame):
    """Inside one of many fixed texts; each leads to frames, the first on top."""

    heads: tuple[tuple[bytes, tuple[Frame, ...]], ...]

    def step(self, byte: int, below: Stack) -> Stacks:
        rest = [(head[1:], frames) for head, frames in self.heads if head[0] == byte]
        longer = tuple((head, frames) for head, frames in rest if head)
        stacks: Stacks = ((Heads(longer), below),) if longer else ()
        for head, frames in rest:
            if not head:
                stack = below
                for frame in reversed(frames):
                    stack = (frame, stack)
                stacks += (stack,)
        return stacks


TRUE, FALSE, NULL = ((Word(a), Word(b)) for a, b in ((b"true", b"True"), (b"false", b"False"), (b"null", b"None")))


def scalars(values: Iterable[str | int | float | bool | None]) -> tuple[Shape, ...]:
    """One of some values. Numbers are taken as they are usually written: 5, 5.0, 0.5."""
    texts: set[str] = set()
    numbers: set[bytes] = set()
    words: tuple[Shape, ...] = ()
    for value in values:
        if isinstance(value, str):
            texts.add(value)
        elif isinstance(value, bool) or value is None:
            words += NULL if value is None else TRUE if value else FALSE
        else:
            whole = {f"{int(value)}", f"{int(value)}.0"} if value == int(value) else set()
            numbers |= {form.encode() for form in {json.dumps(value), *whole}}
    strings = (Choice(frozenset(texts)),) if texts else ()
    return (*strings, *((Number(choices=frozenset(numbers)),) if numbers else ()), *words)
