"""Objects and arrays of JSON, byte by byte: keys in any order, space anywhere.

What may stand in them is asked of their kind, so that the arguments of a call and the call itself are read alike.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, Protocol

from llamachat.constrain.scalars import FALSE, NULL, TRUE, Number, Text, begins, escaped, string
from llamachat.constrain.stacks import QUOTES, SPACE, Frame, Shape, Stack, Stacks, open_all
from llamachat.literals import MAX_DEPTH

Shapes = tuple[Shape, ...]
Phase = Literal["first", "after", "next"]
"""Before the first item, behind an item, behind a comma."""


class ObjectKind(Protocol):
    """What an object may hold."""

    def keys(self, seen: frozenset[str]) -> Collection[str] | None:
        """The keys that may still come, None if any may."""

    def members(self, key: str, seen: frozenset[str]) -> list[tuple[Shapes, "ObjectKind"]]:
        """What may stand behind ``key``, one of ``keys``, and what the object is then."""

    def complete(self, seen: frozenset[str]) -> bool:
        """Whether the object may end."""


class ArrayKind(Protocol):
    """What an array may hold."""

    def items(self, count: int) -> Shapes:
        """What may come behind ``count`` items."""

    def complete(self, count: int) -> bool:
        """Whether the array may end."""


@dataclass(frozen=True, slots=True)
class Value(Frame):
    """Before a value."""

    shapes: Shapes
    depth: int

    def step(self, byte: int, below: Stack) -> Stacks:
        return ((self, below),) if byte in SPACE else open_all(self.shapes, byte, below, self.depth)


@dataclass(frozen=True, slots=True)
class Object(Shape):
    """An object of a kind."""

    kind: ObjectKind

    def open(self, byte: int, below: Stack, depth: int) -> Stacks:
        return ((InObject(self.kind, depth + 1), below),) if byte == 0x7B and depth < MAX_DEPTH else ()


@dataclass(frozen=True, slots=True)
class InObject(Frame):
    """Between the keys and values of an object."""

    kind: ObjectKind
    depth: int
    seen: frozenset[str] = frozenset()
    phase: Phase = "first"

    def step(self, byte: int, below: Stack) -> Stacks:
        if byte in SPACE:
            return ((self, below),)
        if byte == 0x7D:
            return (below,) if self.phase != "next" and self.kind.complete(self.seen) else ()
        keys = self.kind.keys(self.seen)
        if keys is not None and not keys:
            return ()  # nor a comma, where nothing can follow
        if self.phase == "after":
            return ((InObject(self.kind, self.depth, self.seen, "next"), below),) if byte == 0x2C else ()
        options = None if keys is None else frozenset(keys)
        return ((InKey(byte, options), (self, below)),) if byte in QUOTES else ()

    def behind(self, key: str, below: Stack) -> Stacks:
        """After ``key`` was read. The same key twice is refused, of which the parser would take the last."""
        if key in self.seen:
            return ()
        seen = self.seen | {key}
        return tuple(
            (Colon(shapes, self.depth), (InObject(kind, self.depth, seen, "after"), below))
            for shapes, kind in self.kind.members(key, self.seen)
        )


@dataclass(frozen=True, slots=True)
class InKey(Frame):
    """Inside a key; the object lies below."""

    quote: int
    options: frozenset[str] | None
    raw: bytes = b""
    escape: int = 0

    def step(self, byte: int, below: Stack) -> Stacks:
        if byte == self.quote and not self.escape:
            owner, under = below
            key = string(self.quote, self.raw)
            good = key is not None and (self.options is None or key in self.options)
            return owner.behind(key or "", under) if good and isinstance(owner, InObject) else ()
        state, raw = escaped(self.escape, byte), self.raw + bytes((byte,))
        if state is None or (self.options is not None and not any(begins(raw, key) for key in self.options)):
            return ()
        return ((InKey(self.quote, self.options, raw, state), below),)


@dataclass(frozen=True, slots=True)
class Colon(Frame):
    """Between a key and its value."""

    shapes: Shapes
    depth: int

    def step(self, byte: int, below: Stack) -> Stacks:
        if byte in SPACE:
            return ((self, below),)
        return ((Value(self.shapes, self.depth), below),) if byte == 0x3A else ()


@dataclass(frozen=True, slots=True)
class Array(Shape):
    """An array of a kind."""

    kind: ArrayKind

    def open(self, byte: int, below: Stack, depth: int) -> Stacks:
        return ((InArray(self.kind, depth + 1), below),) if byte == 0x5B and depth < MAX_DEPTH else ()


@dataclass(frozen=True, slots=True)
class InArray(Frame):
    """Between the items of an array."""

    kind: ArrayKind
    depth: int
    count: int = 0
    phase: Phase = "first"

    def step(self, byte: int, below: Stack) -> Stacks:
        if byte in SPACE:
            return ((self, below),)
        if byte == 0x5D:
            return (below,) if self.phase != "next" and self.kind.complete(self.count) else ()
        items = self.kind.items(self.count)
        if self.phase == "after":
            return ((InArray(self.kind, self.depth, self.count, "next"), below),) if items and byte == 0x2C else ()
        return open_all(items, byte, (InArray(self.kind, self.depth, self.count + 1, "after"), below), self.depth)


@dataclass(frozen=True, slots=True)
class AnyObject(ObjectKind):
    """Any keys, any values."""

    def keys(self, seen: frozenset[str]) -> None:
        return None

    def members(self, key: str, seen: frozenset[str]) -> list[tuple[Shapes, ObjectKind]]:
        return [(ANYTHING, self)]

    def complete(self, seen: frozenset[str]) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class AnyArray(ArrayKind):
    """Any items."""

    def items(self, count: int) -> Shapes:
        return ANYTHING

    def complete(self, count: int) -> bool:
        return True


ANYTHING: Shapes = (Text(), Number(), *TRUE, *FALSE, *NULL, Object(AnyObject()), Array(AnyArray()))
