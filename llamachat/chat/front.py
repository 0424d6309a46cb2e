"""What a verb needs of a screen. The TUI meets it with widgets, the line mode with lines; a test with a list."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from llamachat.anatomy import TokenView
from llamachat.chat.conversation import Turn
from llamachat.errors import LlamaChatError


@dataclass(frozen=True, slots=True)
class Choice:
    """A row to choose: the ``key`` that choosing it gives, its text, and a word more. All its text is searched."""

    key: str
    text: str
    note: str = ""

    def matches(self, words: Sequence[str]) -> bool:
        """Whether every word is in it."""
        all_text = f"{self.text} {self.note}".casefold()
        return all(word in all_text for word in words)


@dataclass(frozen=True, slots=True)
class Alternative:
    """An id that might have stood in the place of another, and how likely the model found it, from 0 to 1."""

    id: int
    text: str
    share: float


@dataclass(frozen=True, slots=True)
class Likely:
    """How likely the model found an id, from 0 to 1, and the likeliest in its place, which may be that id itself."""

    share: float
    instead: tuple[Alternative, ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What the model sees, id by id. The first ``cached`` ids were not read again in the last turn; ``cursor`` is the
    place to look at; ``badges`` are names of control tokens that stand there as text."""

    tokens: Sequence[TokenView]
    cached: int
    cursor: int
    badges: Sequence[str]
    likely: Callable[[int], Awaitable[Mapping[int, Likely]]]
    """By place, for the message that has the token at a place. Raises LlamaChatError where that can't be told."""
    branch: Callable[[int, Alternative], None]
    """Lets the model go on from a place in a reply of its own, with another id there, on a branch of its own."""


class Front(Protocol):
    """A place where a user reads and answers."""

    def note(self, text: str) -> None:
        """A word of ours."""

    def page(self, markdown: str) -> None:
        """A list or table of ours."""

    def say(self, error: LlamaChatError) -> None:
        """What went wrong, and what to do."""

    def show_dialog(self) -> None:
        """The head has moved: show the messages up to it."""

    def put(self, text: str) -> None:
        """Into the prompt, for the user to go on with."""

    def copy(self, text: str, what: str) -> None:
        """To the clipboard."""

    def take(self, turn: Turn) -> None:
        """Take a turn, and show it."""

    async def pick(
        self, title: str, choices: Sequence[Choice], chosen: str = "", preview: Callable[[str], None] | None = None
    ) -> str | None:
        """The key of the row that the user takes; None for none."""

    async def line(self, title: str, value: str = "", help_: str = "", *, lines: bool = False) -> str | None:
        """A line, or several ``lines``, that the user fills in; None if they leave."""

    def inspect(self, inspection: Inspection) -> None:
        """Show what the model sees."""

    def open_model(self, path: str) -> None:
        """Load another model beside the one that runs."""

    def set_theme(self, name: str) -> None:
        """Dress in another theme."""

    def themes(self) -> Sequence[str]:
        """Names of the themes, the present one first; none where there are no colours."""

    def help(self) -> None:
        """Keys and commands."""

    def leave(self) -> None:
        """End the program."""


@contextmanager
def saying(front: Front) -> Iterator[list[LlamaChatError]]:
    """An error inside is said, and ends the block; the list that the block gets holds it then."""
    errors: list[LlamaChatError] = []
    try:
        yield errors
    except LlamaChatError as error:
        errors.append(error)
        front.say(error)
