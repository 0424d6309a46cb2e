"""Strings and numbers that must be quoted from what was said. Knows the text and how it is cut into ids; no schema.

A small model copies what it has to name, and may slip at a word that it has not seen ("fmes" for "memes"). One that has
learned to do nothing but copy can be held to it: a quotation begins with a word or a sign, tears no word, and is cut
into ids as the tokenizer cuts it, at the beginning of a text or behind a space. Its first letter may become a capital.
What begins with a digit is free: "8:15 a.m." may be 08:15. A number is one that was said, in digits or as a word.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from llamachat.constrain.scalars import InText
from llamachat.constrain.stacks import QUOTES, SPACE, Frame, Shape, Stack, Stacks

LONGEST = 200  # characters of a quotation
_BACKSLASH, _DIGITS = 0x5C, b"0123456789"
_ESCAPED = frozenset({*range(0x20), 0x22, 0x27, _BACKSLASH})
"""Bytes that a string may have to escape."""
_WORD = re.compile(r"[^\W_]+")
_START = re.compile(rf"{_WORD.pattern}|[^\w\s]|_")
_NUMBER = re.compile(r"(?<![\w.])[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?")
_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety hundred"
_NUMERALS = {word: str(number) for number, word in enumerate(f"{_ONES} eighteen nineteen".split())}
_NUMERALS |= {word: str(10 * number) for number, word in enumerate(_TENS.split(), 2)}
_NUMERALS |= {"once": "1", "twice": "2", "both": "2", "pair": "2", "couple": "2", "dozen": "12", "half": "0.5"}
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
        """Lengths at which an id may end: "rector" is one id, read as " re", "ctor" behind a space, and a model that
        copies says either."""
        inside, alone = (accumulate(map(len, self._pieces(before + self._text))) for before in (" ", ""))
        return frozenset((*alone, *(length - 1 for length in inside)))


class Said:
    """The text that may be quoted: a run from each of its words and signs, by its first byte; from a word in lower case
    another one with a capital."""

    def __init__(self, text: str, pieces: Pieces) -> None:
        self.runs: dict[int, list[Run]] = {}
        text = text.encode("utf-8", "replace").decode()  # half a surrogate pair is no text
        starts = (found.start() for found in _START.finditer(text) if not found[0][0].isdigit())
        for run in dict.fromkeys(text[start : start + LONGEST] for start in starts):
            for first in {run[0], run[0].upper()}:
                found = Run(first + run[1:], pieces)
                self.runs.setdefault(found.bytes[0], []).append(found)
        digits = {found[0].replace(",", "") for found in _NUMBER.finditer(text)}
        words = {_NUMERALS[word[0].lower()] for word in _WORD.finditer(text) if word[0].lower() in _NUMERALS}
        self.numbers = frozenset(form for number in digits | words for form in _forms(number))
        """As they may be written."""

    def those(self, *, integer: bool) -> frozenset[bytes]:
        """The numbers, or the whole ones."""
        return frozenset(number for number in self.numbers if b"." not in number) if integer else self.numbers


def _forms(number: str) -> Iterator[bytes]:
    """9.20 and 9.2 for 09.20, and their negatives."""
    whole, dot, fraction = number.partition(".")
    whole = whole.lstrip("0") or "0"
    for form in {f"{whole}{dot}{fraction}", f"{whole}{dot}{fraction.rstrip('0')}".rstrip(".") if dot else whole}:
        yield from (form.encode(), f"-{form}".encode())


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
        return InText(self.quote).step(byte, below) if byte in _DIGITS else ()


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
