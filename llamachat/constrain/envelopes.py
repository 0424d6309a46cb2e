"""Calls around their arguments, in JSON, function tags and Python: names that are offered, arguments that fit.

Each notation is a shape; ``Calls`` reads any number of them, as docs/replies.md has it, and says when they may end.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from llamachat.calls import CODE_INTERPRETER
from llamachat.constrain.containers import ANYTHING, Array, ArrayKind, InObject, Object, ObjectKind, Shapes, Value
from llamachat.constrain.quotations import Said
from llamachat.constrain.scalars import NULL, Heads, Text, Word, begins, escaped, string
from llamachat.constrain.schemas import Schemas
from llamachat.constrain.stacks import QUOTES, SPACE, Frame, Shape, Stack, Stacks, open_all

_CLOSE = Word(b"</function>")
_GIVEN = frozenset({"parameters", "arguments"})
_BESIDE = frozenset({"type", "id"})


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A name that is offered, and the objects that fit it."""

    name: str
    kinds: tuple[ObjectKind, ...]
    builtin: bool = False
    sayable: bool = True
    """Whether nothing that it requires must be quoted and was not said."""

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


def function_target(name: str, parameters: Mapping[str, Any], said: Said | None = None) -> Target:
    """A function; like the toolbox, it takes no arguments but those that its schema names, if it names some. ``said``:
    what its strings are quoted from, if they are."""
    closed = {"additionalProperties": False, **parameters} if "properties" in parameters else dict(parameters)
    schemas = Schemas(closed, said=said)
    return Target(name, _kinds(schemas), sayable=not any(map(schemas.unsaid, schemas.required)))


def builtin_target(name: str) -> Target:
    """A built-in or the code interpreter, written as a function is."""
    key = "code" if name == CODE_INTERPRETER else "query"
    takes = {"properties": {key: {"type": "string"}}, "required": [key], "additionalProperties": False}
    takes = {"type": "object", **takes}  # closed: a model that meant another function filled the window with keys
    kinds = _kinds(Schemas(takes))
    return Target(name, kinds, True) if name == CODE_INTERPRETER else Target(name, (*kinds, _OneString()), True)


def _kinds(schemas: Schemas) -> tuple[ObjectKind, ...]:
    return tuple(shape.kind for shape in schemas.shapes(schemas.root) if isinstance(shape, Object))


@dataclass(frozen=True, slots=True)
class Envelope(ObjectKind):
    """``{"name": …, "parameters": …}`` in any order, or both under ``function``, and what often stands beside them.

    ``target`` is known from the name, or tried for each when the arguments come first.
    """

    offered: tuple[Target, ...]
    target: Target | None = None
    named: bool = False
    nests: bool = True

    def keys(self, seen: frozenset[str]) -> Collection[str]:
        keys = _BESIDE - seen
        if not self.named:
            keys |= {"name", "function"} if self.nests and not _GIVEN & seen else {"name"}
        return keys if _GIVEN & seen or "function" in seen else keys | _GIVEN

    def members(self, key: str, seen: frozenset[str]) -> list[tuple[Shapes, ObjectKind]]:
        if key == "name":
            return [((_Name(self._may),), self)]
        if key in _GIVEN:
            return [((*t.objects, *(NULL if t.needs_nothing else ())), replace(self, target=t)) for t in self._may]
        if key == "function":
            return [((Object(Envelope(self.offered, nests=False)),), replace(self, named=True))]
        return [(ANYTHING, self)]

    def complete(self, seen: frozenset[str]) -> bool:
        given = bool(seen & _GIVEN) or (self.nests and "function" in seen)
        return self.named and (given or (self.target is not None and self.target.needs_nothing))

    @property
    def _may(self) -> tuple[Target, ...]:
        return self.offered if self.target is None else (self.target,)


@dataclass(frozen=True, slots=True)
class _Name(Shape):
    """The name of a target."""

    offered: tuple[Target, ...]

    def open(self, byte: int, below: Stack, depth: int) -> Stacks:
        return ((_InName(byte, self.offered), below),) if byte in QUOTES else ()


@dataclass(frozen=True, slots=True)
class _InName(Frame):
    """Inside it; the envelope lies below, and learns who was named."""

    quote: int
    offered: tuple[Target, ...]
    raw: bytes = b""
    escape: int = 0

    def step(self, byte: int, below: Stack) -> Stacks:
        if byte == self.quote and not self.escape:
            return self._named(string(self.quote, self.raw), *below)
        state, raw = escaped(self.escape, byte), self.raw + bytes((byte,))
        offered = tuple(target for target in self.offered if begins(raw, target.name))
        return () if state is None or not offered else ((_InName(self.quote, offered, raw, state), below),)

    def _named(self, name: str | None, owner: Frame, below: Stack) -> Stacks:
        target = next((target for target in self.offered if target.name == name), None)
        if target is None or not isinstance(owner, InObject) or not isinstance(owner.kind, Envelope):
            return ()
        return ((replace(owner, kind=replace(owner.kind, target=target, named=True)), below),)


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
        named = [(f"function={target.name}>".encode(), target) for target in self.offered]
        whole = ((head, (Value(target.objects, 0), _TagTail())) for head, target in named)
        empty = ((head, (Value((_CLOSE,), 0),)) for head, target in named if target.needs_nothing)
        return ((Heads((*whole, *empty)), below),)


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
