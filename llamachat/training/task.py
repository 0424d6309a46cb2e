"""What a generator makes: turns with their tool steps and answers, before persona and offer. Knows no wording."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from llamachat.messages import Message
from llamachat.offer import FunctionSpec
from llamachat.training.persona import Answer


@dataclass(frozen=True, slots=True)
class Turn:
    """A question, the calls and results that it takes, and the answer. The first ``slips`` calls are mistakes.

    ``context`` is what is attached to the question.
    """

    question: str
    steps: tuple[Message, ...]
    answer: Answer
    slips: int = 0
    context: str | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """Turns under one offer. ``code``, ``search``: True if needed, False if it must be off, None if either is fine."""

    turns: tuple[Turn, ...]
    functions: tuple[FunctionSpec, ...] = ()
    code: bool | None = None
    search: bool | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    """Text by name, in the folder of python."""
