"""Strings that must be quoted from what was said, byte by byte. Knows the text and how it is cut into ids; no schema.

A small model copies what it has to name, and may slip at a word that it has not seen ("fmes" for "memes"). One that has
learned to do nothing but copy can be held to it: a quotation begins where a word begins, ends where one ends, and is
cut into ids as the tokenizer cuts it. Its first letter may become a capital. What begins with no letter (a time, an
address, a sign) is free.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from llamachat.constrain.scalars import InText
from llamachat.constrain.stacks import QUOTES, SPACE, Frame, Shape, Stack, Stacks

LONGEST = 200  # characters of a quotation
_BACKSLASH = 0x5C
_ESCAPED = frozenset({*range(0x20), 0x22, 0x27, _BACKSLASH})
"""Bytes that a string may have to escape."""
_WORD = re.compile(r"[^\W_]+")
Pieces = Callable[[str], list[bytes]]
"""The bytes of the ids that a text is cut into."""


class Run:
    """What may be quoted from one word on. Lengths are in bytes."""

    def __init__(self, text: str, pieces: Pieces) -> None:
        self.bytes = text.encode()
        self._text, self._pieces = text, pieces

    @cached_property
    def torn(self) -> frozenset[int]:
        """Lengths that would tear a word."""
        inside = (at for word in _WORD.finditer(self._text) for at in range(word.start() + 1, word.end()))
        return frozenset(len(self._text[:at].encode()) for at in inside)

    @cached_property
    def cuts(self) -> frozenset[int]:
        """Lengths at which an id ends."""
        return frozenset(accumulate(map(len, self._pieces(self._text))))


class Said:
    """The text that may be quoted: a run from each of its words, by its first byte; in lower case also as a capital."""

    def __init__(self, text: str, pieces: Pieces) -> None:
        self.runs: dict[int, list[Run]] = {}
        starts = (word.start() for word in _WORD.finditer(text) if word[0][0].isalpha())
        for run in dict.fromkeys(text[start : start + LONGEST] for start in starts):
            for first in {run[0], run[0].upper()}:
                found = Run(first + run[1:], pieces)
                self.runs.setdefault(found.bytes[0], []).append(found)


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
        if runs := self.said.runs.get(byte):
            return ((_InQuotation(self.quote, tuple(runs), 1), below),)
        return () if byte >= 0x80 or chr(byte).isalpha() else InText(self.quote).step(byte, below)


@dataclass(frozen=True, slots=True)
class _InQuotation(Frame):
    """Inside a quotation whose first ``length`` bytes are those of all ``runs``; behind an escape it is free."""

    quote: int
    runs: tuple[Run, ...]
    length: int

    def step(self, byte: int, below: Stack) -> Stacks:
        if byte == self.quote:
            return (below,) if any(self.length not in run.torn for run in self.runs) else ()
        ahead = [run for run in self.runs if self.length < len(run.bytes)]
        if byte == _BACKSLASH:
            escaped = any(run.bytes[self.length] in _ESCAPED for run in ahead)
            return InText(self.quote).step(byte, below) if escaped else ()
        runs = tuple(run for run in ahead if run.bytes[self.length] == byte)
        return ((_InQuotation(self.quote, runs, self.length + 1), below),) if runs else ()

    def cut(self) -> "_InQuotation | None":
        runs = tuple(run for run in self.runs if self.length in run.cuts)
        return _InQuotation(self.quote, runs, self.length) if runs else None
