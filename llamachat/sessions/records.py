"""What a session holds, as values: nodes of a tree of messages, and under which conditions they were said. No disk."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from llamachat.messages import Artifact, Message, ToolCall, TurnEnd

Kind = Literal["said", "retry", "edit", "continue", "compaction", "copy", "repair"]
"""How a message came to be. "said": the first at its place; "copy": carried over a compaction, word for word;
"repair": written at reopening, for a tool that the end of the program interrupted. The others as they are called."""
Flag = Literal["", "pin", "drop"]
"""What the user wants of a message in the context: nothing special, kept by compactions, not shown to the model."""

SHORTEST = 8


def new_id() -> str:
    """48 random bits in hex: chosen without asking the store, so that writing can come later."""
    return secrets.token_hex(6)


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under which messages were asked for. ``system`` is the text of the dialog's leading system message, None without
    one; ``model`` says whose ids the sampled ids are; ``sampling`` holds the fields of SamplingParams."""

    persona: str = ""
    system: str | None = None
    model: str = ""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    tools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an ipython message answers: the call, whether the tool did its work, and its wall time in seconds."""

    call: ToolCall
    ok: bool = True
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Node:
    """A message at its place in the tree. Nothing of it ever changes but ``name``, ``flag`` and ``turn``."""

    id: str
    parent: str | None
    message: Message
    created: float
    """Seconds since 1970, UTC."""
    kind: Kind = "said"
    origin: str | None = None
    """The node that this one is another version of; of a compaction, the last one that it sums up."""
    conditions: Conditions | None = None
    outcome: Outcome | None = None
    artifacts: tuple[Artifact, ...] = ()
    """Files that a tool made, or that the user attached."""
    turn: TurnEnd | None = None
    """How the turn ended whose last message this is."""
    name: str = ""
    """The bookmark of a branch."""
    flag: Flag = ""

    @property
    def cut(self) -> bool:
        """Whether it is an assistant message that did not reach its end."""
        return self.message.role == "assistant" and self.message.stop in ("cancelled", "out_of_tokens")


@dataclass(frozen=True, slots=True)
class Info:
    """A session in a list. Times are seconds since 1970, UTC; ``head`` is the message that was last looked at."""

    id: str
    title: str
    cwd: str
    created: float
    updated: float
    head: str | None = None
    messages: int = 0

    @property
    def short_id(self) -> str:
        """As lists show it; 32 bits, so that a person hardly ever needs more."""
        return self.id[:SHORTEST]

    @property
    def when(self) -> str:
        """When it was last used, in the user's own time zone."""
        return local(self.updated)


@dataclass(frozen=True, slots=True)
class Hit:
    """A message that a search found. ``snippet``: pieces of its text, and whether each is what was searched for."""

    session: str
    title: str
    node: str
    role: str
    created: float
    snippet: tuple[tuple[str, bool], ...]


def short(text: str, width: int = 60) -> str:
    """``text`` on one line of at most ``width`` characters."""
    line = " ".join(text[: width * 8].split())
    return line if len(line) <= width else f"{line[: width - 1]}…"


def local(seconds: float) -> str:
    """A time as seconds since 1970, for people, in their own time zone."""
    return f"{datetime.fromtimestamp(seconds, UTC).astimezone():%Y-%m-%d %H:%M}"
