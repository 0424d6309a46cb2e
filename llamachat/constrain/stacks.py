"""A pushdown automaton over bytes: frames on stacks, all ways to read a text at once. Knows no JSON and no calls.

Grammar libraries (llguidance, xgrammar) compile a JSON schema to one order of its keys, so they would change what a
model validly says; hence an automaton of our own, whose states are small immutable values.
"""

from typing import Protocol, TypeAlias, cast

SPACE = frozenset(b" \t\n\r\f\v\x1c\x1d\x1e\x1f")
"""The ASCII characters of the parsers' ``\\s``; space beyond ASCII is not taken between tokens."""
QUOTES = frozenset(b"\"'")
MAX_STACKS = 512  # readings that differ; a schema with more is too ambiguous to hold anybody to

Stack: TypeAlias = tuple["Frame", "Stack"]
"""What is being read, and the stack of what it stands in."""
Stacks: TypeAlias = tuple[Stack, ...]


class Frame(Protocol):
    """Something that is half read."""

    @property
    def final(self) -> bool:
        """Whether the message may end here."""
        return False

    def step(self, byte: int, below: Stack) -> Stacks:
        """The stacks after ``byte``; none if it can't come here."""

    def cut(self) -> "Frame | None":
        """What it is where an id ends; None if none may end here."""
        return self


class Shape(Protocol):
    """Something that may be read."""

    def open(self, byte: int, below: Stack, depth: int) -> Stacks:
        """The stacks after its first byte; none if it doesn't begin so. ``depth`` brackets are open around it."""


class TooAmbiguous(Exception):
    """Control flow: more than MAX_STACKS readings."""


class _Floor(Frame):
    """Under every stack; nothing comes down here."""

    def step(self, byte: int, below: Stack) -> Stacks:
        return ()


FLOOR: Stack = (_Floor(), cast("Stack", ()))


def feed(stacks: Stacks, byte: int) -> Stacks:
    """All readings after one more byte. Raises TooAmbiguous."""
    if len(stacks) == 1:
        frame, below = stacks[0]
        return frame.step(byte, below)
    found = {stack: None for frame, below in stacks for stack in frame.step(byte, below)}
    if len(found) > MAX_STACKS:
        raise TooAmbiguous
    return tuple(found)


def cut(stacks: Stacks) -> Stacks:
    """Those readings in which an id may end here."""
    return tuple((frame, below) for top, below in stacks if (frame := top.cut()) is not None)


def may_end(stacks: Stacks) -> bool:
    """Whether one of the readings is whole."""
    return any(frame.final for frame, _ in stacks)


def open_all(shapes: tuple[Shape, ...], byte: int, below: Stack, depth: int) -> Stacks:
    """Begin any of ``shapes``."""
    return tuple(stack for shape in shapes for stack in shape.open(byte, below, depth))


_SECOND = {0xE0: (0xA0, 0xBF), 0xED: (0x80, 0x9F), 0xF0: (0x90, 0xBF), 0xF4: (0x80, 0x8F)}


def utf8(pending: bytes, byte: int) -> bytes | None:
    """The beginning of a character after one more byte, empty between characters; None if it can't be UTF-8.

    The Unicode Standard, table 3-7.
    """
    if not pending:
        return b"" if byte < 0x80 else bytes((byte,)) if 0xC2 <= byte <= 0xF4 else None
    low, high = _SECOND.get(pending[0], (0x80, 0xBF)) if len(pending) == 1 else (0x80, 0xBF)
    if not low <= byte <= high:
        return None
    length = 2 if pending[0] < 0xE0 else 3 if pending[0] < 0xF0 else 4
    return b"" if len(pending) + 1 == length else pending + bytes((byte,))
