"""Calls in Python: the names and keywords that are offered, and values that are literals, whatever their types.

What a literal is, is asked of the parser's own readers, so there is no second opinion.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from llamachat.calls import Judge, Offered
from llamachat.calls.keywords import read_call
from llamachat.calls.python_calls import dot_call
from llamachat.constrain.containers import ObjectKind
from llamachat.constrain.envelopes import Target
from llamachat.constrain.scalars import Heads
from llamachat.constrain.stacks import SPACE, Frame, Shape, Stack, Stacks

_LOOKED_AT = 200  # bytes of a value that are checked as they come; behind them, its end alone is
_UNFINISHED = re.compile(rb"[\w.+-]\Z")  # 0x, 1e and the like become numbers
_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_KEYWORD = re.compile(rb"\A\s*[A-Za-z_]\w*\s*=\s*")
_QUERY = re.compile(rb"\s*(?:[A-Za-z_]\w*\s*(?:=\s*)?)?(?:[rRuU]?[\"'][^\n]{0,2000})?")  # the parser's own limit


@dataclass(frozen=True, slots=True)
class KeywordCall(Shape):
    """``NAME(a=1)``, and ``NAME.call(…)`` if ``dotted``."""

    offered: tuple[Target, ...]
    dotted: bool = False

    def open(self, byte: int, below: Stack, depth: int) -> Stacks:
        heads = (head for target in self.offered for head in self._heads(target))
        return Heads(tuple((text.encode(), (frame,)) for text, frame in heads)).step(byte, below)

    def _heads(self, target: Target) -> list[tuple[str, Frame]]:
        plain = [(target.name, _Open(kind)) for kind in target.kinds]
        if not self.dotted:
            return [*plain]
        if target.builtin:
            return [*plain, (f"{target.name}.call(", _Query(target.name))]
        return [*plain, *((f"{target.name}.call", frame) for _, frame in plain)]


@dataclass(frozen=True, slots=True)
class CallList(Shape):
    """``[f(a=1), g()]``."""

    calls: KeywordCall

    def open(self, byte: int, below: Stack, depth: int) -> Stacks:
        return ((_InList(self.calls, "first"), below),) if byte == 0x5B else ()


@dataclass(frozen=True, slots=True)
class _InList(Frame):
    calls: KeywordCall
    phase: Literal["first", "after", "next"]

    def step(self, byte: int, below: Stack) -> Stacks:
        if byte in SPACE:
            return ((self, below),)
        if byte == 0x5D:
            return (below,) if self.phase == "after" else ()
        if self.phase == "after":
            return ((_InList(self.calls, "next"), below),) if byte == 0x2C else ()
        return self.calls.open(byte, (_InList(self.calls, "after"), below), 0)


@dataclass(frozen=True, slots=True)
class _Open(Frame):
    """Behind the name."""

    kind: ObjectKind

    def step(self, byte: int, below: Stack) -> Stacks:
        if byte in SPACE:
            return ((self, below),)
        return ((_Arguments(self.kind), below),) if byte == 0x28 else ()


@dataclass(frozen=True, slots=True)
class _Arguments(Frame):
    """Between the arguments."""

    kind: ObjectKind
    seen: frozenset[str] = frozenset()
    after: bool = False

    def step(self, byte: int, below: Stack) -> Stacks:
        if byte in SPACE:
            return ((self, below),)
        if byte == 0x29:
            return (below,) if self.after == bool(self.seen) and self.kind.complete(self.seen) else ()
        keys = self.kind.keys(self.seen)
        if keys is not None and not keys:
            return ()
        if self.after:
            return ((_Arguments(self.kind, self.seen), below),) if byte == 0x2C else ()
        return _Key(keys).step(byte, (self, below))

    def behind(self, key: str, below: Stack) -> Stacks:
        """After a keyword and its ``=``."""
        if key in self.seen:
            return ()
        return tuple(
            (_Literal(), (_Arguments(kind, self.seen | {key}, after=True), below))
            for _, kind in self.kind.members(key, self.seen)
        )


@dataclass(frozen=True, slots=True)
class _Key(Frame):
    """Inside a keyword."""

    options: Collection[str] | None
    raw: bytes = b""
    ended: bool = False

    def step(self, byte: int, below: Stack) -> Stacks:
        owner, under = below
        if self.raw and (byte == 0x3D or byte in SPACE):
            key = self.raw.decode("utf-8", "replace")
            if (self.options is not None and key not in self.options) or not isinstance(owner, _Arguments):
                return ()
            return owner.behind(key, under) if byte == 0x3D else ((_Key(self.options, self.raw, ended=True), below),)
        raw = self.raw + bytes((byte,))
        known = self.options is None or any(key.encode().startswith(raw) for key in self.options)
        text = raw.decode("utf-8", "ignore")  # without what may become a character
        good = not text or _IDENTIFIER.fullmatch(text)
        return ((_Key(self.options, raw), below),) if good and known and not self.ended else ()


@dataclass(frozen=True, slots=True)
class _Literal(Frame):
    """Inside a value."""

    raw: bytes = b""

    def step(self, byte: int, below: Stack) -> Stacks:
        frame, under = below
        if byte in b",)" and not _problem(self.raw + b")"):
            return frame.step(byte, under)
        raw = self.raw + bytes((byte,))
        if len(raw) < _LOOKED_AT and _problem(raw) != "incomplete" and not _UNFINISHED.search(raw):
            return () if byte not in SPACE or _problem(raw + b")") else ((_Literal(raw), below),)
        return ((_Literal(raw), below),)


def _problem(raw: bytes) -> str | None:
    """What the parser says of ``f(k=`` and ``raw``."""
    text = f"f(k={raw.decode('utf-8', 'replace')}"
    reading = read_call(text)
    return reading.problem or (None if reading.end == len(text) else "bad")


@dataclass(frozen=True, slots=True)
class _Query(Frame):
    """Inside ``NAME.call(`` of a built-in. Quotes in a query need no escape, so that any closing may be the last."""

    name: str
    raw: bytes = b""

    def step(self, byte: int, below: Stack) -> Stacks:
        raw = self.raw + bytes((byte,))
        if byte in b"+%*" and _problem(_KEYWORD.sub(b"", raw)) == "non_literal":
            return ()  # an expression, which the parser doesn't take for a query with quotes in it
        inside: Stacks = ((_Query(self.name, raw), below),) if _QUERY.fullmatch(raw) else ()
        return (below, *inside) if byte == 0x29 and self._whole(raw) else inside

    def _whole(self, raw: bytes) -> bool:
        text = f"{self.name}.call({raw.decode('utf-8', 'replace')}"
        found = dot_call(Judge(Offered(builtin=(self.name,)), "eot"), text)
        return found is not None and found.end == len(text) and found.parts[0].kind == "builtin"
