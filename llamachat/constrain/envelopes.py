"""Calls around their arguments, in JSON, function tags and Python: names that are offered, arguments that fit.

Each notation is a shape; ``Calls`` reads any number of them, as docs/replies.md has it, and says when they may end.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from llamachat.calls import CODE_INTERPRETER
from llamachat.constrain.containers import ANYTHING, Array, ArrayKind, Object, ObjectKind, Shapes, Value
from llamachat.constrain.scalars import NULL, Choice, InWord, Text, Word
from llamachat.constrain.schemas import Schemas
from llamachat.constrain.stacks import SPACE, Frame, Shape, Stack, Stacks, open_all

_CLOSE = Word(b"</function>")
_GIVEN = frozenset({"parameters", "arguments"})


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A name that is offered, and the objects that fit it."""

    name: str
    kinds: tuple[ObjectKind, ...]
    builtin: bool = False

    @property
    def objects(self) -> Shapes:
        """Its arguments."""
        return tuple(Object(kind) for kind in self.kinds)

    @property
    def needs_nothing(self) -> bool:
        """Whether it can be called without arguments."""
        return any(kind.complete(frozenset()) for kind in self.kinds)


@dataclass(frozen=True, slots=True)
class _OneString(ObjectKind):
    """One string by any name, which built-ins take for their query."""

    def keys(self, seen: frozenset[str]) -> Collection[str] | None:
        return () if seen else None

    def members(self, key: str, seen: frozenset[str]) -> list[tuple[Shapes, ObjectKind]]:
        return [((Text(),), self)]

    def complete(self, seen: frozenset[str]) -> bool:
        return bool(seen)


def function_target(name: str, parameters: Mapping[str, Any]) -> Target:
    """A function; like the toolbox, it takes no arguments but those that its schema names, if it names some."""
    closed = {"additionalProperties": False, **parameters} if "properties" in parameters else dict(parameters)
    return Target(name, _kinds(closed))


def builtin_target(name: str) -> Target:
    """A built-in or the code interpreter, written as a function is."""
    key = "code" if name == CODE_INTERPRETER else "query"
    takes = {"type": "object", "properties": {key: {"type": "string"}}, "required": [key]}
    kinds = _kinds(takes)
    return Target(name, kinds, True) if name == CODE_INTERPRETER else Target(name, (*kinds, _OneString()), True)


def _kinds(schema: Mapping[str, Any]) -> tuple[ObjectKind, ...]:
    shapes = Schemas(schema).shapes(schema)
    return tuple(shape.kind for shape in shapes if isinstance(shape, Object))


@dataclass(frozen=True, slots=True)
class Envelope(ObjectKind):
    """``{"name": …, "parameters": …}`` in any order, or both under ``function``; other keys are anything.

    ``target`` is known from the name, or tried for each when the arguments come first.
    """

    offered: tuple[Target, ...]
    target: Target | None = None
    named: bool = False
    nests: bool = True

    def keys(self, seen: frozenset[str]) -> None:
        return None

    def members(self, key: str, seen: frozenset[str]) -> list[tuple[Shapes, ObjectKind]]:
        given = bool(_GIVEN & seen)
        if key == "name":
            return [] if self.named else [((Choice(frozenset({t.name})),), self._of(t, named=True)) for t in self._may]
        if key in _GIVEN:
            wanted = [] if given or "function" in seen else self._may
            return [((*t.objects, *(NULL if t.needs_nothing else ())), self._of(t, self.named)) for t in wanted]
        if key == "function" and self.nests:
            inner = [] if self.named or given else self._may
            return [((Object(Envelope((t,), nests=False)),), self._of(t, named=True)) for t in inner]
        return [(ANYTHING, self)]

    def complete(self, seen: frozenset[str]) -> bool:
        given = bool(seen & _GIVEN) or (self.nests and "function" in seen)
        return self.named and (given or (self.target is not None and self.target.needs_nothing))

    @property
    def _may(self) -> tuple[Target, ...]:
        return self.offered if self.target is None else (self.target,)

    def _of(self, target: Target, named: bool) -> "Envelope":
        return replace(self, target=target, named=named)


@dataclass(frozen=True, slots=True)
class _Envelopes(ArrayKind):
    """An array of calls, at least one."""

    envelope: Envelope

    def items(self, count: int) -> Shapes:
        return (Object(self.envelope),)

    def complete(self, count: int) -> bool:
        return count > 0


def json_calls(offered: tuple[Target, ...]) -> Shapes:
    """A call object, or an array of them."""
    return (Object(Envelope(offered)), Array(_Envelopes(Envelope(offered))))


@dataclass(frozen=True, slots=True)
class TagCall(Shape):
    """``<function=NAME>{…}</function>``."""

    offered: tuple[Target, ...]

    def open(self, byte: int, below: Stack, depth: int) -> Stacks:
        if byte != 0x3C:
            return ()
        tail: Stack = (_TagTail(), below)
        heads = [(f"function={t.name}>".encode(), t) for t in self.offered]
        whole = tuple((InWord(head), (Value(t.objects, 0), tail)) for head, t in heads)
        close: Stack = (Value((_CLOSE,), 0), below)
        return whole + tuple((InWord(head), close) for head, t in heads if t.needs_nothing)


@dataclass(frozen=True, slots=True)
class _TagTail(Frame):
    """Behind the object of a tag; the closing tag may lack."""

    @property
    def final(self) -> bool:
        """Always."""
        return True

    def step(self, byte: int, below: Stack) -> Stacks:
        if byte in SPACE:
            return ((self, below),)
        frame, under = below
        return (*_CLOSE.open(byte, below, 0), *frame.step(byte, under))


@dataclass(frozen=True, slots=True)
class Calls(Frame):
    """Calls in one notation, with space, ``;`` and ``,`` between them; ``.`` too is noise at the end."""

    notation: Shapes
    begun: bool = False
    ended: bool = False

    @property
    def final(self) -> bool:
        """Behind a call."""
        return self.begun

    def step(self, byte: int, below: Stack) -> Stacks:
        if byte in SPACE or (self.begun and byte in b";,"):
            return ((self, below),)
        if self.begun and byte == 0x2E:
            return ((Calls(self.notation, begun=True, ended=True), below),)
        after: Stack = (Calls(self.notation, begun=True), below)
        return () if self.ended else open_all(self.notation, byte, after, 0)
