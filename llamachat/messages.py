"""What is said: messages, dialogs, calls, results, events of a turn. Pure values; knows no tokens, tools or UI."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal, overload

Role = Literal["system", "user", "assistant", "ipython"]


class StopReason(StrEnum):
    """Why a message or a turn ended (Meta's vocabulary, plus two of ours)."""

    end_of_turn = "end_of_turn"
    """eot: the message is finished and goes to the user."""
    end_of_message = "end_of_message"
    """eom: a call for ipython, or one more message follows."""
    out_of_tokens = "out_of_tokens"
    """The token limit cut the message."""
    max_steps = "max_steps"
    """The turn used up its steps."""
    cancelled = "cancelled"
    """The user interrupted; what was said until then is kept."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What the model asks for. ``arguments`` holds JSON values by parameter name."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that a tool made for the user: a figure, a table. ``path`` is readable until the tool is closed."""

    name: str
    media_type: str
    path: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool says to a call. ``output`` is the body of the ipython message, ready to send;
    ``ok`` is False for every mistake of the model's (unknown name, bad arguments, error in its code, timeout).
    ``artifacts`` are for the user's eyes; the model does not see them."""

    call: ToolCall
    output: str
    ok: bool = True
    artifacts: tuple[Artifact, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """One header…end-token unit of a dialog.

    ``content`` is the text, verbatim; a tuple means pieces that are tokenized apart. For an assistant message with
    calls it is the text beside the calls. ``tool_calls`` is the parsed view of the calls. ``token_ids`` are exactly the
    ids that the model sampled, end token included if it came: when present they, not ``content``, are the history.
    ``context`` is retrieved text that belongs to a user message (RAG).
    """

    role: Role
    content: str | tuple[str, ...] = ""
    tool_calls: tuple[ToolCall, ...] = ()
    stop: StopReason | None = None
    token_ids: tuple[int, ...] | None = None
    context: str | None = None

    @property
    def text(self) -> str:
        """``content`` as one string."""
        return self.content if isinstance(self.content, str) else "".join(self.content)


@dataclass(frozen=True, slots=True)
class Dialog:
    """An immutable sequence of messages; ``dialog + message`` is a new dialog, so forks are free."""

    messages: tuple[Message, ...] = ()

    def __add__(self, other: Message | Iterable[Message]) -> "Dialog":
        return Dialog((*self.messages, other) if isinstance(other, Message) else (*self.messages, *other))

    def __iter__(self) -> Iterator[Message]:
        return iter(self.messages)

    def __len__(self) -> int:
        return len(self.messages)

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> "Dialog": ...
    def __getitem__(self, index: int | slice) -> "Message | Dialog":
        return Dialog(self.messages[index]) if isinstance(index, slice) else self.messages[index]

    @property
    def said(self) -> str:
        """All text in it, the retrieved and what tools said included, a line break between two."""
        return "\n".join(text for message in self for text in (message.text, message.context) if text)

    def without_ids(self) -> "Dialog":
        """The same dialog for another tokenizer: sampled ids mean nothing there."""
        return Dialog(tuple(replace(message, token_ids=None) for message in self))


@dataclass(frozen=True, slots=True)
class Usage:
    """What a turn cost. Tokens are counts, times are seconds."""

    prompt_tokens: int = 0
    """Prompt length of the last step: what the context window holds, less the reply."""
    cached_tokens: int = 0
    """Of all the prompts of the turn, the ids that were not read again."""
    prefilled_tokens: int = 0
    """Of all the prompts of the turn, the ids that were read."""
    generated_tokens: int = 0
    seconds: float = 0.0
    """Wall time of the turn, tools included."""
    decode_seconds: float = 0.0
    """Time between first and last generated id, summed over steps: generated_tokens / decode_seconds is the speed."""
    first_token_seconds: float = 0.0
    """Time from the start of the turn to the first generated id."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text for the user."""

    text: str
    kind: Literal["text_delta"] = "text_delta"


@dataclass(frozen=True, slots=True)
class CallDelta:
    """More text of a call that is being written, for display only."""

    text: str
    kind: Literal["call_delta"] = "call_delta"


@dataclass(frozen=True, slots=True)
class MessageEnd:
    """``message`` (assistant or ipython) is complete: append it to the dialog."""

    message: Message
    kind: Literal["message_end"] = "message_end"


@dataclass(frozen=True, slots=True)
class ToolStart:
    """A tool begins to run ``call``."""

    call: ToolCall
    kind: Literal["tool_start"] = "tool_start"


@dataclass(frozen=True, slots=True)
class ToolEnd:
    """A tool has answered."""

    result: ToolResult
    seconds: float
    kind: Literal["tool_end"] = "tool_end"


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """The turn is over. ``steps`` counts the generations; ``note`` is one sentence for the user, if one is due."""

    stop: StopReason
    usage: Usage
    steps: int = 1
    note: str = ""
    kind: Literal["turn_end"] = "turn_end"


Event = TextDelta | CallDelta | MessageEnd | ToolStart | ToolEnd | TurnEnd


def to_json(value: Event | Message | ToolCall | ToolResult | Usage) -> dict[str, Any]:
    """``value`` as plain JSON data (tuples become lists in ``json.dumps``)."""
    return asdict(value)
