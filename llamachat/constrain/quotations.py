"""Strings that must be quoted from what was said, byte by byte. Knows the text, and no schema.

A small model copies what it has to name, and at a word that it has not seen it may slip ("fmes" for "memes"). One that
learned to do nothing but copy can be held to it: a quotation begins where a word begins and ends where one ends. Its
first letter may change its case. What begins with no letter (a time, an address, a sign) is free.
"""

from dataclasses import dataclass, field

from llamachat.constrain.scalars import InText
from llamachat.constrain.stacks import QUOTES, SPACE, Frame, Shape, Stack, Stacks

_BACKSLASH = 0x5C
_ESCAPED = frozenset({*range(0x20), 0x22, 0x27, _BACKSLASH})
"""Bytes that a string may have to escape."""


@dataclass(frozen=True, eq=False)
class Said:
    """The text that may be quoted, as bytes, and where its words begin."""

    text: bytes
    starts: dict[int, tuple[int, ...]] = field(init=False)
    """Behind the first byte of each word, by that byte in lower case."""

    def __post_init__(self) -> None:
        found: dict[int, list[int]] = {}
        for at, byte in enumerate(self.text):
            if _in_word(byte) and (at == 0 or not _in_word(self.text[at - 1])):
                found.setdefault(_lower(byte), []).append(at + 1)
        object.__setattr__(self, "starts", {byte: tuple(places) for byte, places in found.items()})

    def after(self, byte: int, places: tuple[int, ...]) -> tuple[int, ...]:
        """Those of ``places`` where ``byte`` comes next, one further."""
        return tuple(at + 1 for at in places if at < len(self.text) and self.text[at] == byte)

    def may_end(self, places: tuple[int, ...]) -> bool:
        """Whether a word ends at one of ``places``."""
        return any(at == len(self.text) or not _in_word(self.text[at]) for at in places)

    def must_escape(self, places: tuple[int, ...]) -> bool:
        """Whether what comes next at one of ``places`` can't stand in a string as it is."""
        return any(at < len(self.text) and self.text[at] in _ESCAPED for at in places)


def _lower(byte: int) -> int:
    return byte | 0x20 if 0x41 <= byte <= 0x5A else byte


def _letter(byte: int) -> bool:
    return byte >= 0x80 or 0x61 <= _lower(byte) <= 0x7A


def _in_word(byte: int) -> bool:
    return _letter(byte) or 0x30 <= byte <= 0x39


@dataclass(frozen=True, slots=True)
class Quoted(Shape):
    """Any quotation."""

    said: Said

    def open(self, byte: int, below: Stack, depth: int) -> Stacks:
        return ((_Opened(byte, self.said), below),) if byte in QUOTES else ()


@dataclass(frozen=True, slots=True)
class _Opened(Frame):
    """Before the first byte of a quotation, which is neither empty nor begins with space."""

    quote: int
    said: Said

    def step(self, byte: int, below: Stack) -> Stacks:
        if byte == self.quote or byte in SPACE:
            return ()
        if not _letter(byte):
            return InText(self.quote).step(byte, below)
        places = self.said.starts.get(_lower(byte), ())
        return ((_InQuotation(self.quote, self.said, places), below),) if places else ()


@dataclass(frozen=True, slots=True)
class _InQuotation(Frame):
    """Inside a quotation that has come to ``places`` of the text; behind an escape it is free."""

    quote: int
    said: Said
    places: tuple[int, ...]

    def step(self, byte: int, below: Stack) -> Stacks:
        if byte == self.quote:
            return (below,) if self.said.may_end(self.places) else ()
        if byte == _BACKSLASH:
            return InText(self.quote).step(byte, below) if self.said.must_escape(self.places) else ()
        places = self.said.after(byte, self.places)
        return ((_InQuotation(self.quote, self.said, places), below),) if places else ()
