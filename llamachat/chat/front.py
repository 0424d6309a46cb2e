"""What a verb needs of a screen. The TUI meets it with widgets, the line mode with lines; a test with a list."""

from collections.abc import Callable, Iterator, Sequence
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

    def inspect(self, tokens: Sequence[TokenView], cached: int, cursor: int, badges: Sequence[str]) -> None:
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
