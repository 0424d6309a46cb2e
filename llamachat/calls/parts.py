"""What a reply is made of: text for the user, calls for ipython, broken calls. Knows what was offered, no notation."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal

CODE_INTERPRETER = "code_interpreter"

Ended = Literal["eot", "eom", "eos", "length"]
"""How a message ended; ``length`` is everything that was not the model's own decision."""

ErrorCode = Literal[
    "empty_call", "not_a_call", "unknown_function", "missing_name", "bad_json", "bad_arguments", "bad_python",
    "non_literal_argument", "positional_arguments", "truncated",
]  # fmt: skip

_NOISE = re.compile(r"[\s;,.]*")


@dataclass(frozen=True, slots=True)
class Offered:
    """What a turn offers: names of functions, names of built-in tools, and whether code runs."""

    tools: frozenset[str] | tuple[str, ...] = frozenset()
    builtin: frozenset[str] | tuple[str, ...] = frozenset()
    code: bool = False

    def __bool__(self) -> bool:
        return bool(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.tools or name in self.builtin or (self.code and name == CODE_INTERPRETER)

    @property
    def names(self) -> tuple[str, ...]:
        """All that can be called, sorted."""
        return tuple(sorted({*self.tools, *self.builtin, *([CODE_INTERPRETER] if self.code else [])}))


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a reply: text to the user, or to ipython: code, a call of a built-in or a function, a broken call.

    ``text`` is set for text and code, ``arguments`` for calls, ``error`` for broken calls, whose ``name`` is what is
    known of it. ``issues`` say how the writing deviates from what models are taught; ``call_in_prose`` deserves a
    question to the user. ``offered`` are the names that a broken call could have used.
    """

    kind: Literal["text", "code", "builtin", "function", "error"]
    stop: Ended
    name: str | None = None
    arguments: Mapping[str, Any] | None = None
    text: str | None = None
    error: ErrorCode | None = None
    issues: tuple[str, ...] = ()
    offered: tuple[str, ...] = ()

    @property
    def to(self) -> Literal["user", "ipython"]:
        """Who gets it."""
        return "user" if self.kind == "text" else "ipython"

    @property
    def cut(self) -> bool:
        """Code that the token limit cut off: nothing says that it is whole, so it must not run."""
        return self.kind == "code" and self.stop == "length"


@dataclass(frozen=True, slots=True)
class Found:
    """The calls that stand somewhere in a text, and where they end."""

    parts: tuple[Part, ...]
    end: int

    def marked(self, *issues: str) -> "Found":
        """The same calls with more issues."""
        return replace(self, parts=tuple(replace(part, issues=(*part.issues, *issues)) for part in self.parts))


@dataclass(frozen=True, slots=True)
class Judge:
    """Decides what a name with arguments is, in a turn with this offer whose message ended by ``stop``."""

    offered: Offered
    stop: Ended

    @property
    def cut(self) -> bool:
        """The token limit, not the model, ended the message: what is incomplete stays so."""
        return self.stop == "length"

    def error(self, code: ErrorCode, name: str | None = None, *issues: str) -> Part:
        """A broken call."""
        return Part("error", self.stop, name, error=code, issues=issues, offered=self.offered.names)

    def resolve(self, name: str, arguments: Mapping[str, Any] | None, *issues: str) -> Part:
        """The call of ``name``; ``arguments`` None means that they are no object."""
        if name not in self.offered:
            return self.error("unknown_function", name, *issues)
        if arguments is None:
            return self.error("bad_arguments", name, *issues)
        if name in self.offered.builtin:
            return self._builtin(name, arguments, issues)
        if name in self.offered.tools:
            return Part("function", self.stop, name, arguments, issues=issues)
        code = arguments.get("code")
        if not isinstance(code, str):
            return self.error("bad_arguments", name, *issues)
        return Part("code", self.stop, text=code, issues=issues)

    def _builtin(self, name: str, arguments: Mapping[str, Any], issues: tuple[str, ...]) -> Part:
        """Built-ins take one string: ``query``, or the only string there is."""
        strings = [value for value in arguments.values() if isinstance(value, str)]
        query = arguments.get("query", strings[0] if len(strings) == 1 else None)
        if not isinstance(query, str):
            return self.error("bad_arguments", name, *issues)
        return Part("builtin", self.stop, name, {"query": query}, issues=issues)


def is_noise(text: str) -> bool:
    """Nothing but space, ``;``, ``,`` and ``.``."""
    return _NOISE.fullmatch(text) is not None


def explain(part: Part) -> str:
    """One sentence that tells the model what was wrong with a broken call, and what to write instead."""
    name = (part.name or "the function")[:60]
    what = "the code" if part.cut else f"the call of {name}"
    offered = ", ".join(part.offered) or "nothing"
    meant = get_close_matches(name, part.offered, 1)
    guess = f"did you mean {meant[0]}? These" if meant else "these"
    as_json = '{"name": …, "parameters": {…}}'
    sentences: dict[ErrorCode, str] = {
        "empty_call": "The call was empty; write the call after the tag, or answer in words.",
        "not_a_call": f"Code can't be run here; call one of these instead, or answer in words: {offered}.",
        "unknown_function": f"There is no function {name}; {guess} are offered: {offered}.",
        "missing_name": f"The call has no name; write {as_json} with one of: {offered}.",
        "bad_json": f'The call of {name} is no valid JSON; write {as_json}, and \\" for a quote inside a string.',
        "bad_arguments": f"The arguments of {name} must be an object of values by parameter name.",
        "bad_python": "The call could not be read; write [name(parameter=value)], each parameter once.",
        "non_literal_argument": f"The arguments of {name} must be literal values, no names, calls or operators.",
        "positional_arguments": f"Name every argument of {name}: parameter=value.",
        "truncated": f"The token limit cut off {what}; write it again, shorter.",
    }
    return sentences[part.error] if part.error else sentences["truncated"]
